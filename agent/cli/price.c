/* SPDX-License-Identifier: GPL-2.0 */
/*
 * oncpu price: what policies bill for records or AWS REPORT lines from elsewhere. Lines are priced
 * as they come, on every CPU there is; what is kept is the sums per function, size and quota.
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
#include "cli/lines.h"
#include "cli/pricer.h"

static int read_file(struct lines *lines, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	_cleanup_fd_ int fd = standard ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
	const char *file = standard ? "stdin" : name;
	int err = fd < 0 ? -errno : lines_read(lines, file, fd);

	if (err)
		command_fail("%s: %s", file, strerror(-err));
	return err;
}

/* Adds up what each taker has priced. */
static int read_files(struct pricer *sum, int argc, char **argv)
{
	struct pricer parts[LINES_TAKERS_MAX];
	unsigned count = lines_takers();
	struct lines *lines = lines_begin(pricer_take, parts, sizeof(parts[0]), count);
	int err = 0, ended;

	if (!lines)
		return command_fail("out of memory"), -ENOMEM;
	for (unsigned i = 0; i < count; i++)
		pricer_begin(&parts[i], sum->set, sum->function);
	for (int i = optind; i < argc && !err; i++)
		err = read_file(lines, argv[i]);
	if (optind == argc && !err)
		err = read_file(lines, "-");
	ended = lines_end(&lines);
	if (!err) {
		err = ended ? ended : pricer_merge(sum, parts, count);
		if (err)
			command_fail("%s", strerror(-err));
	}
	for (unsigned i = 0; i < count; i++)
		pricer_free(&parts[i]);
	return err;
}

/* ---- what comes of it ---- */

static int64_t add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? (a > 0 ? INT64_MAX : INT64_MIN) : sum;
}

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
static int64_t observed_ns(const struct priced_function *f)
{
	int64_t first = time_of(f->first), last = time_of(f->last);

	return first > 0 && last > first ? last - first : 0;
}

static int write_line(const struct pricer *p, const struct compare_choice *choice, size_t at,
		      size_t run, char *line)
{
	const struct priced_function *f = &p->functions[p->table.owners[at].function];
	const struct bill_group *groups = &p->table.groups[at];
	int64_t wall = 0, cpu = 0; /* saturate as sums of bills do */
	bool no_cpu = false;
	uint64_t count = 0;
	struct json_writer w;

	for (size_t i = 0; i < run; i++) {
		count += groups[i].count;
		wall = add(wall, groups[i].times[BILL_AWAKE]);
		cpu = add(cpu, groups[i].times[BILL_USED_CPU]);
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
	compare_policies_json(&w, p->set, choice, groups, run, observed_ns(f));
	jw_object_close(&w);
	return jw_end(&w);
}

static int each_line(struct pricer *p, const struct compare_choice *choice, line_fn visit,
		     void *user)
{
	_cleanup_free_ char *line = malloc(COMPARE_JSON_MAX);
	int n = line ? 0 : -ENOMEM;

	bill_table_sort(&p->table);
	for (size_t at = 0, run; n >= 0 && at < p->table.count; at += run) {
		run = bill_table_run(&p->table, at);
		n = write_line(p, choice, at, run, line);
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
	for (unsigned i = 0; i < p->shown_count; i++)
		fprintf(stderr, "  %s:%" PRIu64 " is neither: %s\n", p->shown[i].file,
			p->shown[i].line, p->shown[i].text);
	if (p->neither > p->shown_count)
		fprintf(stderr, "  and %" PRIu64 " more\n", p->neither - p->shown_count);
	for (size_t i = 0; i < p->count; i++) {
		stated += p->functions[i].stated;
		ns = add(ns, p->functions[i].stated_ns);
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
	struct compare_choice choice;
	bool json, csv;
};

static int show(struct pricer *p, const struct asked *asked)
{
	struct comparison_view view = { .bars = isatty(STDOUT_FILENO) };
	int err = each_line(p, &asked->choice, asked->json ? print_line : view_line, &view);

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

static int price(struct pricer *p, struct asked *asked, int argc, char **argv)
{
	char cause[POLICY_ERROR_LEN];
	const char *names = asked->pricing.names;

	if (compare_choose(p->set, names, &asked->choice, cause))
		return command_fail("%s", cause), 2;
	if (read_files(p, argc, argv))
		return 1;
	/* where nobody knows CPU time: policies that do without it */
	if (!*names && p->without_cpu && p->without_cpu == p->records + p->reports)
		compare_choose(p->set,
			       "aws-lambda,aws-lambda-2020,cloud-run-request,azure-consumption",
			       &asked->choice, cause);
	return show(p, asked);
}

static int command_price(int argc, char **argv)
{
	const char *function = "(not told)";
	struct asked asked = { 0 };
	struct policies *set;
	struct pricer sum;
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
			function = optarg;
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
	pricer_begin(&sum, set, function);
	code = price(&sum, &asked, argc, argv);
	pricer_free(&sum);
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
