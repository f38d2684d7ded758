// SPDX-License-Identifier: GPL-2.0
/* The configuration: what is read, and that each mistake is told with its line and cure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/cgroups.h"
#include "daemon/config.h"

static struct agent_config config;
static char error[CONFIG_ERROR_LEN];

static int read_text(const char *text)
{
	char path[] = "/tmp/oncpu-config-XXXXXX";
	int fd = mkstemp(path), code;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	config_defaults(&config);
	error[0] = '\0';
	code = config_read(&config, path, error);
	unlink(path);
	return code;
}

static void expect_error(const char *text, unsigned line, const char *part)
{
	char where[16];

	snprintf(where, sizeof(where), ":%u: ", line);
	assert_int_equal(read_text(text), -EINVAL);
	if (!strstr(error, where) || !strstr(error, part))
		fail_msg("wanted \"%s\" in line %u, got: %s", part, line, error);
}

/* A file of policies: read, refused with its name, missing, too large. */
static void test_config_policies(void **state)
{
	static const char head[] = "{\"schema\":\"oncpu.policies/1\",\"policies\":[";
	char path[] = "/tmp/oncpu-policies-XXXXXX";
	int fd = mkstemp(path);
	struct policies *set = NULL;

	(void)state;
	assert_int_equal(config_policies("", "", &set, error), 0);
	assert_string_equal(set->list[set->host].name, "aws-lambda");
	policies_free(&set);
	assert_int_equal(config_policies(NULL, "huawei", &set, error), 0);
	assert_string_equal(set->list[set->host].name, "huawei");
	policies_free(&set);
	assert_int_equal(config_policies(NULL, "huawai", &set, error), -EINVAL);
	assert_non_null(strstr(error, "there is no policy \"huawai\""));
	assert_int_equal(config_policies("/nonexistent/p.json", NULL, &set, error), -ENOENT);
	assert_non_null(strstr(error, "/nonexistent/p.json: No such file"));
	assert_int_equal(config_policies("/tmp", NULL, &set, error), -EISDIR);
	assert_int_equal(write(fd, head, strlen(head)), (ssize_t)strlen(head));
	assert_int_equal(config_policies(path, NULL, &set, error), -EINVAL);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "is no JSON"));
	assert_int_equal(write(fd, "]}", 2), 2);
	assert_int_equal(config_policies(path, NULL, &set, error), 0);
	policies_free(&set);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	assert_int_equal(config_policies(path, NULL, &set, error), -EINVAL);
	assert_non_null(strstr(error, "more than 262144 bytes"));
	assert_null(set);
	close(fd);
	unlink(path);
}

