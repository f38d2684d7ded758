// SPDX-License-Identifier: GPL-2.0
/* See cage.h. */
#include "slicer/cage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

static const char *const controllers[CAGE_CONTROLLERS] = { "memory", "cpu", "pids" };

static int write_at(int directory, const char *name, const char *text)
{
	_cleanup_fd_ int fd = openat(directory, name, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static int write_in(const char *directory, const char *name, const char *text)
{
	_cleanup_fd_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : write_at(fd, name, text);
}

static ssize_t read_in(const char *directory, const char *name, char *buffer, size_t size)
{
	char path[CAGE_PATH + 64];
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buffer, size - 1);
	buffer[n > 0 ? n : 0] = '\0';
	return n;
}

/* ---- where the hierarchies are ---- */

static bool has_word(const char *list, const char *word, const char *separators)
{
	char copy[1024], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", list);
	for (char *w = strtok_r(copy, separators, &save); w; w = strtok_r(NULL, separators, &save))
		if (!strcmp(w, word))
			return true;
	return false;
}

static int find_mounts(char v2[CAGE_PATH], char v1[CAGE_CONTROLLERS][CAGE_PATH])
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;

	if (!f)
		return -errno;
	v2[0] = '\0';
	while ((m = getmntent(f))) {
		if (!v2[0] && !strcmp(m->mnt_type, "cgroup2"))
			snprintf(v2, CAGE_PATH, "%s", m->mnt_dir);
		for (int c = 0; c < CAGE_CONTROLLERS && !strcmp(m->mnt_type, "cgroup"); c++)
			if (!v1[c][0] && has_word(m->mnt_opts, controllers[c], ","))
				snprintf(v1[c], CAGE_PATH, "%s", m->mnt_dir);
	}
	endmntent(f);
	return v2[0] ? 0 : -ENOENT;
}

static int make_directory(char *path, size_t size, const char *parent, const char *name)
{
	int n = snprintf(path, size, "%s/%s", parent, name);

	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

/* ---- what dead slicers left ---- */

static bool populated(const char *directory)
{
	char text[256];

	return read_in(directory, "cgroup.events", text, sizeof(text)) > 0 &&
	       strstr(text, "populated 1");
}

static void remove_tree_below(const char *directory)
{
	DIR *d = opendir(directory);
	char path[CAGE_PATH * 2];
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.') {
			snprintf(path, sizeof(path), "%s/%s", directory, e->d_name);
			remove_tree_below(path);
			rmdir(path);
		}
	if (d)
		closedir(d);
}

static bool clear_run(const char *run)
{
	bool had = populated(run);

	write_in(run, "cgroup.freeze", "0");
	write_in(run, "cgroup.kill", "1");
	for (int i = 0; i < 2000 && populated(run); i++) /* it takes about a millisecond */
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	remove_tree_below(run);
	rmdir(run);
	return had;
}

static unsigned clear_the_dead(const char *parent, bool locked)
{
	DIR *d = opendir(parent);
	char path[CAGE_PATH * 2];
	unsigned cleared = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		_cleanup_fd_ int fd = -1;

		if (strncmp(e->d_name, "run-", 4) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", parent, e->d_name);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (locked && (fd < 0 || flock(fd, LOCK_EX | LOCK_NB)))
			continue; /* its slicer lives */
		if (!locked && (kill(atoi(e->d_name + 4), 0) == 0 || errno != ESRCH))
			continue;
		cleared += clear_run(path);
	}
	if (d)
		closedir(d);
	return cleared;
}

/* ---- the run directory ---- */

static void enable(const char *directory)
{
	for (int c = 0; c < CAGE_CONTROLLERS; c++) {
		char text[16];

		snprintf(text, sizeof(text), "+%s", controllers[c]);
		write_in(directory, "cgroup.subtree_control", text);
	}
}

int cages_open(struct cages *cages, unsigned *ret_cleared)
{
	char root[CAGE_PATH], v1[CAGE_CONTROLLERS][CAGE_PATH] = { "" }, parent[CAGE_PATH], name[32];
	char enabled[512];
	int error;

	memset(cages, 0, sizeof(*cages));
	cages->lock = -1;
	error = find_mounts(root, v1);
	if (error)
		return error;
	error = make_directory(parent, sizeof(parent), root, "oncpu");
	if (error)
		return error;
	*ret_cleared = clear_the_dead(parent, true);
	enable(root);
	enable(parent);
	snprintf(name, sizeof(name), "run-%d", getpid());
	error = make_directory(cages->run, sizeof(cages->run), parent, name);
	if (error)
		return error;
	enable(cages->run);
	cages->lock = open(cages->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cages->lock < 0 || flock(cages->lock, LOCK_EX | LOCK_NB))
		return -errno;
	read_in(cages->run, "cgroup.subtree_control", enabled, sizeof(enabled));
	for (int c = 0; c < CAGE_CONTROLLERS; c++) {
		cages->unified[c] = has_word(enabled, controllers[c], " \n");
		if (cages->unified[c] || !v1[c][0])
			continue;
		if (make_directory(parent, sizeof(parent), v1[c], "oncpu"))
			continue;
		clear_the_dead(parent, false);
		if (make_directory(cages->v1[c], sizeof(cages->v1[c]), parent, name))
			cages->v1[c][0] = '\0';
	}
	return 0;
}

