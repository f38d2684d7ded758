/* SPDX-License-Identifier: GPL-2.0 */
/*
 * oncpu price: what policies bill for records or AWS REPORT lines from elsewhere. Lines are read in
 * blocks and priced as they come; what is kept is the sums per function, size and quota.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/comparison.h"
#include "cli/format.h"
#include "core/bill_table.h"
#include "core/price_line.h"

#define BLOCK_BYTES (1u << 20) /* and the longest line */
#define NEITHER_SHOWN 3

struct named {
	char name[ONCPU_NAME_LEN];
	uint64_t colds, records, reports, stated;
	int64_t stated_ns; /* sum of what the platform itself billed, of `stated` lines */
	char first[31], last[31];
};

struct pricer {
	const struct policies *set;
	struct compare_choice choice;
	const char *function; /* of lines that do not tell one */
	struct bill_table table;
	struct named *functions;
	size_t count, room;
	uint32_t *slots; /* hash by name: index + 1 */
	size_t slot_count;
	uint32_t recent; /* the function of the line before */
	uint64_t lines, records, reports, neither, without_cpu;
	struct {
		const char *file;
		uint64_t line;
		char text[CELL_MAX];
	} shown[NEITHER_SHOWN]; /* the first that are neither */
};

/* ---- functions by name ---- */

static size_t slot_of(const struct pricer *p, const char *name)
{
	uint32_t hash = 2166136261u;
	size_t at;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (at = hash % p->slot_count; p->slots[at]; at = (at + 1) % p->slot_count)
		if (strcmp(p->functions[p->slots[at] - 1].name, name) == 0)
			break;
	return at;
}

static int grow(struct pricer *p)
{
	size_t room = p->room ? 2 * p->room : 64;
	void *functions = reallocarray(p->functions, room, sizeof(*p->functions));
	uint32_t *slots = calloc(2 * room, sizeof(*slots));

	if (functions)
		p->functions = functions;
	if (!functions || !slots) {
		free(slots);
		return -ENOMEM;
	}
	free(p->slots);
	p->slots = slots;
	p->slot_count = 2 * room;
	p->room = room;
	for (size_t i = 0; i < p->count; i++)
		slots[slot_of(p, p->functions[i].name)] = (uint32_t)i + 1;
	return 0;
}

static int find_function(struct pricer *p, const char *name, uint32_t *ret_index)
{
	size_t slot;

	if (p->count && strcmp(p->functions[p->recent].name, name) == 0) {
		*ret_index = p->recent;
		return 0;
	}
	if (p->count == p->room && grow(p))
		return -ENOMEM;
	slot = slot_of(p, name);
	if (!p->slots[slot]) {
		memset(&p->functions[p->count], 0, sizeof(*p->functions));
		snprintf(p->functions[p->count].name, ONCPU_NAME_LEN, "%s", name);
		p->slots[slot] = (uint32_t)++p->count;
	}
	*ret_index = p->recent = p->slots[slot] - 1;
	return 0;
}

/* ---- lines ---- */

static void note_times(struct named *f, const struct price_line *line)
{
	if (line->start[0] && (!f->first[0] || strcmp(line->start, f->first) < 0))
		memcpy(f->first, line->start, sizeof(f->first));
	if (line->end[0] && strcmp(line->end, f->last) > 0)
		memcpy(f->last, line->end, sizeof(f->last));
}

static int add_line(struct pricer *p, const struct price_line *line)
{
	struct bill_group *group;
	struct named *f;
	uint32_t index;
	int err = find_function(p, line->function[0] ? line->function : p->function, &index);

	if (!err)
		err = bill_table_find(&p->table, index, 0, &line->key, &group);
	if (err)
		return err;
	bill_group_add_times(group, p->set, line->times);
	f = &p->functions[index];
	f->colds += line->times[BILL_INIT_WALL] > 0;
	f->records += line->kind == PRICE_LINE_RECORD;
	f->reports += line->kind == PRICE_LINE_REPORT;
	p->records += line->kind == PRICE_LINE_RECORD;
	p->reports += line->kind == PRICE_LINE_REPORT;
	p->without_cpu += line->key.no_cpu;
	if (line->stated_ns >= 0 &&
	    !__builtin_add_overflow(f->stated_ns, line->stated_ns, &f->stated_ns))
		f->stated++;
	note_times(f, line);
	return 0;
}

