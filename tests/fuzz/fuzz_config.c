// SPDX-License-Identifier: GPL-2.0
/* The agent's configuration file: read whole, or refused with one line that names it. */
#include "daemon/config.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct agent_config *c)
{
	PROMISE(c->function_count <= CONFIG_MAX_FUNCTIONS);
	PROMISE(c->pattern_count <= ONCPU_MAX_PATTERNS);
	PROMISE(c->mark_count <= CONFIG_MAX_MARKS);
	for (size_t i = 0; i < c->function_count; i++)
		PROMISE(c->functions[i].name[0] &&
			memchr(c->functions[i].name, 0, sizeof(c->functions[i].name)));
	for (size_t i = 0; i < c->pattern_count; i++)
		PROMISE(c->patterns[i].pattern[0] == '/');
	for (size_t i = 0; i < c->mark_count; i++)
		PROMISE(c->marks[i].how.id_arg >= -1 && c->marks[i].how.id_arg < 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_config *config = malloc(sizeof(*config));
	char path[64], error[CONFIG_ERROR_LEN] = "";
	int fd = file_of(data, size), r;

	config_defaults(config);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = config_read(config, path, error);
	if (!r)
		r = config_finish(config, error);
	if (r)
		PROMISE(r < 0 && is_one_line(error));
	else
		check(config);
	close(fd);
	free(config);
	return 0;
}
