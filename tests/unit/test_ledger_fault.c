// SPDX-License-Identifier: GPL-2.0
/* The ledger in bad weather: damage, a full disk, SIGKILL at any instant, strangers, other schemas.
 */
#include "unit/ledger_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#define SEGMENT "ledger-20260131T12.db"

static void path_of(char *path, void **state, const char *file)
{
	snprintf(path, PATH_MAX, "%s/%s", (const char *)*state, file);
}

static void spoil(const char *path, off_t at, size_t n)
{
	int fd = open(path, O_WRONLY);
	char garbage[8192];

	assert_true(fd >= 0 && n <= sizeof(garbage));
	memset(garbage, 0x5a, sizeof(garbage));
	assert_int_equal(pwrite(fd, garbage, n, at), n);
	close(fd);
}

/* ---- damage ---- */

static void check_set_aside(void **state, const char *kept)
{
	char path[PATH_MAX];
	bool set_aside = false, snapshot;
	struct ledger *l = open_ledger(*state, &set_aside);
	struct ledger_meta meta;

	assert_true(set_aside);
	path_of(path, state, kept);
	assert_int_equal(access(path, F_OK), 0);
	/* what is left is the hour before */
	assert_int_equal(ledger_restore(l, &meta, NULL, NULL), 0);
	assert_int_equal(meta.sequence, 10);
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_true(snapshot);
	ledger_rollback(l);
	assert_int_equal(commit_records(l, T0, 3000, 3010, "f"), 0);
	path_of(path, state, "ledger-20260131T12.1.db");
	assert_int_equal(access(path, F_OK), 0);
	ledger_close(&l);
	l = open_ledger(*state, &set_aside);
	assert_false(set_aside);
	ledger_close(&l);
}

static void fill_two_hours(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);

	assert_int_equal(commit_records(l, T0 - NS_PER_HOUR, 1, 10, "f"), 0);
	assert_int_equal(commit_records(l, T0, 11, 2000, "f"), 0);
	ledger_close(&l);
}

static void test_ledger_garbage_header(void **state)
{
	struct collected c;
	char path[PATH_MAX];

	fill_two_hours(state);
	path_of(path, state, SEGMENT);
	spoil(path, 0, 100);
	check_set_aside(state, SEGMENT ".corrupt-1");
	c = read_all(*state, NULL);
	assert_int_equal(c.count, 21);
	free(c.records);
}

/* Too large for a full check at every start, and only its last page is gone. */
static void test_ledger_cut_short(void **state)
{
	char path[PATH_MAX];
	struct ledger *l;
	struct stat st;

	fill_two_hours(state);
	l = open_ledger(*state, NULL);
	assert_int_equal(commit_records(l, T0, 2001, 60000, "f"), 0);
	ledger_close(&l);
	path_of(path, state, SEGMENT);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 8 << 20);
	assert_int_equal(truncate(path, st.st_size - 4096), 0);
	check_set_aside(state, SEGMENT ".corrupt-1");
}

/* Less than a header is left. */
static void test_ledger_cut_to_a_stub(void **state)
{
	char path[PATH_MAX];

	fill_two_hours(state);
	path_of(path, state, SEGMENT);
	assert_int_equal(truncate(path, 50), 0);
	check_set_aside(state, SEGMENT ".corrupt-1");
}

static void test_ledger_spoilt_page(void **state)
{
	char path[PATH_MAX];

	fill_two_hours(state);
	path_of(path, state, SEGMENT);
	for (int page = 1; page < 30; page++)
		spoil(path, page * 4096, 64);
	check_set_aside(state, SEGMENT ".corrupt-1");
}

/* The names of what was set aside do not collide. */
static void test_ledger_damaged_twice(void **state)
{
	char path[PATH_MAX];

	fill_two_hours(state);
	path_of(path, state, SEGMENT ".corrupt-1");
	fclose(fopen(path, "w"));
	path_of(path, state, SEGMENT);
	spoil(path, 0, 100);
	check_set_aside(state, SEGMENT ".corrupt-2");
}

