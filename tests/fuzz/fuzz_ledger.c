// SPDX-License-Identifier: GPL-2.0
/* A segment of the ledger that somebody, or a disk, has changed: read what can be read, say what
 * cannot, hand out no record that could not be written as JSON. */
#include <fcntl.h>
#include <sys/stat.h>

#include "core/billing.h"
#include "core/record_json.h"
#include "ledger/ledger.h"
#include "tests/fuzz/fuzz.h"

#define BOOT "0123456789abcdef0123456789abcdef"
#define HOUR 1769860800000000000ll /* 2026-01-31T12 */

static char directory[64], file[128];
static char *whole;
static size_t whole_size;

static void clean_up(void)
{
	char lock[128];

	snprintf(lock, sizeof(lock), "%s/ledger.lock", directory);
	unlink(lock);
	unlink(file);
	rmdir(directory);
	free(whole);
}

static int on_invocation(void *user, const struct invocation_record *record)
{
	static char line[RECORD_JSON_MAX];

	(void)user;
	PROMISE(record->id_len <= ONCPU_ID_LEN);
	PROMISE(invocation_record_json(record, line, sizeof(line)) > 0);
	return 0;
}

static int on_instance(void *user, const struct instance_record *record)
{
	static char line[RECORD_JSON_MAX];

	(void)user;
	PROMISE(instance_record_json(record, line, sizeof(line)) > 0);
	return 0;
}

static int on_sum(void *user, const struct ledger_sum *sum)
{
	(void)user;
	PROMISE(sum->billed_count <= RECORD_MAX_BILLED);
	return 0;
}

/* A whole segment of today's schema, as the ledger itself writes it. */
static void write_segment(void)
{
	struct ledger_config config = { .directory = directory };
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = 4, .pins = 2 };
	struct invocation_record r = { .host = "h",
				       .boot_id = BOOT,
				       .function = "thumb",
				       .instance = "i",
				       .id = "abc",
				       .id_len = 3,
				       .cold_start = true,
				       .start_realtime_ns = HOUR,
				       .end_realtime_ns = HOUR + 1000,
				       .segment_count = 2,
				       .extension_count = 1 };
	struct instance_record closing = { .sequence = 4,
					   .host = "h",
					   .boot_id = BOOT,
					   .function = "thumb",
					   .instance = "i",
					   .end_realtime_ns = HOUR };
	struct ledger *l = NULL;
	bool flag;

	PROMISE(ledger_open(&config, &l, &flag) == 0 && ledger_begin(l, HOUR, &flag) == 0);
	for (r.sequence = 1; r.sequence <= 3; r.sequence++) {
		billing_apply(policies_embedded(), &r);
		PROMISE(ledger_put_invocation(l, &r) == 0);
	}
	PROMISE(ledger_put_instance(l, &closing) == 0 && ledger_put_state(l, 9, "blob", 4) == 0);
	PROMISE(ledger_commit(l, &meta) == 0);
	ledger_close(&l);
}

static void start(void)
{
	struct stat about;
	int fd;

	snprintf(directory, sizeof(directory), "/dev/shm/oncpu-fuzz-ledger.%d", (int)getpid());
	PROMISE(mkdir(directory, 0700) == 0);
	snprintf(file, sizeof(file), "%s/ledger-20260131T12.db", directory);
	write_segment();
	fd = open(file, O_RDONLY | O_CLOEXEC);
	PROMISE(fd >= 0 && fstat(fd, &about) == 0);
	whole_size = (size_t)about.st_size;
	whole = malloc(whole_size);
	PROMISE(read(fd, whole, whole_size) == (ssize_t)whole_size);
	close(fd);
	atexit(clean_up);
}

static void put_file(const void *bytes, size_t size)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	PROMISE(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	close(fd);
}

/* Bytes changed here and there, and perhaps the end cut off: five bytes a change. */
static void damage(struct input *in)
{
	char *copy = malloc(whole_size);
	size_t size = whole_size;

	memcpy(copy, whole, whole_size);
	while (in->left) {
		uint32_t at;

		take(in, &at, sizeof(at));
		if (at >> 31)
			size = at % whole_size;
		else
			copy[at % whole_size] = (char)take_byte(in);
	}
	put_file(copy, size);
	free(copy);
}

/* A file as the input has it, or a good one, damaged. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ledger_query query = { .last = 100 }, all = { 0 };
	struct ledger_reader *reader = NULL;
	struct input in = { data, size };

	if (!directory[0])
		start();
	if (size > 6 && !memcmp(data, "SQLite", 6))
		put_file(data, size);
	else
		damage(&in);
	if (ledger_reader_open(directory, &reader) == 0) {
		int err = ledger_read_invocations(reader, &query, on_invocation, NULL);

		PROMISE(size || err == 0);
		ledger_read_instances(reader, &all, on_instance, NULL);
		ledger_read_sums(reader, &all, on_sum, NULL);
		ledger_reader_damage(reader);
	}
	ledger_reader_close(&reader);
	return 0;
}
