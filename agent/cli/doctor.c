/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu doctor: what this kernel and these rights allow; each line with its cure. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/json_writer.h"
#include "cli/cgroup.h"
#include "cli/cli.h"
#include "core/metrics.h"
#include "kern/kern.h"

enum verdict { GOOD, WARN, BAD };

struct doctor {
	bool json, healthy;
	int bad, warned;
};

__attribute__((format(printf, 5, 6))) static void
say(struct doctor *d, enum verdict v, const char *what, const char *cure, const char *format, ...)
{
	static const char *const words[] = { "ok", "WARN", "FAIL" };
	char found[512], line[2048];
	struct json_writer w;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(found, sizeof(found), format, arguments);
	va_end(arguments);
	d->bad += v == BAD;
	d->warned += v == WARN;
	if (!d->json) {
		printf("%-4s  %-22s %s\n", words[v], what, found);
		if (v != GOOD && cure && *cure)
			printf("%29s→ %s\n", "", cure);
		return;
	}
	jw_begin(&w, line, sizeof(line));
	jw_object_open(&w);
	jw_key_string(&w, "verdict", words[v]);
	jw_key_string(&w, "what", what);
	jw_key_string(&w, "found", found);
	jw_key_string(&w, "cure", v == GOOD || !cure ? "" : cure);
	jw_object_close(&w);
	if (jw_end(&w) > 0)
		puts(line);
}

static long read_long(const char *path)
{
	FILE *f = fopen(path, "re");
	long value = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

/* ---- the host ---- */

static void check_kernel(struct doctor *d)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	say(d, major > 6 || (major == 6 && minor >= 1) ? GOOD : BAD, "kernel",
	    "use Linux 6.1 or newer", "Linux %s, %s", u.release, u.machine);
	if (strcmp(u.machine, "x86_64"))
		say(d, BAD, "architecture", "marks and hellos are x86-64 only", "%s", u.machine);
	say(d, access("/sys/kernel/btf/vmlinux", R_OK) ? BAD : GOOD, "BTF",
	    "use a kernel with CONFIG_DEBUG_INFO_BTF, as Debian's are", "%s",
	    access("/sys/kernel/btf/vmlinux", R_OK) ? "no /sys/kernel/btf/vmlinux"
						    : "/sys/kernel/btf/vmlinux");
	say(d, geteuid() ? BAD : GOOD, "rights", "run it with sudo", "%s",
	    geteuid() ? "not root: the kernel side cannot be loaded" : "root");
}

static void check_cgroup(struct doctor *d)
{
	char root[256], path[300], controllers[128] = "";
	FILE *f;

	if (cgroup_mount(root, sizeof(root))) {
		say(d, BAD, "cgroup v2", "mount -t cgroup2 none /sys/fs/cgroup",
		    "no cgroup2 mount: only process trees can be measured");
		return;
	}
	snprintf(path, sizeof(path), "%s/cgroup.controllers", root);
	f = fopen(path, "re");
	if (f) {
		if (!fgets(controllers, sizeof(controllers), f))
			controllers[0] = 0;
		controllers[strcspn(controllers, "\n")] = 0;
		fclose(f);
	}
	say(d, GOOD, "cgroup v2", NULL, "%s, controllers: %s", root,
	    controllers[0] ? controllers : "none (a hybrid host: quotas are v1's)");
}

static void check_facts(struct doctor *d)
{
	FILE *p = popen(
		"zcat /proc/config.gz 2>/dev/null || cat /boot/config-$(uname -r) 2>/dev/null",
		"re");
	bool steal = false, irq = false, any = false;
	char line[256];

	while (p && fgets(line, sizeof(line), p)) {
		any = true;
		steal |= !strncmp(line, "CONFIG_PARAVIRT_TIME_ACCOUNTING=y", 33);
		irq |= !strncmp(line, "CONFIG_IRQ_TIME_ACCOUNTING=y", 28);
	}
	if (p)
		pclose(p);
	if (!any) {
		say(d, WARN, "kernel configuration", "none is needed; what it says here is unknown",
		    "not readable");
		return;
	}
	say(d, GOOD, "hypervisor's steal", NULL, "%s",
	    steal ? "known to the scheduler: never in cpu_ns, shown as steal_ns"
		  : "not accounted by this kernel: what a hypervisor takes is in cpu_ns");
	say(d, GOOD, "interrupts", NULL, "%s",
	    irq ? "accounted apart by the kernel: not in cpu_ns, and irq = on has nothing to take "
		  "off"
		: "charged by the kernel to whom they interrupt, so in cpu_ns; irq = on measures "
		  "them: "
		  "irq_ns, cpu_net_ns");
}