static void expect_passed_over(void **state, const struct ledger_query *query, uint64_t first,
			       uint64_t last, const char *damaged)
{
	struct ledger_reader *reader = NULL;
	struct collected c = { 0 };

	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_int_equal(ledger_read_invocations(reader, query, collect, &c), 0);
	assert_non_null(ledger_reader_damage(reader));
	assert_non_null(strstr(ledger_reader_damage(reader), damaged));
	ledger_reader_close(&reader);
	assert_true(c.count > last - first);
	for (uint64_t i = 0; i <= last - first; i++)
		assert_int_equal(c.records[c.count - 1 - i].sequence, last - i);
	free(c.records);
}

static int refuse_record(void *user, const struct invocation_record *record)
{
	(void)user, (void)record;
	return -EIO;
}

/* An older segment is damaged: the others are served, in every kind of query, and it is named. */
static void test_ledger_reads_past_damage(void **state)
{
	struct ledger_query all = { 0 }, last = { .last = 20 }, of_f = { .function = "f" };
	struct ledger_reader *reader = NULL;
	uint64_t count = 0;
	char path[PATH_MAX];
	struct ledger *l;

	fill_two_hours(state);
	l = open_ledger(*state, NULL);
	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 2001, 2010, "f"), 0);
	ledger_close(&l);
	path_of(path, state, SEGMENT);
	spoil(path, 0, 100); /* not a database any more */
	expect_passed_over(state, &all, 2001, 2010, SEGMENT);
	expect_passed_over(state, &last, 2001, 2010, SEGMENT);
	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_null(ledger_reader_damage(reader));
	assert_int_equal(ledger_read_sums(reader, &all, add_count, &count), 0);
	assert_int_equal(count, 20);
	assert_non_null(strstr(ledger_reader_damage(reader), SEGMENT));
	/* what the visitor says is not damage */
	assert_int_equal(ledger_read_invocations(reader, &all, refuse_record, NULL), -EIO);
	ledger_reader_close(&reader);
	/* the writer does not care */
	l = open_ledger(*state, NULL);
	assert_null(ledger_notice(l));
	ledger_close(&l);
	expect_passed_over(state, &of_f, 2001, 2010, SEGMENT);
}

/* Damage in the middle: what stands before it may be served, too. */
static void test_ledger_reads_up_to_damage(void **state)
{
	struct ledger_query all = { 0 };
	char path[PATH_MAX];
	struct ledger *l;

	fill_two_hours(state);
	l = open_ledger(*state, NULL);
	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 2001, 2010, "f"), 0);
	ledger_close(&l);
	path_of(path, state, SEGMENT);
	for (int page = 40; page < 100; page++)
		spoil(path, page * 4096, 4096);
	expect_passed_over(state, &all, 2001, 2010, SEGMENT);
}

/* ---- what a lost segment must not take along ---- */

static void expect_lost(void **state, const char *boot, uint64_t at_least)
{
	struct ledger *l = open_ledger(*state, NULL);
	uint64_t lost = ledger_lost_sequence(l, boot);

	assert_true(at_least ? lost >= at_least : lost == 0);
	ledger_close(&l);
}

/* Sequences that were given in a segment that is lost are not given again. */
static void test_ledger_lost_sequences(void **state)
{
	char path[PATH_MAX];
	struct ledger *l;

	expect_lost(state, BOOT, 0);
	fill_two_hours(state);
	expect_lost(state, BOOT, 0);
	path_of(path, state, SEGMENT);
	spoil(path, 0, 100);
	expect_lost(state, BOOT, 2000);
	expect_lost(state, BOOT, 2000); /* also a second time, before anything is committed */
	expect_lost(state, "another boot's", 0);
	l = open_ledger(*state, NULL);
	assert_int_equal(commit_records(l, T0, 5000000, 5000010, "f"), 0);
	assert_int_equal(ledger_lost_sequence(l, BOOT), 0);
	ledger_close(&l);
	expect_lost(state, BOOT, 0);
	path_of(path, state, "ledger-20260131T12.1.db"); /* lost by hand */
	assert_int_equal(unlink(path), 0);
	expect_lost(state, BOOT, 5000010);
}