static void note_neither(struct pricer *p, const char *file, const char *line, size_t length)
{
	char start[CELL_MAX];

	if (p->neither < NEITHER_SHOWN) {
		snprintf(start, sizeof(start), "%.*s", (int)(length < 100 ? length : 100), line);
		p->shown[p->neither].file = file;
		p->shown[p->neither].line = p->lines;
		format_text(start, 60, p->shown[p->neither].text);
	}
	p->neither++;
}

static int take_line(struct pricer *p, const char *file, const char *line, size_t length,
		     bool too_long)
{
	struct price_line parsed;

	p->lines++;
	if (!too_long) {
		price_line_parse(line, length, &parsed);
		if (parsed.kind != PRICE_LINE_NEITHER)
			return add_line(p, &parsed);
		if (length == 0) { /* an empty line is none */
			p->lines--;
			return 0;
		}
	}
	note_neither(p, file, line, length);
	return 0;
}

static int read_lines(struct pricer *p, const char *file, int fd, char *block)
{
	size_t used = 0;
	bool too_long = false;
	ssize_t n;
	int err = 0;

	while (!err && (n = read(fd, block + used, BLOCK_BYTES - used)) != 0) {
		char *at = block, *end, *newline;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		used += (size_t)n;
		end = block + used;
		while (!err && (newline = memchr(at, '\n', (size_t)(end - at)))) {
			err = take_line(p, file, at, (size_t)(newline - at), too_long);
			too_long = false;
			at = newline + 1;
		}
		used = (size_t)(end - at);
		memmove(block, at, used);
		if (used == BLOCK_BYTES) { /* its rest is skipped, and it is counted */
			too_long = true;
			used = 0;
		}
	}
	if (!err && (used || too_long))
		err = take_line(p, file, block, used, too_long);
	return err;
}

static int read_file(struct pricer *p, const char *name, char *block)
{
	bool standard = strcmp(name, "-") == 0;
	_cleanup_fd_ int fd = standard ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : read_lines(p, standard ? "stdin" : name, fd, block);

	if (err)
		command_fail("%s: %s", standard ? "stdin" : name, strerror(-err));
	return err;
}

/* ---- what comes of it ---- */

/* "2026-01-31T12:00:00.123456789Z", as records have it; 0 = anything else. */
static int64_t time_of(const char *text)
{
	const char *rest;
	struct tm tm = { 0 };
	char fraction[10];
	int64_t ns;

	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest || *rest != '.' || strlen(rest) != 11 || rest[10] != 'Z')
		return 0;
	memcpy(fraction, rest + 1, 9);
	fraction[9] = '\0';
	if (strspn(fraction, "0123456789") != 9)
		return 0;
	ns = strtoll(fraction, NULL, 10);
	return (int64_t)timegm(&tm) * 1000000000 + ns;
}

/* From the first record's start to the last one's end: what a month is projected from. */
static int64_t observed_ns(const struct named *f)
{
	int64_t first = time_of(f->first), last = time_of(f->last);

	return first > 0 && last > first ? last - first : 0;
}