void cages_close(struct cages *cages)
{
	if (cages->lock < 0)
		return;
	clear_run(cages->run);
	for (int c = 0; c < CAGE_CONTROLLERS; c++)
		if (cages->v1[c][0]) {
			remove_tree_below(cages->v1[c]);
			rmdir(cages->v1[c]);
		}
	close(cages->lock);
	cages->lock = -1;
}

const char *cages_cannot(const struct cages *cages, enum cage_controller controller)
{
	return cages->unified[controller] || cages->v1[controller][0] ? NULL
								      : controllers[controller];
}

/* ---- one cage ---- */

static int limit(const struct cages *cages, const struct cage *cage, enum cage_controller c,
		 const char *v2_file, const char *v1_file, const char *text)
{
	if (cages->unified[c])
		return write_at(cage->fd, v2_file, text);
	return cage->v1[c][0] ? write_in(cage->v1[c], v1_file, text) : 0;
}

static int limits(const struct cages *cages, const struct cage *cage,
		  const struct slicer_function *f)
{
	char text[64];
	int error;

	snprintf(text, sizeof(text), "%lld", (long long)f->memory_mb << 20);
	error = limit(cages, cage, CAGE_MEMORY, "memory.max", "memory.limit_in_bytes", text);
	snprintf(text, sizeof(text), "%lld", (long long)f->processes);
	if (!error)
		error = limit(cages, cage, CAGE_PIDS, "pids.max", "pids.max", text);
	if (!error && f->milli_cpus) { /* of a period of 100 ms */
		snprintf(text, sizeof(text), cages->unified[CAGE_CPU] ? "%lld 100000" : "%lld",
			 (long long)f->milli_cpus * 100);
		error = limit(cages, cage, CAGE_CPU, "cpu.max", "cpu.cfs_quota_us", text);
	}
	return error;
}

int cage_make(const struct cages *cages, const char *name, const struct slicer_function *f,
	      struct cage *cage)
{
	struct stat st;
	int error;

	memset(cage, 0, sizeof(*cage));
	cage->fd = cage->events = cage->freezer = -1;
	error = make_directory(cage->path, sizeof(cage->path), cages->run, name);
	if (error) {
		cage->path[0] = '\0';
		return error;
	}
	cage->fd = open(cage->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cage->fd < 0 || fstat(cage->fd, &st))
		return -errno;
	cage->id = st.st_ino;
	cage->events = openat(cage->fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	cage->freezer = openat(cage->fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
	if (cage->events < 0 || cage->freezer < 0)
		return -errno;
	for (int c = 0; c < CAGE_CONTROLLERS; c++)
		if (cages->v1[c][0] &&
		    (error = make_directory(cage->v1[c], sizeof(cage->v1[c]), cages->v1[c], name)))
			return error;
	return limits(cages, cage, f);
}

int cage_enter_v1(const struct cage *cage)
{
	for (int c = 0; c < CAGE_CONTROLLERS; c++) {
		int error = cage->v1[c][0] ? write_in(cage->v1[c], "cgroup.procs", "0") : 0;

		if (error)
			return error;
	}
	return 0;
}

int cage_enter(const struct cage *cage)
{
	return write_at(cage->fd, "cgroup.procs", "0");
}

int cage_freeze(const struct cage *cage, bool frozen)
{
	return pwrite(cage->freezer, frozen ? "1" : "0", 1, 0) == 1 ? 0 : -errno;
}

int cage_kill(const struct cage *cage)
{
	return write_at(cage->fd, "cgroup.kill", "1");
}

bool cage_populated(const struct cage *cage)
{
	char text[256];
	ssize_t n = pread(cage->events, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "populated 1");
}

static uint64_t resident_bytes(pid_t pid)
{
	unsigned long long pages = 0;
	char path[32], text[128];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (read_in(path, "statm", text, sizeof(text)) <= 0 ||
	    sscanf(text, "%*u %llu", &pages) != 1)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Of the first few hundred processes; those of nested cgroups are not counted. */
static uint64_t see_resident(struct cage *cage)
{
	char text[4096], *save = NULL;
	uint64_t sum = 0;

	if (read_in(cage->path, "cgroup.procs", text, sizeof(text)) <= 0)
		return cage->seen_bytes;
	for (char *w = strtok_r(text, "\n", &save); w; w = strtok_r(NULL, "\n", &save))
		sum += resident_bytes(atoi(w));
	cage->seen_bytes = sum > cage->seen_bytes ? sum : cage->seen_bytes;
	return cage->seen_bytes;
}

uint64_t cage_peak_bytes(struct cage *cage)
{
	char text[64];

	if (read_in(cage->path, "memory.peak", text, sizeof(text)) > 0)
		return strtoull(text, NULL, 10);
	if (cage->v1[CAGE_MEMORY][0] &&
	    read_in(cage->v1[CAGE_MEMORY], "memory.max_usage_in_bytes", text, sizeof(text)) > 0)
		return strtoull(text, NULL, 10);
	return see_resident(cage);
}

int cage_remove(struct cage *cage)
{
	int error = 0;

	if (cage->events >= 0)
		close(cage->events);
	if (cage->freezer >= 0)
		close(cage->freezer);
	if (cage->fd >= 0)
		close(cage->fd);
	cage->fd = cage->events = cage->freezer = -1;
	if (cage->path[0]) {
		remove_tree_below(cage->path);
		error = rmdir(cage->path) ? -errno : 0;
	}
	for (int c = 0; c < CAGE_CONTROLLERS; c++)
		if (cage->v1[c][0])
			rmdir(cage->v1[c]);
	cage->path[0] = '\0';
	return error;
}