static int refuse_commit(void *user)
{
	(void)user;
	return 1;
}

/* Commits that fail use no sequences up; a segment whose first one failed is not a lost one. */
static void test_ledger_failed_commits_lose_no_sequences(void **state)
{
	struct ledger_meta meta = { .boot_id = BOOT, .sequence = 11 };
	struct ledger *l = open_ledger(*state, NULL);
	bool snapshot;

	assert_int_equal(commit_records(l, T0 - NS_PER_HOUR, 1, 10, "f"), 0);
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	/* as a full disk would: the statement is ready, the commit is not possible */
	sqlite3_commit_hook(l->db, refuse_commit, NULL);
	assert_true(ledger_commit(l, &meta) < 0);
	assert_int_equal(ledger_lost_sequence(l, BOOT), 0);
	ledger_close(&l);
	expect_lost(state, BOOT, 0);
}

/* Damage that shows when the state is read: aside with it, and on with the hour before. */
static void test_ledger_damage_found_by_restore(void **state)
{
	struct ledger_meta meta;
	char path[PATH_MAX];
	struct ledger *l;

	fill_two_hours(state);
	l = open_ledger(*state, NULL);
	assert_null(ledger_notice(l));
	path_of(path, state, SEGMENT);
	for (int page = 1; page < 60; page++)
		spoil(path, page * 4096, 4096);
	sqlite3_db_release_memory(l->db);
	assert_int_equal(ledger_restore(l, &meta, NULL, NULL), 0);
	assert_int_equal(meta.sequence, 10);
	assert_non_null(strstr(ledger_notice(l), SEGMENT ".corrupt-1"));
	assert_null(ledger_notice(l));
	assert_true(ledger_lost_sequence(l, BOOT) >= 2000);
	assert_int_equal(commit_records(l, T0, 3000000, 3000009, "f"), 0);
	assert_int_equal(ledger_restore(l, &meta, NULL, NULL), 0);
	assert_int_equal(meta.sequence, 3000009);
	ledger_close(&l);
	path_of(path, state, SEGMENT ".corrupt-1");
	assert_int_equal(access(path, F_OK), 0);
}

/* Damage that shows only while writing: the transaction fails, the next begin starts afresh. */
static void test_ledger_damage_while_writing(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	bool snapshot = false;
	char path[PATH_MAX];
	int r = 0, tries = 0;

	assert_int_equal(commit_records(l, T0 - NS_PER_HOUR, 1, 10, "f"), 0);
	for (uint64_t n = 11; n < 4000; n += 100)
		assert_int_equal(commit_records(l, T0, n, n + 99, "f"), 0);
	ledger_close(&l);
	l = open_ledger(*state, NULL);
	path_of(path, state, SEGMENT);
	for (int page = 1; page < 60; page++)
		spoil(path, page * 4096, 4096);
	sqlite3_db_release_memory(l->db); /* it must read the pages again */
	for (uint64_t n = 5000; r == 0 && tries < 50; n += 100, tries++)
		r = commit_records(l, T0, n, n + 99, "other");
	assert_int_equal(r, -EIO);
	assert_int_equal(ledger_begin(l, T0, &snapshot), 0);
	assert_true(snapshot);
	ledger_rollback(l);
	assert_int_equal(commit_records(l, T0, 9000, 9009, "f"), 0);
	ledger_close(&l);
	path_of(path, state, SEGMENT ".corrupt-1");
	assert_int_equal(access(path, F_OK), 0);
	struct collected c = read_all(*state, NULL);
	assert_int_equal(c.count, 20);
	free(c.records);
}

/* ---- schemas ---- */

