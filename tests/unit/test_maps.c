// SPDX-License-Identifier: GPL-2.0
/* What the attacher reads from /proc and from the worker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/attacher_protocol.h"
#include "daemon/maps.h"
#include "daemon/object.h"
#include "daemon/proc.h"

static int parse(const char *line, struct maps_entry *entry)
{
	return maps_parse_line(line, strlen(line), entry);
}

static void test_maps_line(void **state)
{
	struct maps_entry e;

	(void)state;
	assert_int_equal(
		parse("55d0c0a00000-55d0c0a21000 r-xp 00002000 fe:01 1234567    /usr/bin/a b", &e),
		0);
	assert_true(e.low == 0x55d0c0a00000 && e.high == 0x55d0c0a21000 && e.offset == 0x2000);
	assert_true(e.device_major == 0xfe && e.device_minor == 1 && e.inode == 1234567);
	assert_true(e.executable && !e.path_cut);
	assert_string_equal(e.path, "/usr/bin/a b");
	assert_int_equal(parse("1000-2000 rw-p 00000000 00:00 0 ", &e), 0);
	assert_string_equal(e.path, "");
	assert_int_equal(parse("1000-2000 rw-p 00000000 00:00 0", &e), 0);
	assert_int_equal(parse("1000-2000 r-xp 0 1:2 3 /a (deleted)", &e), 0);
	assert_true(e.path_cut);
}

static void test_maps_refuses_nonsense(void **state)
{
	static const char *const lines[] = {
		"",
		"x",
		"2000-1000 r-xp 0 1:2 3 /a",
		"1000-1000 r-xp 0 1:2 3 /a",
		"10000000000000000-2 r-xp 0 1:2 3 /a",
		"1000-2000 r-xp 0 1:2",
		"1000-2000 r-",
		"1000-2000 r-xp 0 100000000:2 3",
		"1000-2000 r-xp 0 1:2 99999999999999999999",
	};
	struct maps_entry e = { .inode = 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(parse(lines[i], &e), -EINVAL);
	assert_int_equal(e.inode, 7); /* outputs only on success */
}

static void test_maps_finds_own_code(void **state)
{
	struct maps_entry e;
	struct stat mapped, own;
	int fd;

	(void)state;
	assert_int_equal(maps_find(getpid(), (uintptr_t)test_maps_finds_own_code, &e), 0);
	assert_true(e.executable);
	assert_int_equal(maps_find(getpid(), 1, &e), -ENOENT);
	assert_int_equal(maps_find(0x7ffffff0, 1, &e), -ENOENT);
	assert_int_equal(object_open_mapped(getpid(), (uintptr_t)test_maps_finds_own_code, &fd), 0);
	assert_int_equal(fstat(fd, &mapped) | stat("/proc/self/exe", &own), 0);
	assert_true(mapped.st_ino == own.st_ino && mapped.st_dev == own.st_dev);
	assert_false(object_has_nop(fd, 0)); /* an ELF header is no nop */
	assert_false(object_has_nop(fd, UINT64_MAX));
	close(fd);
	/* the stack is no file */
	assert_int_equal(object_open_mapped(getpid(), (uintptr_t)&e, &fd), -ENOENT);
	assert_int_equal(object_open_path("/dev/null", &fd), -EINVAL);
}

static void test_syscall_text_is_hello(void **state)
{
	uint64_t hello = 0;

	(void)state;
	assert_true(proc_syscall_is_hello(
		"157 0xf 0x7ffc1000 0x6f6e637075 0x1 0x7ffc2000 0x0 0x7ffc0000 0x7f001234\n",
		&hello));
	assert_true(hello == 0x7ffc2000);
	assert_false(proc_syscall_is_hello("running\n", &hello));
	assert_false(proc_syscall_is_hello("-1 0x7ffc0000 0x7f001234\n", &hello));
	assert_false(proc_syscall_is_hello("157 0xf 0x1 0x6f6e637076 0x1 0x2 0x0", &hello));
	assert_false(proc_syscall_is_hello("0 0xf 0x1 0x6f6e637075 0x1 0x2 0x0", &hello));
	assert_false(proc_syscall_is_hello("", &hello));
	assert_int_equal(proc_continue(getpid()), -EAGAIN); /* runs, and is in no hello */
	assert_int_equal(proc_continue(1), -ESRCH);
	assert_int_equal(proc_state(getpid()), 'R');
	assert_int_equal(proc_state(0x7ffffff0), 0);
}

static void test_channel_carries_descriptors(void **state)
{
	struct attacher_reply sent = { .magic = ATTACHER_MAGIC, .handle = 9, .descriptors = 2 },
			      got;
	int pair[2], fds[KERN_FD_COUNT], give[2] = { 0, 1 };
	char odd[5] = "odd";
	size_t count = 99;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	assert_int_equal(channel_send(pair[0], &sent, sizeof(sent), give, 2), 0);
	assert_int_equal(channel_receive(pair[1], &got, sizeof(got), fds, KERN_FD_COUNT, &count),
			 0);
	assert_int_equal(count, 2);
	assert_int_equal(got.handle, 9);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	close(fds[0]), close(fds[1]);
	/* nobody asked for descriptors: refused, and not leaked */
	assert_int_equal(channel_send(pair[0], &sent, sizeof(sent), give, 2), 0);
	assert_int_equal(channel_receive(pair[1], &got, sizeof(got), NULL, 0, &count), -EBADMSG);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(channel_send(pair[0], odd, sizeof(odd), NULL, 0), 0);
	assert_int_equal(channel_receive(pair[1], &got, sizeof(got), NULL, 0, &count), -EBADMSG);
	close(pair[0]);
	assert_int_equal(channel_receive(pair[1], &got, sizeof(got), NULL, 0, &count), -EPIPE);
	assert_int_equal(channel_send(pair[1], &sent, sizeof(sent), NULL, 0), -EPIPE);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps_line),
		cmocka_unit_test(test_maps_refuses_nonsense),
		cmocka_unit_test(test_maps_finds_own_code),
		cmocka_unit_test(test_syscall_text_is_hello),
		cmocka_unit_test(test_channel_carries_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
