/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Loads, pins and adopts the kernel side.
 *
 * PIN_DIR/map_*   every map, so that totals and events outlive the agent
 * PIN_DIR/link_*  the stubs' attachments: made once, never by a second agent
 * PIN_DIR/mark-*, symbol-*  the uprobes' attachments
 * PIN_DIR/call    the boundary program, replaced at each start
 * A new agent loads its own programs over the pinned maps and puts them behind the old stubs: one
 * map update a hook, and no boundary is seen twice or not at all. (The switch's: handover.c.)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include "kern/kern_internal.h"
#include "oncpu.skel.h" /* after the ABI, whose structs it names */

#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static char libbpf_line[256];

static int keep_libbpf_line(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (getenv("ONCPU_LIBBPF_LOG"))
		vfprintf(stderr, format, arguments);
	else if (level == LIBBPF_WARN && !libbpf_line[0])
		vsnprintf(libbpf_line, sizeof(libbpf_line), format, arguments);
	return 0;
}

/* ---- what must be there before anything is loaded ---- */

static int check_host(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	if (geteuid() != 0)
		return kern_fail(-EPERM, "loading eBPF needs root (run it with sudo)");
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return kern_fail(
			-ENOENT,
			"no /sys/kernel/btf/vmlinux: this kernel was built without "
			"CONFIG_DEBUG_INFO_BTF (use a kernel that has it, as Debian's do)");
	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return kern_fail(-ENOSYS, "cannot tell the kernel's version");
	if (major < 6 || (major == 6 && minor < 1))
		return kern_fail(-ENOSYS, "kernel %s is too old: oncpu needs Linux 6.1 or newer",
				 u.release);
	return 0;
}

static int mount_bpffs(const char *directory)
{
	struct statfs fs;

	if (!statfs(directory, &fs) && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", directory, "bpf", 0, "mode=0700"))
		return kern_fail(-errno,
				 "cannot mount bpffs on %s: %s (mount it: mount -t bpf bpf %s)",
				 directory, strerror(errno), directory);
	return 0;
}

static int prepare_pin_dir(const char *pin_dir)
{
	struct statfs fs;
	int error;

	if (!strncmp(pin_dir, "/sys/fs/bpf", 11) && (error = mount_bpffs("/sys/fs/bpf")))
		return error;
	if (mkdir(pin_dir, 0700) && errno != EEXIST)
		return kern_fail(-errno, "cannot make the pin directory %s: %s", pin_dir,
				 strerror(errno));
	if (statfs(pin_dir, &fs) || fs.f_type != BPF_FS_MAGIC)
		return kern_fail(-EINVAL,
				 "%s is not on a bpffs (choose a --pin-dir under /sys/fs/bpf)",
				 pin_dir);
	return 0;
}

static int pin_path(const struct kern_owner *o, const char *name, char *buffer, size_t size)
{
	int n = snprintf(buffer, size, "%s/%s", o->pin_dir, name);

	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static bool is_ours(const char *name)
{
	return !strncmp(name, "map_", 4) || !strncmp(name, "link_", 5) ||
	       !strncmp(name, "mark-", 5) || !strncmp(name, "symbol-", 7) || !strcmp(name, "call");
}

/* How many there were. The control map goes first: without it the rest is not taken for whole. */
static int remove_pins(const char *pin_dir)
{
	DIR *d = opendir(pin_dir);
	struct dirent *e;
	int removed = 0, error = 0;

	if (!d)
		return -errno;
	if (!unlinkat(dirfd(d), "map_control", 0))
		removed++;
	else if (errno != ENOENT)
		error = -errno;
	while (!error && (e = readdir(d))) {
		if (!is_ours(e->d_name))
			continue;
		if (!unlinkat(dirfd(d), e->d_name, 0))
			removed++;
		else if (errno != ENOENT)
			error = -errno;
	}
	closedir(d);
	return error ? error : removed;
}

static int map_control(int fd, struct oncpu_control **ret_control)
{
	void *memory = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ret_control = memory;
	return 0;
}

/* 0; -ENOENT: no pin there; -EPROTO: another layout's. */
static int open_control(const char *pin_dir, struct oncpu_control **ret_control)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	char path[300];
	int fd, error;

	if (snprintf(path, sizeof(path), "%s/map_control", pin_dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	error = bpf_obj_get_info_by_fd(fd, &info, &length) ? -errno : 0;
	if (!error && info.value_size != sizeof(struct oncpu_control))
		error = -EPROTO;
	if (!error)
		error = map_control(fd, ret_control);
	close(fd);
	return error;
}

/* The pins of an earlier agent: 1 = adopt them, 0 = there are none, -EPROTO = not ours to touch. */
static int look_at_pins(struct kern_owner *o)
{
	int error = open_control(o->pin_dir, &o->control);
	uint32_t version = o->control ? o->control->abi_version : 0;

	/* killed while it made its pins or removed them: they are no use, and a link among them
	 * would keep the new hooks from being attached */
	if (error == -ENOENT || (!error && !version)) {
		if (o->control)
			munmap(o->control, sysconf(_SC_PAGESIZE));
		o->control = NULL;
		error = remove_pins(o->pin_dir);
		return error < 0 ? kern_fail(error, "cannot remove what is left in %s: %s",
					     o->pin_dir, strerror(-error))
				 : 0;
	}
	if (!error && version == ONCPU_ABI_VERSION)
		return 1;
	if (error && error != -EPROTO)
		return kern_fail(error, "cannot read %s/map_control: %s", o->pin_dir,
				 strerror(-error));
	return kern_fail(-EPROTO,
			 "%s holds the maps of another oncpu version (layout %u, this one has %u): "
			 "start and stop that version with --unpin, it stores what waits there; or "
			 "give that up: sudo oncpu unpin --pin-dir %s",
			 o->pin_dir, version, ONCPU_ABI_VERSION, o->pin_dir);
}

/* ---- sizes ---- */

static uint32_t read_number(const char *path, uint32_t fallback)
{
	FILE *f = fopen(path, "re");
	unsigned long value;

	if (!f)
		return fallback;
	if (fscanf(f, "%lu", &value) != 1 || value > UINT32_MAX)
		value = fallback;
	fclose(f);
	return (uint32_t)value;
}

struct sizes {
	uint32_t instances, threads, cpus, pids, ring;
};

static int choose_sizes(const struct kern_owner *o, const struct kern_config *c, struct sizes *ret)
{
	int possible = libbpf_num_possible_cpus();
	struct sizes s = { .instances = c->max_instances ? c->max_instances : 4096,
			   .threads = c->max_threads ? c->max_threads : 65536,
			   .ring = c->ring_bytes ? c->ring_bytes : 16u << 20 };

	if (possible < 1 || possible > (int)ONCPU_MAX_CPUS)
		return kern_fail(-ENOSYS, "%d possible CPUs: oncpu handles up to %u", possible,
				 ONCPU_MAX_CPUS);
	s.cpus = (uint32_t)possible;
	s.pids = c->pid_max ? c->pid_max : read_number("/proc/sys/kernel/pid_max", 32768);
	if (o->control) { /* adopted: the pinned sizes stand */
		s.instances = o->control->max_instances;
		s.threads = o->control->max_threads;
		s.pids = o->control->pid_max;
		s.ring = o->control->ring_bytes;
	}
	if (s.instances < 2 || s.instances > 1u << ONCPU_INSTANCE_BITS)
		return kern_fail(-EINVAL, "max_instances %u is not in 2 … %u", s.instances,
				 1u << ONCPU_INSTANCE_BITS);
	if (s.threads < 2 || s.threads > 4u << 20)
		return kern_fail(-EINVAL, "max_threads %u is not in 2 … %u", s.threads, 4u << 20);
	if (s.ring < 4096 || s.ring & (s.ring - 1) || s.ring > 1u << 30)
		return kern_fail(-EINVAL, "ring_bytes %u is not a power of two in 4096 … 2^30",
				 s.ring);
	*ret = s;
	return 0;
}

static void set_sizes(struct oncpu_bpf *skel, const struct sizes *s)
{
	bpf_map__set_max_entries(skel->maps.instances, s->instances);
	bpf_map__set_max_entries(skel->maps.wheres, s->instances);
	bpf_map__set_max_entries(skel->maps.totals, s->instances * s->cpus);
	bpf_map__set_max_entries(skel->maps.irqs, s->cpus);
	bpf_map__set_max_entries(skel->maps.threads, s->threads);
	bpf_map__set_max_entries(skel->maps.tids, s->pids + 1);
	bpf_map__set_max_entries(skel->maps.slots, s->cpus);
	bpf_map__set_max_entries(skel->maps.cgroups, s->instances * 4);
	bpf_map__set_max_entries(skel->maps.events, s->ring);
	skel->rodata->max_instances = s->instances;
	skel->rodata->max_threads = s->threads;
	skel->rodata->cpus = s->cpus;
}

static int set_pins(struct kern_owner *o)
{
	struct bpf_map *map;
	char path[300], name[64];
	int error;

	bpf_object__for_each_map(map, o->skel->obj)
	{
		const char *m = bpf_map__name(map);

		if (strstr(m, ".rodata") || strstr(m, ".bss") || !strncmp(m, "scratch", 7))
			continue;
		snprintf(name, sizeof(name), "map_%s", m);
		if ((error = pin_path(o, name, path, sizeof(path))) ||
		    (error = bpf_map__set_pin_path(map, path)))
			return error;
	}
	return 0;
}

/* ---- hooks ---- */

struct hook {
	struct bpf_map *array;
	struct bpf_program *program, *stub;
	const char *pin;
};

static int put_behind_stub(const struct hook *h)
{
	uint32_t zero = 0;
	int fd = bpf_program__fd(h->program);

	return bpf_map_update_elem(bpf_map__fd(h->array), &zero, &fd, BPF_ANY) ? -errno : 0;
}

static int attach_stub(struct kern_owner *o, const struct hook *h)
{
	struct bpf_link *link;
	char path[300];
	int error = pin_path(o, h->pin, path, sizeof(path));

	if (error || !access(path, F_OK))
		return error; /* attached by an earlier agent: the same stub, the same array */
	link = bpf_program__attach(h->stub);
	if (!link)
		return -errno;
	error = bpf_link__pin(link, path);
	if (error) {
		bpf_link__destroy(link);
		return error;
	}
	close(bpf_link__fd(
		link)); /* the pin alone holds it; destroy leaves a disconnected one's open */
	bpf_link__disconnect(link);
	bpf_link__destroy(link);
	return 0;
}

static int detach_stub(struct kern_owner *o, const struct hook *h)
{
	char path[300];
	int error = pin_path(o, h->pin, path, sizeof(path));

	return error ? error : unlink(path) && errno != ENOENT ? -errno : 0;
}

/* What is optional: behind its stub and attached, or neither. */
static int attach_if(struct kern_owner *o, const struct hook *hooks, size_t count, bool wanted)
{
	int error = 0;

	for (size_t i = 0; i < count && !error; i++)
		error = wanted ? put_behind_stub(&hooks[i]) : detach_stub(o, &hooks[i]);
	for (size_t i = 0; i < count && !error && wanted; i++)
		error = attach_stub(o, &hooks[i]);
	return error;
}

static int attach_hooks(struct kern_owner *o, const struct kern_config *c)
{
	struct oncpu_bpf *s = o->skel;
#define HOOK(name, on)                                                                             \
	{                                                                                          \
		s->maps.hook_##name, s->progs.on, s->progs.stub_##name, "link_" #name              \
	}
	const struct hook hooks[] = {
		HOOK(free, on_free),
		HOOK(fork, on_fork),
		HOOK(exec, on_exec),
		HOOK(migrate, on_migrate),
		HOOK(wakeup_new, on_wakeup_new),
		HOOK(cgroup_mkdir, on_cgroup_mkdir),
		HOOK(cgroup_rmdir, on_cgroup_rmdir),
		HOOK(cgroup_attach, on_cgroup_attach),
		HOOK(rename, on_rename), /* last: it can be gone without */
	};
	const struct hook watching[] = {
		HOOK(wakeup, on_wakeup),
		HOOK(notify_frozen, on_notify_frozen),
		HOOK(unfreeze, on_unfreeze),
	};
	const struct hook interrupts[] = {
		HOOK(irq_entry, on_irq_entry),	       HOOK(irq_exit, on_irq_exit),
		HOOK(softirq_entry, on_softirq_entry), HOOK(softirq_exit, on_softirq_exit),
		HOOK(timer_entry, on_timer_entry),     HOOK(timer_exit, on_timer_exit),
		HOOK(ipi_entry, on_ipi_entry),	       HOOK(ipi_exit, on_ipi_exit),
	};
	/* first: a thread that joins is seen from its next switch on */
	const struct hook the_switch = HOOK(switch, on_switch);
	const struct hook mark = { s->maps.hook_mark, s->progs.on_mark, NULL, NULL };
	size_t count = ARRAY_LENGTH(hooks) - !!(o->without & KERN_WITHOUT_HELLO);
	int error = bpf_program__autoload(mark.program) ? put_behind_stub(&mark) : 0;

	if (count < ARRAY_LENGTH(hooks) && !error)
		error = detach_stub(o, &hooks[count]);
	for (size_t i = 0; i < count && !error; i++)
		error = put_behind_stub(&hooks[i]);
	error = error ? error : attach_if(o, watching, ARRAY_LENGTH(watching), c->where);
	error = error ? error : attach_if(o, interrupts, ARRAY_LENGTH(interrupts), c->irq);
	if (!error && ((error = kern_handover(o)) || (error = attach_stub(o, &the_switch))))
		return kern_fail(error, "cannot attach the switch hook: %s", strerror(-error));
	for (size_t i = 0; i < count && !error; i++) {
		error = attach_stub(o, &hooks[i]);
		if (error)
			return kern_fail(error, "cannot attach the %s hook: %s", hooks[i].pin,
					 strerror(-error));
	}
	return error;
}

static int pin_call(struct kern_owner *o)
{
	char path[300];
	int error = pin_path(o, "call", path, sizeof(path));

	if (error)
		return error;
	unlink(path);
	return bpf_program__pin(o->skel->progs.on_call, path);
}

static int write_control(struct kern_owner *o, const struct kern_config *c, const struct sizes *s)
{
	struct oncpu_pattern p;
	uint32_t i;
	int error;

	if (!o->control && (error = map_control(bpf_map__fd(o->skel->maps.control), &o->control)))
		return error;
	if (!o->hands_over)
		o->control->switch_identity = o->switch_identity;
	o->control->max_instances = s->instances;
	o->control->max_threads = s->threads;
	o->control->cpus = s->cpus;
	o->control->pid_max = s->pids;
	o->control->ring_bytes = s->ring;
	o->control->adopt_tgid = 0;
	if (!o->control->symbol_generation)
		o->control->symbol_generation = o->symbol_generation; /* there is no earlier one */
	for (i = 0; i < o->pattern_count && i < ONCPU_MAX_PATTERNS; i++) {
		memset(&p, 0, sizeof(p));
		snprintf(p.function, sizeof(p.function), "%s", c->patterns[i].function);
		snprintf(p.pattern, sizeof(p.pattern), "%s", c->patterns[i].pattern);
		if (bpf_map_update_elem(bpf_map__fd(o->skel->maps.patterns), &i, &p, BPF_ANY))
			return -errno;
	}
	o->control->pattern_count = i;
	/* last: an agent that finds the version finds everything above it */
	__atomic_store_n(&o->control->abi_version, ONCPU_ABI_VERSION, __ATOMIC_RELEASE);
	return 0;
}

/* Programs whose tracepoint a kernel without it cannot even look up: stubs, too. */
static void leave_out_interrupts(struct oncpu_bpf *s, bool wanted)
{
	struct bpf_program *const programs[] = {
		s->progs.on_irq_entry,	   s->progs.on_irq_exit,	s->progs.on_softirq_entry,
		s->progs.on_softirq_exit,  s->progs.on_timer_entry,	s->progs.on_timer_exit,
		s->progs.on_ipi_entry,	   s->progs.on_ipi_exit,	s->progs.stub_irq_entry,
		s->progs.stub_irq_exit,	   s->progs.stub_softirq_entry, s->progs.stub_softirq_exit,
		s->progs.stub_timer_entry, s->progs.stub_timer_exit,	s->progs.stub_ipi_entry,
		s->progs.stub_ipi_exit,
	};

	for (size_t i = 0; i < ARRAY_LENGTH(programs); i++)
		bpf_program__set_autoload(programs[i], wanted);
}

static int default_lags(struct kern_owner *o)
{
	int fd = bpf_map__fd(o->skel->maps.slots);
	struct oncpu_slot slot;
	struct timespec now;
	int64_t offset;
	bool known = !(o->without & KERN_WITHOUT_CLOCK) && !kern_clock_offset(&offset);

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (uint32_t c = 0; c < o->cpus; c++) {
		if (bpf_map_lookup_elem(fd, &c, &slot))
			return -errno;
		if (slot.hook_lag_ns)
			continue; /* adopted: calibrated already */
		memset(&slot, 0, sizeof(slot));
		slot.hook_lag_ns = 650;
		if (known) { /* or the first window has too few samples to be true */
			slot.d_now = slot.d_before = offset + 650;
			slot.d_window = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
		}
		if (bpf_map_update_elem(fd, &c, &slot, BPF_ANY))
			return -errno;
	}
	return 0;
}

/* A scheduler's clock whose TSC is not stable keeps within a tick of ktime, and no nearer: up to 10
 * ms (HZ 100). Then the kernel takes its time from something else, too. */
#define CLOCK_UNSURE_NS 10000000u

static bool clock_is_stable(void)
{
	static const char *const stable[] = { "tsc", "kvm-clock", "hyperv", "xen", "arch" };
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
	char name[64] = "";

	if (!f)
		return true; /* sysfs is hidden here: nothing says that it is not */
	if (!fgets(name, sizeof(name), f))
		name[0] = 0;
	fclose(f);
	for (size_t i = 0; i < ARRAY_LENGTH(stable); i++)
		if (!strncmp(name, stable[i], strlen(stable[i])))
			return true;
	return !name[0];
}

static void look_without(struct kern_owner *o, const struct kern_config *c,
			 const struct kern_btf_facts *facts)
{
	o->without = c->without;
	if (!facts->steal_from_rq)
		o->without |= KERN_WITHOUT_STEAL;
	if (!facts->direct_reads || c->no_direct_reads)
		o->without |= KERN_WITHOUT_DIRECT_READS;
	if (!facts->per_cpu_from_rq)
		o->without |= KERN_WITHOUT_BOOKS;
	if (!clock_is_stable())
		o->without |= KERN_WITHOUT_CLOCK;
	if (access("/sys/bus/event_source/devices/uprobe/type", R_OK))
		o->without |= KERN_WITHOUT_UPROBES;
	if (!o->cgroup_root[0])
		o->without |= KERN_WITHOUT_CGROUPS;
}

uint32_t kern_owner_without(const struct kern_owner *o)
{
	return o->without;
}

static int load(struct kern_owner *o, const struct kern_config *c)
{
	const char *log = getenv("ONCPU_LIBBPF_LOG"); /* 4: the verifier's statistics, too */
	LIBBPF_OPTS(bpf_object_open_opts, options,
		    .kernel_log_level = log ? (uint32_t)strtoul(log, NULL, 10) : 0);
	struct kern_btf_facts facts;
	struct sizes sizes = {};
	char path[300];
	int error = choose_sizes(o, c, &sizes);

	if (error)
		return error;
	libbpf_line[0] = 0;
	libbpf_set_print(keep_libbpf_line);
	o->skel = oncpu_bpf__open_opts(&options);
	if (!o->skel)
		return kern_fail(-errno, "cannot open the BPF object: %s", strerror(errno));
	o->cpus = sizes.cpus;
	set_sizes(o->skel, &sizes);
	if (c->no_transit_cap)
		o->skel->rodata->transit_cap_ns = UINT32_MAX;
	o->skel->rodata->hidden_check = c->hidden_check;
	kern_read_btf(&facts);
	look_without(o, c, &facts);
	o->skel->rodata->live_steal = c->live_steal && !(c->without & KERN_WITHOUT_STEAL);
	o->skel->rodata->steal_from_rq = facts.steal_from_rq;
	o->skel->rodata->per_cpu_from_rq =
		o->without & KERN_WITHOUT_BOOKS ? 0 : facts.per_cpu_from_rq;
	o->skel->rodata->direct_reads = !(o->without & KERN_WITHOUT_DIRECT_READS);
	if (o->without & KERN_WITHOUT_CLOCK)
		o->skel->rodata->clock_unsure_ns = CLOCK_UNSURE_NS;
	o->skel->rodata->may_stop = !(o->without & KERN_WITHOUT_STOP);
	o->skel->rodata->wakeup_bound = !c->no_wakeup_bound;
	o->skel->rodata->where_on = c->where;
	bpf_program__set_autoload(o->skel->progs.on_wakeup, c->where);
	bpf_program__set_autoload(o->skel->progs.on_notify_frozen, c->where);
	bpf_program__set_autoload(o->skel->progs.on_unfreeze, c->where);
	o->skel->rodata->irq_on = c->irq;
	leave_out_interrupts(o->skel, c->irq);
	o->skel->rodata->open_trap = c->open_trap;
	o->symbol_generation = kern_next_generation(o);
	o->skel->rodata->symbol_generation = o->symbol_generation;
	o->skel->rodata->skip_check = !c->no_skip_check;
	if ((error = set_pins(o)) || (error = pin_path(o, "link_switch", path, sizeof(path))))
		return error;
	kern_handover_choose(o, !access(path, F_OK));
	error = oncpu_bpf__load(o->skel);
	if (error)
		return kern_fail(error, "the kernel refuses the BPF programs: %s%s%s",
				 strerror(-error), libbpf_line[0] ? ": " : "", libbpf_line);
	if ((error = default_lags(o)) || (error = write_control(o, c, &sizes)))
		return error;
	if ((error = kern_where_begin(o, c->where)))
		return error;
	if ((error = attach_hooks(o, c)) || (error = pin_call(o)))
		return error;
	return 0;
}

int kern_owner_open(const struct kern_config *config, struct kern_owner **ret_owner,
		    bool *ret_adopted)
{
	struct kern_owner *o;
	int error = check_host();

	if (error)
		return error;
	if (config->pattern_count > ONCPU_MAX_PATTERNS)
		return kern_fail(-EINVAL, "%u cgroup patterns: at most %u", config->pattern_count,
				 ONCPU_MAX_PATTERNS);
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	o->cgroup_fd = -1;
	o->patterns = config->patterns;
	o->pattern_count = config->without & KERN_WITHOUT_CGROUPS ? 0 : config->pattern_count;
	snprintf(o->pin_dir, sizeof(o->pin_dir), "%s",
		 config->pin_dir ? config->pin_dir : "/sys/fs/bpf/oncpu");
	kern_fail(0, "%s", "");
	if (config->without & KERN_WITHOUT_CGROUPS)
		o->cgroup_root[0] = 0;
	else if (config->cgroup_root)
		snprintf(o->cgroup_root, sizeof(o->cgroup_root), "%s", config->cgroup_root);
	else
		kern_cgroup_root(o->cgroup_root,
				 sizeof(o->cgroup_root)); /* none: process trees only */
	error = prepare_pin_dir(o->pin_dir);
	if (!error)
		error = look_at_pins(o);
	if (error >= 0) {
		*ret_adopted = error == 1;
		error = load(o, config);
	}
	if (error) {
		if (!kern_error()[0])
			kern_fail(error, "cannot set up the kernel side in %s: %s", o->pin_dir,
				  strerror(-error));
		kern_owner_close(&o);
		return error;
	}
	*ret_owner = o;
	return 0;
}

void kern_owner_close(struct kern_owner **owner)
{
	struct kern_owner *o = *owner;

	if (!o)
		return;
	if (o->control)
		munmap(o->control, sysconf(_SC_PAGESIZE));
	if (o->cgroup_fd >= 0)
		close(o->cgroup_fd);
	oncpu_bpf__destroy(o->skel);
	free(o);
	*owner = NULL;
}

int kern_unpin(const char *pin_dir)
{
	struct statfs fs;
	int removed;

	if (statfs(pin_dir, &fs))
		return errno == ENOENT ? 0
				       : kern_fail(-errno, "cannot look into %s: %s", pin_dir,
						   strerror(errno));
	if (fs.f_type != BPF_FS_MAGIC)
		return kern_fail(-EINVAL, "%s is not on a bpffs: no pins of oncpu's are there",
				 pin_dir);
	removed = remove_pins(pin_dir);
	if (removed < 0)
		return kern_fail(removed, "cannot remove the pins in %s: %s", pin_dir,
				 strerror(-removed));
	/* somebody else's may be there, or it is the mount itself */
	if (rmdir(pin_dir) && errno != ENOENT && errno != ENOTEMPTY && errno != EBUSY &&
	    errno != EPERM)
		return kern_fail(-errno, "cannot remove %s: %s", pin_dir, strerror(errno));
	return removed;
}

bool kern_pins_in_use(const char *pin_dir)
{
	struct oncpu_control *control = NULL;
	uint64_t before, now;

	if (open_control(pin_dir, &control))
		return false;
	before = now = __atomic_load_n(&control->heartbeat_ns, __ATOMIC_RELAXED);
	for (int i = 0; before && now == before && i < 60; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		now = __atomic_load_n(&control->heartbeat_ns, __ATOMIC_RELAXED);
	}
	munmap(control, sysconf(_SC_PAGESIZE));
	return now != before;
}

int kern_owner_fd(const struct kern_owner *o, enum kern_fd which)
{
	const struct bpf_map *const maps[KERN_FD_COUNT] = {
		[KERN_FD_EVENTS] = o->skel->maps.events,
		[KERN_FD_REQUESTS] = o->skel->maps.requests,
		[KERN_FD_CONTROL] = o->skel->maps.control,
		[KERN_FD_INSTANCES] = o->skel->maps.instances,
		[KERN_FD_TOTALS] = o->skel->maps.totals,
		[KERN_FD_COUNTERS] = o->skel->maps.counters,
	};

	return which < KERN_FD_COUNT ? bpf_map__fd(maps[which]) : -EINVAL;
}