static void test_ledger_newer_schema_is_refused(void **state)
{
	struct ledger_config config = { .directory = *state };
	struct ledger_reader *reader = NULL;
	struct ledger_query all = { 0 };
	struct collected c = { 0 };
	struct ledger *l = NULL;
	char path[PATH_MAX];
	bool set_aside;
	sqlite3 *db;

	fill_two_hours(state);
	path_of(path, state, SEGMENT);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(database_exec(db, "PRAGMA user_version=99"), 0);
	sqlite3_close(db);
	assert_int_equal(ledger_open(&config, &l, &set_aside), -EPROTO);
	assert_non_null(strstr(ledger_error(), "99"));
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_int_equal(ledger_read_invocations(reader, &all, collect, &c), -EPROTO);
	free(c.records);
	ledger_reader_close(&reader);
}

/* A segment of version 0 with something in it goes to 1, to 2; a step that fails leaves nothing. */
static void test_schema_migrations(void **state)
{
	static const struct schema_step good[] = { { "CREATE TABLE b AS SELECT x+1 AS y FROM a" },
						   { "DROP TABLE a;CREATE TABLE c(z)" } };
	static const struct schema_step bad[] = { { "CREATE TABLE b AS SELECT x+1 AS y FROM a" },
						  { "DROP TABLE a;SELECT nonsense" } };
	char path[PATH_MAX];
	int version = -1;
	sqlite3 *db;

	path_of(path, state, "old.db");
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(database_exec(db, "CREATE TABLE a(x);INSERT INTO a VALUES(41)"), 0);
	assert_true(schema_migrate(db, bad, 2) < 0);
	assert_int_equal(schema_version(db, &version), 0);
	assert_int_equal(version, 1);
	assert_true(sqlite3_get_autocommit(db));
	assert_int_equal(database_exec(db, "SELECT y FROM b;SELECT x FROM a"), 0);
	assert_int_equal(schema_migrate(db, good, 2), 0);
	assert_int_equal(schema_version(db, &version), 0);
	assert_int_equal(version, 2);
	assert_true(database_exec(db, "SELECT x FROM a") < 0);
	assert_int_equal(schema_migrate(db, good, 2), 0);
	assert_int_equal(schema_migrate(db, good, 1), -EPROTO);
	sqlite3_close(db);
}

/* A whole segment as the first schema had it: it is read as it stands, and becomes today's when it
 * is written on. */
static void test_ledger_reads_the_first_schema(void **state)
{
	static const char rows[] =
		"INSERT INTO boots VALUES(1,'node-7','" BOOT "');"
		"INSERT INTO texts VALUES(1,'f'),(2,'f-1'),(3,'$LATEST');"
		"INSERT INTO invocations(record_key,function,instance,version,status,cold_start,"
		"flags,start_realtime_ns,end_realtime_ns,wall_ns,cpu_ns,cpu_error_bound_ns,"
		"init_wall_ns,init_cpu_ns,after_response_wall_ns,after_response_cpu_ns,"
		"between_wall_ns,between_cpu_ns,freeze_count,freeze_wall_ns,freeze_cpu_ns,"
		"run_queue_ns,voluntary,involuntary,threads,memory_mb,max_memory_bytes,quota_us,"
		"period_us,marks_lost,events_lost) VALUES(1<<40|1,1,2,3,0,0,0,1,2,3,4,0,-1,-1,0,0,"
		"0,0,0,0,0,5,6,7,8,-1,-1,-1,-1,0,9);"
		"INSERT INTO meta VALUES(1,'" BOOT "',1,0,0,0,'',0,0);";
	char path[PATH_MAX];
	struct collected c;
	struct ledger *l;
	int version = 0;
	sqlite3 *db;

	path_of(path, state, SEGMENT);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(schema_migrate(db, ledger_schema, 1), 0);
	assert_int_equal(database_exec(db, rows), 0);
	sqlite3_close(db);
	for (int pass = 0; pass < 2; pass++) { /* before and after it was migrated */
		c = read_all(*state, NULL);
		assert_int_equal(c.count, 1 + pass);
		assert_int_equal(c.records[0].sequence, 1);
		assert_int_equal(c.records[0].cpu_ns, 4);
		assert_int_equal(c.records[0].events_lost, 9);
		assert_int_equal(c.records[0].where.running_ns, -1);
		assert_int_equal(c.records[0].where.frozen_ns, -1);
		assert_int_equal(c.records[0].steal_ns, -1);
		assert_int_equal(c.records[0].cpu_net_ns, -1);
		if (pass)
			assert_int_equal(c.records[1].where.frozen_ns, 27);
		free(c.records);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(schema_version(db, &version), 0);
		assert_int_equal(version, pass ? LEDGER_SCHEMA_VERSION : 1);
		sqlite3_close(db);
		if (pass)
			break;
		l = open_ledger(*state, NULL);
		assert_int_equal(commit_records(l, T0, 2, 2, "f"), 0);
		ledger_close(&l);
	}
}

