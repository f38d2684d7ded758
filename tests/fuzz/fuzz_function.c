// SPDX-License-Identifier: GPL-2.0
/* A function's properties, as `oncpu run` takes them from options and its configuration: lines of
 * NAME=VALUE. */
#include "slicer/slicer.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct slicer_function f;
	char error[512];

	slicer_function_defaults(&f, "fuzzed");
	while (in.left) {
		char *line = take_text(&in, '\n', NULL), *value = strchr(line, '=');
		int r;

		error[0] = '\0';
		if (value)
			*value++ = '\0';
		else
			value = line + strlen(line);
		if (!strcmp(line, "command"))
			r = slicer_function_command(&f, value, error, sizeof(error));
		else
			r = slicer_function_set(&f, line, value, error, sizeof(error));
		PROMISE(r == 0 || error[0]);
		free(line);
	}
	PROMISE(f.memory_mb >= 16 && f.memory_mb <= 10240);
	PROMISE(f.concurrency >= 1 && f.timeout_ms >= 1 && f.processes >= 1);
	PROMISE(!f.arguments[FUNCTION_ARGUMENTS] && !f.variables[FUNCTION_VARIABLES]);
	PROMISE(!f.extensions[FUNCTION_EXTENSIONS]);
	slicer_function_free(&f);
	return 0;
}