static void test_config_reads_everything(void **state)
{
	struct function_facts facts;

	(void)state;
	assert_int_equal(
		read_text("# all of it\n[agent]\nstate_dir = /tmp/x/\nring_bytes = 1MiB\n"
			  "retention_age = 7d ; a week\nretention_bytes = 2GiB\nhost = h1\nwhere = "
			  "on\n"
			  "log_level = debug\nmax_instances = 10000\nuser = nobody\n"
			  "policies = /etc/oncpu/policies.json\npolicy = acme\n"
			  "\n[function \"thumb\"]\n  cgroup = /faas/thumb-*\n"
			  "  cgroup = /other/?\n\tmemory_mb = 128\nversion = 7\n"
			  "quota_us = 50000\nperiod_us = 100000\n"
			  "[mark \"receive_invoke\"]\nfile = /lib/rt.so\nsymbol = rt_next\n"
			  "boundary = invoke\nid_arg = 1\nfunction = thumb\n"),
		0);
	assert_int_equal(config.ring_bytes, 1 << 20);
	assert_int_equal(config.retention_seconds, 7 * 86400);
	assert_int_equal(config.retention_bytes, 2ull << 30);
	assert_true(config.where);
	assert_int_equal(config.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(config.max_instances, 10000);
	assert_int_equal(config.pattern_count, 2);
	assert_string_equal(config.patterns[1].pattern, "/other/?");
	assert_string_equal(config.patterns[1].function, "thumb");
	assert_int_equal(config.mark_count, 1);
	assert_int_equal(config.marks[0].how.kind, ONCPU_EV_INVOKE);
	assert_int_equal(config.marks[0].how.id_arg, 1);
	assert_int_equal(config.marks[0].how.name_arg, -1);
	assert_string_equal(config.marks[0].how.function, "thumb");
	assert_int_equal(config_facts(&config, "thumb", &facts), 0);
	assert_int_equal(facts.memory_mb, 128);
	assert_int_equal(facts.quota_us, 50000);
	assert_string_equal(facts.version, "7");
	assert_int_equal(config_facts(&config, "other", &facts), -ENOENT);
	assert_int_equal(config_finish(&config, error), 0);
	assert_string_equal(config.state_dir, "/tmp/x");
	assert_non_null(strstr(config.pin_dir, "/sys/fs/bpf/oncpu-"));
}

static void test_config_tells_line_and_cure(void **state)
{
	(void)state;
	expect_error("[agent]\nsockt = /x\n", 2, "did you mean socket?");
	expect_error("[agnet]\n", 1, "did you mean [agent]?");
	expect_error("[function]\n", 1, "write [function \"NAME\"]");
	expect_error("[function \"a\"]\nmemory_mb = lots\n", 2, "no whole number");
	expect_error("[function \"a\"]\nmemory_mb = 1\nmemory_mb = 2\n", 3, "given twice");
	expect_error("[function \"a\"]\n[function \"a\"]\n", 2, "line 1 already");
	expect_error("[function \"a\"]\ncgroup = faas/x\n", 2, "begin it with /");
	expect_error("memory_mb = 1\n", 1, "before any section");
	expect_error("[agent]\nnonsense\n", 2, "neither a [section]");
	expect_error("\n[mark \"m\"]\nfile = /x\nsymbol = s\n\n", 2, "has no boundary");
	expect_error("[mark \"m\"]\nboundary = finish\n", 2, "start, invoke, response or done");
	expect_error("[mark \"m\"]\nid_arg = 6\n", 2, "from 0 to 5");
	expect_error("[agent]\nlog_level = loud\n", 2, "error, warning, info or debug");
	expect_error("[agent\n", 1, "] is missing");
	expect_error("[function \"\"]\n", 1, "the name is empty");
	expect_error("[agent]\nretention_age = soon\n", 2, "no duration");
	expect_error("[agent]\nring_bytes = 100000\n", 2, "power of two");
	expect_error("[agent]\nwhere = yes\n", 2, "neither on nor off");
	expect_error("[agent]\naudit = 10ms\n", 2, "at least 50ms");
	expect_error("[agent]\naudit = often\n", 2, "no duration");
	assert_int_equal(read_text("[agent]\naudit = 0\n"), 0);
	assert_int_equal(config.audit_ns, 0);
	assert_int_equal(read_text("[agent]\naudit = 2s\n"), 0);
	assert_int_equal(config.audit_ns, 2000000000);
	assert_int_equal(read_text("[agent]\nwhere = off\n"), 0);
	assert_false(config.where);
	expect_error("[function \"a\"]\ncgroup = /\n", 2, "can match no cgroup");
	expect_error("[function \"a\"]\ncgroup = /a//b\n", 2, "can match no cgroup");
	expect_error("[function \"a\"]\ncgroup = /a/\n", 2, "can match no cgroup");
	expect_error("[function \"a\"]\ncgroup = /a/../b\n", 2, "can match no cgroup");
	expect_error("[function \"a\"]\ncgroup = /./b\n", 2, "can match no cgroup");
	assert_int_equal(read_text("[function \"a\"]\ncgroup = /..b/.c/d..\n"), 0);
}

static void test_config_refuses_long_lines(void **state)
{
	char text[512];

	(void)state;
	snprintf(text, sizeof(text), "[agent]\nhost = a\nsocket = /%0250d\n", 0);
	expect_error(text, 3, "199 bytes or more");
	/* a long name is whole although inih cuts section names at 50 bytes */
	snprintf(text, sizeof(text), "[function \"%063d\"]\nmemory_mb = 3\n", 7);
	assert_int_equal(read_text(text), 0);
	assert_int_equal(strlen(config.functions[0].name), 63);
	snprintf(text, sizeof(text), "[function \"%064d\"]\n", 7);
	expect_error(text, 1, "longer than 63 bytes");
}

static void expect_cgroup(const char *root, const char *path, const char *part)
{
	char text[512];
	int code;

	snprintf(text, sizeof(text), "[function \"a\"]\n\ncgroup = %s\n", path);
	assert_int_equal(read_text(text), 0);
	code = cgroups_check(&config, root, error);
	assert_int_equal(code, part ? -EINVAL : 0);
	if (part && (!strstr(error, ":3: ") || !strstr(error, part)))
		fail_msg("for %s wanted \"%s\", got: %s", path, part, error);
}

static void test_config_cgroups_that_cannot_be(void **state)
{
	char root[] = "/tmp/oncpu-root-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/functions", root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/cgroup.procs", root);
	fclose(fopen(path, "w"));
	log_set_level(LOG_LEVEL_ERROR);
	expect_cgroup(root, "/functions/thumb-*", NULL);
	expect_cgroup(root, "/functions", NULL);
	expect_cgroup(root, "/function/thumb-1", NULL); /* may be made any time */
	expect_cgroup(root, "/a*/cgroup.procs/b", NULL);
	expect_cgroup(root, "/cgroup.procs", "is a file");
	expect_cgroup(root, "/cgroup.procs/a-*", "is a file");
	snprintf(path, sizeof(path), "%s/functions/a", root);
	expect_cgroup(root, path, "(write /functions/a)");
	expect_cgroup("", "/functions/a", "mount -t cgroup2");
	snprintf(path, sizeof(path), "%s/cgroup.procs", root);
	unlink(path);
	snprintf(path, sizeof(path), "%s/functions", root);
	rmdir(path);
	rmdir(root);
}

static void test_config_bounds_counts(void **state)
{
	char *text = malloc(1 << 20);
	size_t used = 0;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i <= CONFIG_MAX_FUNCTIONS; i++)
		used += (size_t)sprintf(text + used, "[function \"f%d\"]\n", i);
	expect_error(text, CONFIG_MAX_FUNCTIONS + 1, "more than 1024 functions");
	used = (size_t)sprintf(text, "[function \"f\"]\n");
	for (unsigned i = 0; i <= ONCPU_MAX_PATTERNS; i++)
		used += (size_t)sprintf(text + used, "cgroup = /%u\n", i);
	expect_error(text, ONCPU_MAX_PATTERNS + 2, "more than 256 cgroup patterns");
	free(text);
}