/* Loads and attaches the real thing under pins of its own, then takes it away again. */
static void check_load(struct doctor *d, uint32_t without)
{
	char pin_dir[64], what[64];
	struct kern_config config = { .pin_dir = pin_dir,
				      .without = without,
				      .max_instances = 16,
				      .max_threads = 64,
				      .ring_bytes = 65536,
				      .hidden_check = true,
				      .live_steal = true };
	struct timespec a, b;
	struct kern_owner *owner = NULL;
	bool adopted;
	int error;

	if (geteuid())
		return;
	snprintf(pin_dir, sizeof(pin_dir), "/sys/fs/bpf/oncpu-doctor-%d", getpid());
	clock_gettime(CLOCK_MONOTONIC, &a);
	error = kern_owner_open(&config, &owner, &adopted);
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (error)
		say(d, BAD, "eBPF programs", "", "%s", kern_error());
	else
		say(d, GOOD, "eBPF programs", NULL, "loaded, attached and taken away again; %ld ms",
		    (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000);
	for (unsigned i = 0; owner && kern_without_name(i); i++) {
		if (!(kern_owner_without(owner) & kern_without_bit(i)))
			continue;
		snprintf(what, sizeof(what), "without %s", kern_without_name(i));
		say(d, WARN, what, kern_without_cure(i), "%s", kern_without_loss(i));
	}
	kern_owner_close(&owner);
	kern_unpin(pin_dir);
	say(d, GOOD, "pid_max", NULL, "%ld (4 bytes of table each)",
	    read_long("/proc/sys/kernel/pid_max"));
}

/* gVisor runs its containers' code in threads of its own, which move between them: the kernel knows
 * of one cgroup and one process tree, and marks inside are instructions of nobody. */
static void check_sandboxes(struct doctor *d)
{
	DIR *proc = opendir("/proc");
	char path[300], name[32];
	struct dirent *e;
	int found = 0;

	while (proc && (e = readdir(proc))) {
		FILE *f;

		if (e->d_name[0] < '0' || e->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f) && !strncmp(name, "runsc-sandbox", 13))
			found++;
		if (f)
			fclose(f);
	}
	if (proc)
		closedir(proc);
	if (found)
		say(d, WARN, "gVisor",
		    "split at boundaries that a gateway reports (POST /v1/boundaries), or run "
		    "these "
		    "functions under another runtime",
		    "%d sandbox(es): all their work is charged to the pod's cgroup, and marks "
		    "inside "
		    "are not seen",
		    found);
}

static void check_state(struct doctor *d, const struct place *place)
{
	struct statvfs fs;

	if (statvfs(place->state_dir, &fs)) {
		say(d, errno == ENOENT ? GOOD : WARN, "state directory", "name it with --state-dir",
		    "%s: %s%s", place->state_dir, strerror(errno),
		    errno == ENOENT ? " (the agent makes it)" : "");
		return;
	}
	say(d, fs.f_bavail * fs.f_frsize < 64u << 20 ? WARN : GOOD, "state directory",
	    "make room: a full disk stops the ledger, though not the measuring",
	    "%s, %" PRIu64 " MiB free", place->state_dir,
	    (uint64_t)fs.f_bavail * fs.f_frsize >> 20);
}

/* ---- the agent ---- */

static const char *help_for(const char *name)
{
	for (unsigned i = 0; i < kern_counter_count(); i++)
		if (!strcmp(kern_counter_name(i), name))
			return kern_counter_help(i);
	return "";
}

static bool is_trouble(const char *name)
{
	return strstr(name, "lost") || strstr(name, "full") || strstr(name, "failed") ||
	       strstr(name, "torn") || strstr(name, "ignored") || strstr(name, "malformed") ||
	       !strcmp(name, "no_program") || strstr(name, "refused");
}

/* Our accounts against the kernel's own cpu.stat, as the agent compares them. */
static void say_audit(struct doctor *d, const json_t *audit)
{
	const char *last = json_string_value(json_object_get(audit, "last_mismatch"));
	long long readings = json_integer_value(json_object_get(audit, "readings"));
	long long mismatches = json_integer_value(json_object_get(audit, "mismatches"));

	long long unreadable = json_integer_value(json_object_get(audit, "unreadable"));

	if (!audit)
		return;
	if (unreadable)
		say(d, WARN, "the kernel's own books",
		    "the audit needs CAP_DAC_READ_SEARCH; the agent's log has the kernel's word",
		    "%lld times a cgroup's cpu.stat could not be read: its accounts are not "
		    "compared",
		    unreadable);
	if (!readings) {
		say(d, GOOD, "accounts = cpu.stat", NULL,
		    "nothing compared yet (instances in cgroups are, every audit = 10s)");
		return;
	}
	say(d, mismatches ? WARN : GOOD, "accounts = cpu.stat",
	    "oncpu invocations --audit shows which instances; their records are flagged "
	    "audit_mismatch",
	    "%lld comparisons, %lld mismatches; difference %+lld ns in all, %+lld ns at most%s%s",
	    readings, mismatches,
	    (long long)json_integer_value(json_object_get(audit, "difference_ns")),
	    (long long)json_integer_value(json_object_get(audit, "worst_ns")),
	    last ? "; the last: " : "", last ? last : "");
}

