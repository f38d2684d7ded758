/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What it costs to track many instances: memory of the kernel, and of a context switch between two
 * of them, measured in turns with two tracked and with all of them.
 *
 * tracked COUNT PATTERN ROUNDS   they are there already (crowd). It prints
 *	memory MAP BYTES-A-SLOT BYTES-IN-ALL    each map that grows with the table of instances
 *	adopt MS                                median, of the load of the programs and the adoption
 *	switch NOTHING FEW MANY                 ns: the quickest of the rounds, for what disturbs
 *only adds
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "cost/cost.h"

enum { SPARE = 240, FEW = 16, ASKS = 3, MAPS = 64 };

void clean_up(void)
{
	char path[700];

	loads_down();
	kern_unpin(PIN_DIR);
	for (const char *c = "ab"; *c && cgroup_root[0]; c++) {
		bench_cgroup(*c, path);
		rmdir(path);
	}
}

/* ---- memory ---- */

static long memory_of(const char *pin)
{
	char path[400], line[128];
	long bytes = -1;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), PIN_DIR "/%s", pin);
	fd = bpf_obj_get(path);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fd < 0 ? NULL : fopen(path, "re");
	while (f && bytes < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %ld", &bytes) != 1)
			bytes = -1;
	if (f)
		fclose(f);
	if (fd >= 0)
		close(fd);
	if (bytes < 0)
		die(pin);
	return bytes;
}

struct map {
	char name[64];
	long bytes;
};

static int all_maps(struct map maps[MAPS])
{
	DIR *d = opendir(PIN_DIR);
	struct dirent *e;
	int n = 0;

	while (d && n < MAPS && (e = readdir(d)))
		if (!strncmp(e->d_name, "map_", 4)) {
			snprintf(maps[n].name, sizeof(maps[n].name), "%.60s", e->d_name);
			maps[n].bytes = memory_of(e->d_name);
			n++;
		}
	if (!d)
		die(PIN_DIR);
	closedir(d);
	return n;
}

/* Between a small table and a large one: what each further slot takes. */
static void memory(uint32_t count)
{
	struct map few[MAPS];
	struct kern_owner *owner = oncpu_up((struct how){ .max_instances = FEW });
	int n = all_maps(few);
	long now;

	oncpu_down(&owner);
	owner = oncpu_up((struct how){ .max_instances = count });
	for (int i = 0; i < n; i++) {
		now = memory_of(few[i].name);
		if (now != few[i].bytes || now > 1 << 20)
			printf("memory %s %.1f %ld\n", few[i].name + 4,
			       (double)(now - few[i].bytes) / (count - FEW), now);
	}
	oncpu_down(&owner);
}

/* ---- a switch ---- */

static double quickest(void)
{
	double best = 0, ns;

	for (int i = 0; i < ASKS; i++) {
		ns = ask(&ping_pong, 's');
		best = i && best < ns ? best : ns;
	}
	return best;
}

static double with(struct how how, double *ret_up_ms)
{
	uint64_t begin = now_ns();
	struct kern_owner *owner = oncpu_up(how);
	double ns;

	if (ret_up_ms)
		*ret_up_ms = (double)(now_ns() - begin) / 1e6;
	pause_ms(SETTLES_MS);
	ns = quickest();
	oncpu_down(&owner);
	pause_ms(SETTLES_MS);
	return ns;
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_size);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void keep_least(double *least, double ns)
{
	if (!*least || ns < *least)
		*least = ns;
}

static void switches(uint32_t count, const char *pattern, int rounds)
{
	struct how few = { .tracked = true, .max_instances = count }, many = few;
	double nothing_ns = 0, few_ns = 0, many_ns = 0, up_ms[MAX_ROUNDS];

	many.also = pattern;
	for (int i = 0; i < rounds; i++) {
		keep_least(&nothing_ns, quickest());
		if (i % 2) /* each comes first as often */
			keep_least(&few_ns, with(few, NULL));
		keep_least(&many_ns, with(many, &up_ms[i]));
		keep_least(&nothing_ns, quickest());
		if (i % 2 == 0)
			keep_least(&few_ns, with(few, NULL));
	}
	printf("adopt %.0f\n", median(up_ms, rounds));
	printf("switch %.1f %.1f %.1f\n", nothing_ns, few_ns, many_ns);
}

int main(int argc, char **argv)
{
	uint32_t count = argc == 4 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	int rounds = argc == 4 ? atoi(argv[3]) : 0, others;
	char path[700];

	if (!count || rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "tracked COUNT PATTERN ROUNDS (1 to %d)\n", MAX_ROUNDS);
		return 2;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	catch_signals();
	if (!attached_set_up(&others) || kern_cgroup_root(cgroup_root, sizeof(cgroup_root)))
		die("cannot set up");
	for (const char *c = "ab"; *c; c++) {
		bench_cgroup(*c, path);
		if (mkdir(path, 0755) && errno != EEXIST)
			die("cannot make a cgroup");
	}
	ping_pong_up();
	memory(count + SPARE);
	switches(count + SPARE, argv[2], rounds);
	clean_up();
	return 0;
}
