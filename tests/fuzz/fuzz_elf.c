// SPDX-License-Identifier: GPL-2.0
/* A function's own binary: whatever its notes and symbols claim, marks lie in the file. */
#include "kern/kern.h"
#include "tests/fuzz/fuzz.h"

static int on_mark(void *user, const char *probe, uint64_t offset)
{
	uint64_t size = *(const uint64_t *)user;

	PROMISE(probe && memchr(probe, 0, 64));
	PROMISE(offset < size && size - offset >= 5);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t length = size, offset;
	char near[256];
	int fd = file_of(data, size);

	elf_marks(fd, on_mark, &length);
	if (elf_symbol(fd, "receive_start", &offset) == 0)
		PROMISE(offset < length);
	if (elf_nearest(fd, "receive_start", near, sizeof(near)) == 0)
		PROMISE(memchr(near, 0, sizeof(near)));
	close(fd);
	return 0;
}