/* Version 0 of ours: a file that was created just before the power went. */
static void test_ledger_empty_segment_is_filled(void **state)
{
	char path[PATH_MAX];
	bool set_aside = true;
	struct ledger *l;

	path_of(path, state, SEGMENT);
	fclose(fopen(path, "w"));
	assert_int_equal(summed_count(*state), 0);
	l = open_ledger(*state, &set_aside);
	assert_false(set_aside);
	assert_int_equal(commit_records(l, T0, 1, 10, "f"), 0);
	assert_sequences(*state, NULL, 1, 10);
	ledger_close(&l);
}

/* ---- full disk ---- */

/* Grows a file until nothing more goes on the disk. */
static int fill_disk(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	char block[4096] = { 0 };

	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	close(fd);
	return 0;
}

static void check_full_disk(void **state)
{
	struct ledger *l = open_ledger(*state, NULL);
	struct ledger_meta meta;
	char ballast[PATH_MAX];
	bool snapshot = false;

	path_of(ballast, state, "ballast");
	assert_int_equal(commit_records(l, T0, 1, 1000, "f"), 0);
	fill_disk(ballast);
	/* more than the space that the WAL has kept */
	assert_int_equal(commit_records(l, T0, 1001, 9000, "new name"), -ENOSPC);
	assert_non_null(strstr(ledger_error(), "free space"));
	assert_sequences(*state, NULL, 1, 1000);
	assert_int_equal(summed_count(*state), 1000);
	/* nor can a new hour begin */
	fill_disk(ballast);
	assert_int_equal(ledger_begin(l, T0 + NS_PER_HOUR, &snapshot), -ENOSPC);
	assert_false(snapshot);
	assert_int_equal(ledger_restore(l, &meta, NULL, NULL), 0);
	assert_int_equal(meta.sequence, 1000);
	unlink(ballast);
	assert_int_equal(commit_records(l, T0, 1001, 2000, "new name"), 0);
	assert_int_equal(commit_records(l, T0 + NS_PER_HOUR, 1500, 3000, "new name"), 0);
	ledger_close(&l);
	assert_sequences(*state, NULL, 1, 3000);
	assert_int_equal(summed_count(*state), 3000);
}

static void test_ledger_full_disk(void **state)
{
	if (geteuid() != 0) {
		print_message("skipped: a small tmpfs needs root\n");
		skip();
	}
	if (mount("oncpu-test", *state, "tmpfs", 0, "size=6m") < 0) {
		print_message("skipped: cannot mount a tmpfs: %s\n", strerror(errno));
		skip();
	}
	check_full_disk(state);
}

/* ---- SIGKILL ---- */

#define CRASHES 30
#define BATCH 50

/* Commits batches for ever, each beginning with the last record of the one before; tells each one.
 */
