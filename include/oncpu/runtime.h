/* SPDX-License-Identifier: MIT-0 */
/*
 * oncpu/runtime.h — tells oncpu where the invocations of a function begin and end.
 *
 * Header only, no dependency, C11 and C++11, static binaries included. The same calls are in
 * liboncpu-runtime.so for every language that can load a library.
 *
 *     oncpu_receive_start("thumb", "request-1");   first trigger: initialisation is over
 *     … handle it …
 *     oncpu_response();              optional: the answer is out; what follows counts apart, too
 *     oncpu_report_done(0);          the invocation is over; 0 = ok
 *     oncpu_receive_invoke("2");     each later trigger
 *     oncpu_suspend(…)               under `oncpu run`: waits for the next trigger, free of cost
 *
 * Each call is a mark: a 5-byte nop with an ELF note of the systemtap format (provider "oncpu"), so
 * bpftrace, perf and others can use it too. For every call holds:
 *
 * - Errors: it returns nothing and cannot fail. errno and the FPU's state are left alone. With no
 *   agent, or an agent that is down, the mark is simply not seen.
 * - Strings: NULL, or NUL-terminated bytes (UTF-8 by custom), read during the call only. Function
 *   names count up to 63 bytes, ids up to 64; longer ones are cut and flagged in the record.
 * - Threads and signals: safe from any thread and from a signal handler, at the same time too. The
 *   boundary is the whole instance's, not the thread's.
 * - Cost: about 2.6 ns when nobody listens (13 ns from two threads that do nothing else: the
 * counter is locked, so that no two threads get one number); about 0.5 µs when oncpu listens. Every
 *   1,024th mark makes two system calls.
 * - Children: fork copies the counter, so a child goes on from its parent's numbers on its own, and
 *   its marks belong to the same instance. exec begins at 1 again.
 *
 * Marks are numbered from 1 in each process and object (program or shared library: one that comes
 * with marks of its own has numbers of its own), so that oncpu sees when one was missed. Number 1,
 * 1025, 2049 … is a *hello* in place of the nop: a prctl(PR_SET_NAME) that gives the thread the
 * name it has, by which oncpu learns of a binary that it has never seen. Only while an oncpu agent
 * is at work, it may hold the process at its first hello until its marks are attached, once a
 * binary. Where a seccomp filter refuses prctl with an errno, those marks go through the nop too; a
 * filter that kills on prctl kills: define ONCPU_RUNTIME_OFF there, and the calls do nothing.
 *
 * ONCPU_RUNTIME_SUPPORTED is 1 on Linux on x86-64 and 0 elsewhere, where the calls do nothing.
 *
 * At the nop: rdi = function or NULL, rsi = id or NULL, rdx = number, ecx = status, r8d = kind
 * (2 start, 3 invoke, 4 response, 5 done; oncpu/abi.h) — the C calling convention.
 */
#ifndef ONCPU_RUNTIME_H
#define ONCPU_RUNTIME_H

#if defined(__x86_64__) && !defined(__ILP32__) && defined(__linux__) && defined(__GNUC__) &&       \
	!defined(ONCPU_RUNTIME_OFF)
#define ONCPU_RUNTIME_SUPPORTED 1
#else
#define ONCPU_RUNTIME_SUPPORTED 0
#endif

#define ONCPU_RUNTIME_HELLO_MAGIC 0x6f6e637075ULL /* "oncpu" */
#define ONCPU_RUNTIME_HELLO_EVERY 1024u