static int write_line(const struct pricer *p, size_t at, size_t run, char *line)
{
	const struct named *f = &p->functions[p->table.owners[at].function];
	const struct bill_group *groups = &p->table.groups[at];
	int64_t wall = 0, cpu = 0;
	bool no_cpu = false;
	uint64_t count = 0;
	struct json_writer w;

	for (size_t i = 0; i < run; i++) {
		count += groups[i].count;
		wall += groups[i].times[BILL_AWAKE];
		cpu += groups[i].times[BILL_USED_CPU];
		no_cpu |= groups[i].key.no_cpu;
	}
	jw_begin(&w, line, COMPARE_JSON_MAX);
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.price/1");
	jw_key_string(&w, "function", f->name);
	jw_key_uint64(&w, "count", count);
	jw_key_uint64(&w, "records", f->records);
	jw_key_uint64(&w, "reports", f->reports);
	jw_key_uint64(&w, "cold_starts", f->colds);
	jw_key_int64(&w, "wall_ns", wall);
	if (no_cpu)
		jw_key_null(&w, "cpu_ns");
	else
		jw_key_int64(&w, "cpu_ns", cpu);
	jw_key_uint64(&w, "stated", f->stated);
	jw_key_int64(&w, "stated_billed_ns", f->stated_ns);
	jw_key_int64(&w, "observed_ns", observed_ns(f));
	compare_policies_json(&w, p->set, &p->choice, groups, run, observed_ns(f));
	jw_object_close(&w);
	return jw_end(&w);
}

static int each_line(struct pricer *p, line_fn visit, void *user)
{
	_cleanup_free_ char *line = malloc(COMPARE_JSON_MAX);
	int n = line ? 0 : -ENOMEM;

	bill_table_sort(&p->table);
	for (size_t at = 0, run; n >= 0 && at < p->table.count; at += run) {
		run = bill_table_run(&p->table, at);
		n = write_line(p, at, run, line);
		if (n >= 0)
			n = visit(user, line, (size_t)n);
	}
	return n;
}

static int print_line(void *unused, const char *line, size_t length)
{
	(void)unused;
	return fwrite(line, 1, length, stdout) == length && putchar('\n') == '\n' ? 0 : -EIO;
}

static int view_line(void *view, const char *line, size_t length)
{
	return comparison_add(view, line, length);
}

static void say_lines(const struct pricer *p)
{
	uint64_t stated = 0;
	int64_t ns = 0;
	char cell[CELL_MAX];

	fprintf(stderr,
		"%" PRIu64 " lines: %" PRIu64 " records, %" PRIu64 " REPORT lines, %" PRIu64
		" neither\n",
		p->lines, p->records, p->reports, p->neither);
	for (uint64_t i = 0; i < p->neither && i < NEITHER_SHOWN; i++)
		fprintf(stderr, "  %s:%" PRIu64 " is neither: %s\n", p->shown[i].file,
			p->shown[i].line, p->shown[i].text);
	if (p->neither > NEITHER_SHOWN)
		fprintf(stderr, "  and %" PRIu64 " more\n", p->neither - NEITHER_SHOWN);
	for (size_t i = 0; i < p->count; i++) {
		stated += p->functions[i].stated;
		ns += p->functions[i].stated_ns;
	}
	if (stated) {
		format_ns(ns, cell);
		fprintf(stderr, "billed by the platform itself, as %" PRIu64 " lines say: %s\n",
			stated, cell);
	}
	if (p->without_cpu)
		fprintf(stderr,
			"%" PRIu64 " lines do not tell CPU time: what rests on it is unknown (–)\n",
			p->without_cpu);
}

struct asked {
	struct pricing pricing;
	bool json, csv;
};

static int show(struct pricer *p, const struct asked *asked)
{
	struct comparison_view view = { .bars = isatty(STDOUT_FILENO) };
	int err = each_line(p, asked->json ? print_line : view_line, &view);

	if (!err && !asked->json)
		err = asked->csv ? comparison_csv(&view, stdout)
		      : p->count ? comparison_print(&view, stdout)
				 : 0;
	comparison_free(&view);
	if (fflush(stdout) || err)
		return command_fail("cannot write the output: %s", strerror(err ? -err : errno));
	say_lines(p);
	if (p->count)
		return 0;
	return command_fail("nothing to price: no line is an oncpu.invocation/1 record or an AWS "
			    "REPORT line");
}