static int on_health(void *user, const char *line, size_t length)
{
	struct doctor *d = user;
	json_t *o = json_loadb(line, length, 0, NULL), *value;
	const json_t *counters = json_object_get(o, "kernel");
	const char *name;

	d->healthy = true;
	say(d, GOOD, "agent", NULL, "answers, version %s, pid %lld",
	    json_string_value(json_object_get(o, "version")),
	    (long long)json_integer_value(json_object_get(o, "pid")));
	say_audit(d, json_object_get(o, "audit"));
	if (!counters)
		counters = json_object_get(o, "kernel_counters");
	json_object_foreach((json_t *)(uintptr_t)counters, name,
			    value) if (json_integer_value(value) && is_trouble(name))
		say(d, WARN, name, help_for(name), "%lld", (long long)json_integer_value(value));
	json_decref(o);
	return 0;
}

static void check_agent(struct doctor *d, const struct place *place)
{
	int error = client_lines(place->socket, "/v1/health", on_health, d);

	if (error && !d->healthy)
		say(d, WARN, "agent", "start one: sudo oncpu agent", "none answers at %s (%s)",
		    place->socket, strerror(-error));
}

static void list_metric(const struct doctor *d, const struct metric_info *info)
{
	struct json_writer w;
	char line[1024];

	if (!d->json) {
		printf("%-45s %-9s %-13s %-17s %s\n", info->name, metric_type_name(info->type),
		       info->unit, info->labels[0] ? info->labels : "-", info->prose);
		return;
	}
	jw_begin(&w, line, sizeof(line));
	jw_object_open(&w);
	jw_key_string(&w, "name", info->name);
	jw_key_string(&w, "type", metric_type_name(info->type));
	jw_key_string(&w, "unit", info->unit);
	jw_key_string(&w, "labels", info->labels);
	jw_key_string(&w, "prose", info->prose);
	jw_object_close(&w);
	if (jw_end(&w) > 0)
		puts(line);
}

static int list_metrics(const struct doctor *d)
{
	const struct metric_info *info;
	char name[96];

	for (unsigned i = 0; (info = metric_info((enum metric)i)); i++)
		list_metric(d, info);
	for (unsigned i = 0; i < kern_counter_count(); i++) {
		struct metric_info kernel = { .name = name,
					      .unit = "1",
					      .labels = "",
					      .prose = kern_counter_help(i),
					      .type = METRIC_COUNTER };

		snprintf(name, sizeof(name), "oncpu_kernel_%s_total", kern_counter_name(i));
		list_metric(d, &kernel);
	}
	return 0;
}

static int command_doctor(int argc, char **argv)
{
	bool metrics = false;
	struct doctor d = {};
	uint32_t without = 0;
	struct place place;
	int c;

	place_defaults(&place);
	while ((c = command_next(&doctor_command, argc, argv)) != -1) {
		if (c == 'j')
			d.json = true;
		else if (c == 'm')
			metrics = true;
		else if (c == 'w' && kern_parse_without(optarg, &without))
			return command_fail("--%s", kern_error()), 2;
		else if (c == 'w')
			continue;
		else if (c == 's')
			place.state_dir = optarg;
		else if (c == 'S')
			place.socket = optarg;
		else
			return command_misused("doctor", argc, argv);
	}
	if (optind < argc)
		return command_fail("doctor takes no argument (%s)", argv[optind]), 2;
	if (metrics)
		return list_metrics(&d);
	check_kernel(&d);
	check_cgroup(&d);
	check_facts(&d);
	check_load(&d, without);
	check_sandboxes(&d);
	check_state(&d, &place);
	check_agent(&d, &place);
	if (!d.json)
		printf("\n%s\n", d.bad	    ? "Something is missing: see FAIL."
				 : d.warned ? "It works; see WARN."
					    : "All is well.");
	return d.bad ? 1 : 0;
}

static const struct command_option options[] = {
	OPTION_JSON("one object a finding, a line each"),
	{ "metrics", 'm', NULL,
	  "list what /metrics tells, instead: name, type, unit, labels, prose" },
	{ "without", 'w', "LIST",
	  "say what is lost without these, as oncpu agent --without has it (none)" },
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	OPTIONS_END,
};
const struct command doctor_command = {
	.name = "doctor",
	.summary = "what this kernel and these rights allow, each line with its cure",
	.options = options,
	.description = "Needs root to try the kernel side.",
	.exits = "Exits 0 if nothing fails.",
	.section = 1,
	.run = command_doctor,
};