static void write_until_killed(const char *directory, int pipe_fd, int64_t round)
{
	struct ledger_config config = { .directory = directory };
	struct ledger *l = NULL;
	struct ledger_meta meta;
	bool set_aside;

	if (ledger_open(&config, &l, &set_aside) < 0 || set_aside ||
	    ledger_restore(l, &meta, NULL, NULL) < 0)
		_exit(2);
	for (int64_t step = 0;; step++) {
		uint64_t last = meta.sequence + BATCH;
		/* a new hour every few batches */
		int64_t now = T0 + (round * 3 + step / 5) * NS_PER_HOUR;

		if (commit_records(l, now, meta.sequence ? meta.sequence : 1, last, "f") < 0)
			_exit(3);
		meta.sequence = last;
		if (write(pipe_fd, &last, sizeof(last)) != sizeof(last))
			_exit(4);
	}
}

static uint64_t crash_once(const char *directory, int64_t round, uint64_t *random)
{
	uint64_t acknowledged = 0, said;
	volatile uint64_t spin;
	int ends[2], status, wanted;
	pid_t child;

	*random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
	wanted = (int)(*random % 12);
	spin = *random >> 32 & 0x3fffff;
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		close(ends[0]);
		write_until_killed(directory, ends[1], round);
	}
	close(ends[1]);
	for (int i = 0; i < wanted && read(ends[0], &said, sizeof(said)) == sizeof(said); i++)
		acknowledged = said;
	while (spin--)
		; /* to an instant anywhere within a transaction */
	kill(child, SIGKILL);
	while (read(ends[0], &said, sizeof(said)) == sizeof(said))
		acknowledged = said;
	close(ends[0]);
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
	return acknowledged;
}

static int note_state(void *user, uint64_t uid, const void *blob, size_t size)
{
	assert_int_equal(uid, 1);
	assert_int_equal(size, sizeof(uint64_t));
	memcpy(user, blob, size);
	return 0;
}

static void test_ledger_killed_at_any_instant(void **state)
{
	uint64_t random = (uint64_t)getpid() * 0x9e3779b97f4a7c15u, acknowledged = 0;
	int with_progress = 0;

	print_message("seed %llu\n", (unsigned long long)random);
	for (int64_t round = 0; round < CRASHES; round++) {
		uint64_t now = crash_once(*state, round, &random), kept = 0;
		struct ledger_meta meta;
		struct ledger *l;
		bool set_aside;

		if (now)
			acknowledged = now;
		with_progress += now != 0;
		l = open_ledger(*state, &set_aside);
		assert_false(set_aside);
		assert_int_equal(ledger_restore(l, &meta, note_state, &kept), 0);
		/* at most one batch was committed and could not be told */
		assert_in_range(meta.sequence, acknowledged, acknowledged + BATCH);
		assert_int_equal(meta.ring_position, meta.sequence * 8);
		assert_int_equal(kept, meta.sequence);
		ledger_close(&l);
		acknowledged = meta.sequence;
		if (meta.sequence)
			assert_sequences(*state, NULL, 1, meta.sequence);
		assert_int_equal(summed_count(*state), meta.sequence);
	}
	print_message("%d crashes, %d after a commit, %llu records, each once\n", CRASHES,
		      with_progress, (unsigned long long)acknowledged);
	assert_true(with_progress > CRASHES / 2);
}

/* ---- other users, and readers beside the writer ---- */

/* What a user without rights to write reads: the number of records, or -errno. */
static int read_as_nobody(const char *directory)
{
	struct ledger_query all = { 0 };
	struct collected c = { 0 };
	struct ledger_reader *reader = NULL;
	int ends[2], result = 0;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		result = ledger_reader_open(directory, &reader);
		if (result == 0)
			result = ledger_read_invocations(reader, &all, collect, &c);
		if (result == 0)
			result = (int)c.count;
		else
			fprintf(stderr, "as nobody: %s\n", ledger_error());
		_exit(write(ends[1], &result, sizeof(result)) == sizeof(result) ? 0 : 1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &result, sizeof(result)), sizeof(result));
	close(ends[0]);
	waitpid(child, NULL, 0);
	return result;
}

static void let_all_read(const char *directory)
{
	static const char *const endings[] = { "", "-wal", "-shm" };
	char path[PATH_MAX];

	chmod(directory, 0755);
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/" SEGMENT "%s", directory, endings[i]);
		chmod(path, 0644);
	}
}