static int price(struct pricer *p, const struct asked *asked, int argc, char **argv)
{
	_cleanup_free_ char *block = malloc(BLOCK_BYTES);
	char cause[POLICY_ERROR_LEN];
	const char *names = asked->pricing.names;
	int err = block ? 0 : -ENOMEM;

	if (compare_choose(p->set, names, &p->choice, cause))
		return command_fail("%s", cause), 2;
	for (int i = optind; i < argc && !err; i++)
		err = read_file(p, argv[i], block);
	if (optind == argc && !err)
		err = read_file(p, "-", block);
	if (err)
		return 1;
	/* where nobody knows CPU time: policies that do without it */
	if (!*names && p->without_cpu && p->without_cpu == p->records + p->reports)
		compare_choose(p->set,
			       "aws-lambda,aws-lambda-2020,cloud-run-request,azure-consumption",
			       &p->choice, cause);
	return show(p, asked);
}

static int command_price(int argc, char **argv)
{
	struct asked asked = { 0 };
	struct pricer p = { .function = "(not told)" };
	struct policies *set;
	int o, code;

	while ((o = command_next(&price_command, argc, argv)) != -1) {
		switch (o) {
		case 'j':
			asked.json = true;
			break;
		case 'c':
			asked.csv = true;
			break;
		case 'f':
			if (strlen(optarg) >= ONCPU_NAME_LEN || !*optarg ||
			    !text_is_clean(optarg, strlen(optarg)))
				return command_fail("--function is no name of 1 to 63 bytes"), 2;
			p.function = optarg;
			break;
		case 'P':
			if (pricing_add(&asked.pricing, optarg))
				return command_fail("too many policies (--policy all shows every "
						    "one)"),
				       2;
			break;
		case 'F':
			asked.pricing.policies = optarg;
			break;
		default:
			return command_misused("price", argc, argv);
		}
	}
	set = pricing_policies(&asked.pricing);
	if (!set)
		return 1;
	p.set = set;
	bill_table_init(&p.table, set, 0);
	code = price(&p, &asked, argc, argv);
	bill_table_free(&p.table);
	free(p.functions);
	free(p.slots);
	policies_free(&set);
	return code;
}

static const struct command_option options[] = {
	OPTION_JSON("one object a function, a line each"),
	{ "csv", 'c', NULL, "a row a function and policy, in whole ns and 10⁻¹² currency units" },
	{ "function", 'f', "NAME", "the function of lines that do not tell theirs" },
	{ "policy", 'P', "NAME",
	  "what to compare, repeatable, or with commas; \"all\" (four, by what is known)" },
	{ "policies", 'F', "FILE", "policies of your own, on top of the built-in ones" },
	OPTIONS_END,
};
const struct command price_command = {
	.name = "price",
	.summary = "price records or AWS REPORT lines from elsewhere",
	.options = options,
	.arguments = "[FILE...]",
	.section = 1,
	.description =
		"Reads files, or stdin, line by line: oncpu.invocation/1 records, AWS Lambda's "
		"REPORT "
		"log lines with anything before them, platform.report lines of the Telemetry API, "
		"and "
		"JSON with a REPORT line in its message, as CloudWatch exports it. Needs no agent "
		"and "
		"no rights: to try it on logs that are there already. Lines that are none of these "
		"are "
		"counted, and the first ones shown.\n"
		"\n"
		"REPORT lines show two decimals of a duration and bill the unrounded one: what the "
		"platform itself billed is told beside what its rule gives for the printed "
		"durations. "
		"They do not tell CPU time; policies that rest on it then stay unknown.",
	.examples = " aws logs filter-log-events --log-group-name /aws/lambda/thumb | \\\n"
		    "| jq -c '.events[]' | oncpu price\n"
		    " oncpu invocations --json --last 0 | oncpu price --policy all",
	.run = command_price,
};