#ifdef __cplusplus
extern "C" {
#endif

#if ONCPU_RUNTIME_SUPPORTED

/* What a hello points to; equal to struct oncpu_hello of oncpu/abi.h. */
struct oncpu_runtime_hello {
	unsigned kind;
	int status;
	unsigned long long site;
	const char *function;
	const char *id;
};

/*
 * One function a probe, its nop and its note, in a COMDAT group each: one copy an object, however
 * many files include this header. `?` puts the note into the function's group; .ifndef is for link
 * time optimisation, which joins the assembly of several files. The byte after ret makes the
 * functions differ, or a linker that folds identical ones makes four probes one.
 */
#define ONCPU_RUNTIME_SITE(symbol, probe, kind)                                                    \
	__asm__(".ifndef " symbol "\n"                                                             \
		".pushsection .text." symbol ",\"axG\",@progbits," symbol ",comdat\n"              \
		".weak " symbol "\n.hidden " symbol "\n.type " symbol ",@function\n" symbol ":\n"  \
		".cfi_startproc\n"                                                                 \
		"990: .byte 0x0f,0x1f,0x44,0x00,0x00\n"                                            \
		"ret\n"                                                                            \
		".cfi_endproc\n"                                                                   \
		".byte " kind "\n.size " symbol ",.-" symbol "\n"                                  \
		".pushsection .note.stapsdt,\"?\",\"note\"\n"                                      \
		".balign 4\n.4byte 992f-991f,994f-993f,3\n"                                        \
		"991: .asciz \"stapsdt\"\n992: .balign 4\n"                                        \
		"993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte 0\n"                              \
		".asciz \"oncpu\"\n.asciz \"" probe "\"\n"                                         \
		".asciz \"8@%rdi 8@%rsi 8@%rdx -4@%ecx -4@%r8d\"\n"                                \
		"994: .balign 4\n.popsection\n.popsection\n.endif\n")

/* By how much a prelinker moved the notes' addresses: as in sys/sdt.h, and shared with it. */
__asm__(".ifndef _.stapsdt.base\n"
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
	".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n"
	".size _.stapsdt.base,1\n.popsection\n.endif\n");
ONCPU_RUNTIME_SITE("oncpu_mark_receive_start", "receive_start", "2");
ONCPU_RUNTIME_SITE("oncpu_mark_receive_invoke", "receive_invoke", "3");
ONCPU_RUNTIME_SITE("oncpu_mark_response", "response", "4");
ONCPU_RUNTIME_SITE("oncpu_mark_report_done", "report_done", "5");

/* The number of the last mark, one an object. */
__asm__(".ifndef oncpu_mark_number\n"
	".pushsection .bss.oncpu_mark_number,\"awG\",@nobits,oncpu_mark_number,comdat\n"
	".weak oncpu_mark_number\n.hidden oncpu_mark_number\n.type oncpu_mark_number,@object\n"
	".balign 8\noncpu_mark_number: .zero 8\n.size oncpu_mark_number,8\n.popsection\n.endif\n");
extern unsigned long long oncpu_mark_number __attribute__((visibility("hidden")));

typedef void oncpu_runtime_site(const char *function, const char *id, unsigned long long number,
				int status, unsigned kind);
extern oncpu_runtime_site oncpu_mark_receive_start __attribute__((visibility("hidden")));
extern oncpu_runtime_site oncpu_mark_receive_invoke __attribute__((visibility("hidden")));
extern oncpu_runtime_site oncpu_mark_response __attribute__((visibility("hidden")));
extern oncpu_runtime_site oncpu_mark_report_done __attribute__((visibility("hidden")));

/* Not libc's: errno is not ours to touch. */
static inline long oncpu_runtime_prctl(long option, char *name, unsigned long long magic,
				       unsigned long long number, const void *hello)
{
	register unsigned long long r10 __asm__("r10") = number;
	register const void *r8 __asm__("r8") = hello;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(157L), "D"(option), "S"(name), "d"(magic), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

/* Brings in the pages of a string's first 65 bytes: its reader in the kernel cannot wait for them,
 * and must not read past a NUL into a page that may not be there. */
static inline void oncpu_runtime_touch(const char *s)
{
	unsigned long long room, i;

	__asm__("" : "+r"(s)); /* or compilers warn of a literal's end */
	if (!s)
		return;
	(void)*(const volatile char *)s;
	room = 4096 - ((unsigned long long)s & 4095);
	if (room >= 65)
		return;
	for (i = 0; i < room; i++)
		if (!((const volatile char *)s)[i])
			return;
	(void)((const volatile char *)s)[room];
}

/* 0, or the negative errno of a prctl that was refused. */
static __attribute__((noinline, cold, unused)) long
oncpu_runtime_say_hello(const char *function, const char *id, unsigned long long number, int status,
			unsigned kind)
{
	struct oncpu_runtime_hello hello = { kind, status,
					     (unsigned long long)&oncpu_mark_receive_start,
					     function, id };
	char name[16] = "";
	long result = oncpu_runtime_prctl(16 /* PR_GET_NAME */, name, 0, 0, (const void *)0);

	return result ? result
		      : oncpu_runtime_prctl(15 /* PR_SET_NAME */, name, ONCPU_RUNTIME_HELLO_MAGIC,
					    number, &hello);
}

/* Inlined, so that the kind is known where it is tested for; the site's call stays a call. */
static inline __attribute__((always_inline)) void oncpu_runtime_mark(oncpu_runtime_site *site,
								     const char *function,
								     const char *id, int status,
								     unsigned kind)
{
	unsigned long long number = __atomic_add_fetch(&oncpu_mark_number, 1, __ATOMIC_RELAXED);

	oncpu_runtime_touch(function);
	oncpu_runtime_touch(id);
	if (__builtin_expect(number % ONCPU_RUNTIME_HELLO_EVERY == 1, 0) &&
	    !oncpu_runtime_say_hello(function, id, number, status, kind))
		return;
	site(function, id, number, status, kind);
}

/*
 * The first trigger of this instance: what came before was its initialisation. `function` names the
 * function, or is NULL where the configuration names it; `invocation_id` names the invocation, or
 * is NULL. A further call begins an invocation too, and is flagged in its record.
 */
static inline void oncpu_receive_start(const char *function, const char *invocation_id)
{
	oncpu_runtime_mark(oncpu_mark_receive_start, function, invocation_id, 0, 2u);
}

/* A later trigger; what came since the last oncpu_report_done() was `between`. `invocation_id`
 * names the invocation, or is NULL. */
static inline void oncpu_receive_invoke(const char *invocation_id)
{
	oncpu_runtime_mark(oncpu_mark_receive_invoke, (const char *)0, invocation_id, 0, 3u);
}

/* Optional: the answer has been sent. What the invocation uses from here until oncpu_report_done()
 * is counted apart too, as `after_response`. */
static inline void oncpu_response(void)
{
	oncpu_runtime_mark(oncpu_mark_response, (const char *)0, (const char *)0, 0, 4u);
}

/* The invocation is over. `status`: 0 = ok, 1 = error, 2 = timeout, 3 = crashed, 4 = suspended
 * (enum oncpu_status of oncpu/abi.h). */
static inline void oncpu_report_done(int status)
{
	oncpu_runtime_mark(oncpu_mark_report_done, (const char *)0, (const char *)0, status, 5u);
}

/* ---- for functions under `oncpu run`: one HTTP request, without libc ---- */

static inline long oncpu_runtime_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* "127.0.0.1:9001" → a connected socket, or a negative errno. */
static __attribute__((unused)) int oncpu_runtime_dial(const char *api)
{
	struct {
		unsigned short family, port;
		unsigned address, zero[2];
	} to = { 2 /* AF_INET */, 0, 0, { 0, 0 } };
	unsigned char *bytes = (unsigned char *)&to.address;
	unsigned part = 0, value = 0, digits = 0;
	long fd, result;

	for (; api && *api; api++) {
		if (*api >= '0' && *api <= '9') {
			value = value * 10 + (unsigned)(*api - '0');
			digits++;
			if (value > (part < 4 ? 255u : 65535u))
				return -22; /* EINVAL */
		} else if ((*api == '.' && part < 3) || (*api == ':' && part == 3)) {
			bytes[part++] = (unsigned char)value;
			value = digits = 0;
		} else {
			return -22;
		}
	}
	if (part != 4 || !digits)
		return -22;
	to.port = (unsigned short)(value >> 8 | value << 8);
	fd = oncpu_runtime_call(41, 2, 1 | 02000000 /* SOCK_STREAM, SOCK_CLOEXEC */, 0, 0, 0, 0);
	if (fd < 0)
		return (int)fd;
	do
		result = oncpu_runtime_call(42, fd, (long)&to, sizeof(to), 0, 0, 0);
	while (result == -4 /* EINTR */);
	if (!result)
		return (int)fd;
	oncpu_runtime_call(3, fd, 0, 0, 0, 0, 0);
	return (int)result;
}

static __attribute__((unused)) long oncpu_runtime_send(int fd, const char *data, unsigned long size)
{
	while (size) {
		long n = oncpu_runtime_call(44, fd, (long)data, (long)size, 0x4000, 0, 0);

		if (n == -4 /* EINTR */)
			continue;
		if (n <= 0)
			return n ? n : -32; /* EPIPE */
		data += n;
		size -= (unsigned long)n;
	}
	return 0;
}

static inline unsigned long oncpu_runtime_length(const char *s)
{
	unsigned long n = 0;

	while (s[n])
		n++;
	return n;
}

static __attribute__((unused)) long oncpu_runtime_send_head(int fd, const char *path,
							    unsigned long size)
{
	static const char length[] = " HTTP/1.1\r\nHost: oncpu\r\nConnection: close\r\n"
				     "Content-Type: application/json\r\nContent-Length: ";
	char digits[24];
	unsigned at = sizeof(digits);
	long error;

	do {
		digits[--at] = (char)('0' + size % 10);
		size /= 10;
	} while (size);
	error = oncpu_runtime_send(fd, "POST ", 5);
	if (!error)
		error = oncpu_runtime_send(fd, path, oncpu_runtime_length(path));
	if (!error)
		error = oncpu_runtime_send(fd, length, sizeof(length) - 1);
	if (!error)
		error = oncpu_runtime_send(fd, digits + at, sizeof(digits) - at);
	return error ? error : oncpu_runtime_send(fd, "\r\n\r\n", 4);
}

/* The status, and the body's bytes, as many as fit; or a negative errno. The answer comes whenever
 * it comes. */
static __attribute__((unused)) long oncpu_runtime_receive(int fd, int *ret_status, char *body,
							  unsigned long size)
{
	char part[512];
	unsigned long got = 0, seen = 0, ends = 0; /* ends: bytes of the \r\n\r\n so far */
	long n, status = 0;

	while ((n = oncpu_runtime_call(45, fd, (long)part, sizeof(part), 0, 0, 0)) != 0) {
		if (n == -4 /* EINTR */)
			continue;
		if (n < 0)
			return n;
		for (long i = 0; i < n; i++, seen++) {
			if (ends == 4) {
				if (got < size)
					body[got] = part[i];
				got++;
				continue;
			}
			if (seen >= 9 && seen < 12)
				status = status * 10 + (part[i] - '0');
			ends = part[i] == "\r\n\r\n"[ends] ? ends + 1 : part[i] == '\r';
		}
	}
	*ret_status = (int)status;
	return ends == 4 ? (long)got : -71; /* EPROTO: it broke off */
}

static __attribute__((unused)) long oncpu_runtime_post(const char *api, const char *path,
						       const char *data, unsigned long data_size,
						       int *ret_status, char *body,
						       unsigned long size)
{
	int fd = oncpu_runtime_dial(api);
	long result;

	if (fd < 0)
		return fd;
	result = oncpu_runtime_send_head(fd, path, data_size);
	if (!result)
		result = oncpu_runtime_send(fd, data, data_size);
	if (!result)
		result = oncpu_runtime_receive(fd, ret_status, body, size);
	oncpu_runtime_call(3, fd, 0, 0, 0, 0, 0);
	return result;
}

/*
 * Suspends this invocation in mid-handler (under `oncpu run` only): its caller gets `answer`
 * (answer_size bytes of JSON, the partial result), the instance is frozen and costs nothing, and
 * the call returns when the next trigger comes, as an invocation of its own. That one's event is
 * copied into `event`, at most event_size bytes, without a NUL.
 *
 * `runtime_api` is getenv("AWS_LAMBDA_RUNTIME_API"). Returns the event's whole length, or a
 * negative errno: −EINVAL (runtime_api is no ADDRESS:PORT, or NULL), −ECONNREFUSED, −EBUSY (16: no
 * invocation is open, it was answered before, or several share the instance), −EPROTO. errno is
 * left alone.
 */
static __attribute__((unused)) long oncpu_suspend(const char *runtime_api, const char *answer,
						  unsigned long answer_size, char *event,
						  unsigned long event_size)
{
	int status = 0;
	long n = oncpu_runtime_post(runtime_api, "/2018-06-01/runtime/invocation/-/suspend", answer,
				    answer_size, &status, event, event_size);

	if (n < 0)
		return n;
	return status == 200 ? n : status == 409 ? -16 : -71;
}

#else /* elsewhere the calls are there and do nothing */

static inline long oncpu_suspend(const char *runtime_api, const char *answer,
				 unsigned long answer_size, char *event, unsigned long event_size)
{
	(void)runtime_api;
	(void)answer;
	(void)answer_size;
	(void)event;
	(void)event_size;
	return -38; /* ENOSYS */
}

static inline void oncpu_receive_start(const char *function, const char *invocation_id)
{
	(void)function;
	(void)invocation_id;
}

static inline void oncpu_receive_invoke(const char *invocation_id)
{
	(void)invocation_id;
}

static inline void oncpu_response(void)
{
}

static inline void oncpu_report_done(int status)
{
	(void)status;
}

#endif

#ifdef __cplusplus
}
#endif

#endif