static void killed_writer(const char *directory)
{
	pid_t child = fork();

	if (child == 0) {
		struct ledger *l = open_ledger(directory, NULL);

		commit_records(l, T0, 11, 30, "f");
		raise(SIGKILL);
	}
	waitpid(child, NULL, 0);
}

static void test_ledger_read_by_another_user(void **state)
{
	char path[PATH_MAX];
	struct ledger *l;

	if (geteuid() != 0) {
		print_message("skipped: becoming another user needs root\n");
		skip();
	}
	l = open_ledger(*state, NULL);
	assert_int_equal(commit_records(l, T0, 1, 10, "f"), 0);
	assert_int_equal(read_as_nobody(*state), -EACCES); /* the modes as made */
	let_all_read(*state);
	assert_int_equal(read_as_nobody(*state), 10); /* beside the writer */
	ledger_close(&l);
	assert_int_equal(count_files(*state, "-shm"), 0);
	assert_int_equal(read_as_nobody(*state), 10); /* no writer, no -wal */
	assert_int_equal(count_files(*state, "-shm"), 0);
	killed_writer(*state);
	let_all_read(*state);
	assert_int_equal(read_as_nobody(*state), 30); /* -wal and -shm left behind */
	path_of(path, state, SEGMENT "-shm");
	unlink(path);
	assert_int_equal(read_as_nobody(*state), -EACCES); /* the -wal cannot be read: says so */
	l = open_ledger(*state, NULL);
	ledger_close(&l);
	let_all_read(*state);
	assert_int_equal(read_as_nobody(*state), 30);
}

/* A visitor that writes on: the reader sees its own snapshot, the writer is not held up. */
struct intruder {
	struct ledger *l;
	uint64_t seen;
};

static int write_meanwhile(void *user, const struct invocation_record *record)
{
	struct intruder *i = user;
	uint64_t next = 100 + ++i->seen;

	(void)record;
	return commit_records(i->l, T0 + (i->seen > 5 ? NS_PER_HOUR : 0), next, next, "f");
}

static void test_ledger_writer_goes_on_beside_a_reader(void **state)
{
	struct intruder i = { .l = open_ledger(*state, NULL) };
	struct ledger_reader *reader = NULL;
	struct ledger_query all = { .last = 10 };
	struct collected c;

	assert_int_equal(commit_records(i.l, T0, 91, 100, "f"), 0);
	assert_int_equal(ledger_reader_open(*state, &reader), 0);
	assert_int_equal(ledger_read_invocations(reader, &all, write_meanwhile, &i), 0);
	assert_int_equal(i.seen, 10);
	ledger_reader_close(&reader);
	c = read_all(*state, NULL);
	assert_int_equal(c.count, 20);
	free(c.records);
	/* the reader was in the way of sealing the first hour; retention seals it */
	assert_int_equal(ledger_retain(i.l, T0), 0);
	ledger_close(&i.l);
	assert_int_equal(count_files(*state, "-wal"), 0);
	assert_sequences(*state, NULL, 91, 110);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ledger_garbage_header),
		TEST(test_ledger_cut_short),
		TEST(test_ledger_cut_to_a_stub),
		TEST(test_ledger_spoilt_page),
		TEST(test_ledger_damaged_twice),
		TEST(test_ledger_reads_past_damage),
		TEST(test_ledger_reads_up_to_damage),
		TEST(test_ledger_lost_sequences),
		TEST(test_ledger_failed_commits_lose_no_sequences),
		TEST(test_ledger_damage_found_by_restore),
		TEST(test_ledger_damage_while_writing),
		TEST(test_ledger_newer_schema_is_refused),
		TEST(test_schema_migrations),
		TEST(test_ledger_reads_the_first_schema),
		TEST(test_ledger_empty_segment_is_filled),
		TEST(test_ledger_full_disk),
		TEST(test_ledger_killed_at_any_instant),
		TEST(test_ledger_read_by_another_user),
		TEST(test_ledger_writer_goes_on_beside_a_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