static void test_config_finish_checks(void **state)
{
	(void)state;
	config_defaults(&config);
	config.ring_bytes = 100000;
	assert_int_equal(config_finish(&config, error), -EINVAL);
	assert_non_null(strstr(error, "power of two"));
	config_defaults(&config);
	assert_int_equal(config_finish(&config, error), 0);
	assert_string_equal(config.pin_dir, "/sys/fs/bpf/oncpu");
	/* one directory, however it is named: the agent and those who ask it must agree */
	assert_int_equal(chdir("/tmp"), 0);
	assert_int_equal(config_pin_dir("/tmp/state", config.pin_dir, sizeof(config.pin_dir)), 0);
	assert_int_equal(config_pin_dir("state//", config.host, sizeof(config.host)), 0);
	assert_string_equal(config.pin_dir, config.host);
	assert_true(config.host[0]);
	assert_int_equal(config_read(&config, "/nonexistent/oncpu.conf", error), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_reads_everything),
		cmocka_unit_test(test_config_policies),
		cmocka_unit_test(test_config_tells_line_and_cure),
		cmocka_unit_test(test_config_refuses_long_lines),
		cmocka_unit_test(test_config_cgroups_that_cannot_be),
		cmocka_unit_test(test_config_bounds_counts),
		cmocka_unit_test(test_config_finish_checks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
