/* SPDX-License-Identifier: MIT-0 */
/*
 * oncpu/runtime.h — tells oncpu where the invocations of a function begin and end.
 *
 * Header only, no dependency, C11 and C++11, static binaries included. The same calls are in
 * liboncpu-runtime.so for every language that can load a library.
 *
 *     oncpu_receive_start("thumb", "request-1");   the first trigger: module initialisation is over
 *     … handle it …
 *     oncpu_response();                            optional: the answer is out, what follows is
 * after it oncpu_report_done(0);                        the invocation is over; 0 = ok, 1 = error
 *     oncpu_receive_invoke("request-2");           each later trigger
 *
 * Each call is a mark: a 5-byte nop with an ELF note of the systemtap format (provider "oncpu"), so
 * that bpftrace, perf and others can use it too. It returns nothing, cannot fail, touches neither
 * errno nor memory of yours, and may be called from any thread. It costs about 2 ns when nobody
 * listens.
 *
 * Strings are UTF-8, NUL-terminated, and read during the call only: function names up to 63 bytes,
 * ids up to 64 (longer ones are cut and flagged in the record).
 *
 * Marks are numbered from 1 in each process and object, so that oncpu can see when one was missed.
 * Every 1,024th, the first one included, is a *hello*: a prctl that renames the thread to the name
 * it has, by which oncpu learns of a binary that it has never seen. A forked child goes on with its
 * parent's numbers; its marks belong to the same instance.
 *
 * At the nop: rdi = function or NULL, rsi = id or NULL, rdx = number, ecx = status, r8d = kind
 * (2 start, 3 invoke, 4 response, 5 done, 6 suspend).
 */
#ifndef ONCPU_RUNTIME_H
#define ONCPU_RUNTIME_H

#if defined(__x86_64__) && defined(__linux__) && (defined(__GNUC__) || defined(__clang__)) &&      \
	!defined(ONCPU_RUNTIME_OFF)
#define ONCPU_RUNTIME_SUPPORTED 1
#else
#define ONCPU_RUNTIME_SUPPORTED 0
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define ONCPU_RUNTIME_HELLO_MAGIC 0x6f6e637075ULL
#define ONCPU_RUNTIME_HELLO_EVERY 1024u

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
 * many files include this header. `?` puts the note into the function's group.
 */
#define ONCPU_RUNTIME_SITE(symbol, probe)                                                          \
	__asm__(".pushsection .text." symbol ",\"axG\",@progbits," symbol ",comdat\n"              \
		".weak " symbol "\n.hidden " symbol "\n.type " symbol ",@function\n" symbol ":\n"  \
		"990: .byte 0x0f,0x1f,0x44,0x00,0x00\n"                                            \
		"ret\n.size " symbol ",.-" symbol "\n"                                             \
		".pushsection .note.stapsdt,\"?\",\"note\"\n"                                      \
		".balign 4\n.4byte 992f-991f,994f-993f,3\n"                                        \
		"991: .asciz \"stapsdt\"\n992: .balign 4\n"                                        \
		"993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte 0\n"                              \
		".asciz \"oncpu\"\n.asciz \"" probe "\"\n"                                         \
		".asciz \"8@%rdi 8@%rsi 8@%rdx -4@%ecx 4@%r8d\"\n"                                 \
		"994: .balign 4\n.popsection\n.popsection\n")

__asm__(".ifndef _.stapsdt.base\n"
	".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
	".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n"
	".size _.stapsdt.base,1\n.popsection\n.endif\n");
ONCPU_RUNTIME_SITE("oncpu_mark_receive_start", "receive_start");
ONCPU_RUNTIME_SITE("oncpu_mark_receive_invoke", "receive_invoke");
ONCPU_RUNTIME_SITE("oncpu_mark_response", "response");
ONCPU_RUNTIME_SITE("oncpu_mark_report_done", "report_done");

/* The number of the last mark, one an object. */
__asm__(".pushsection .bss.oncpu_mark_number,\"awG\",@nobits,oncpu_mark_number,comdat\n"
	".weak oncpu_mark_number\n.hidden oncpu_mark_number\n.type oncpu_mark_number,@object\n"
	".balign 8\noncpu_mark_number: .zero 8\n.size oncpu_mark_number,8\n.popsection\n");
extern unsigned long long oncpu_mark_number __attribute__((visibility("hidden")));
extern const char oncpu_mark_receive_start[] __attribute__((visibility("hidden")));

static inline long oncpu_runtime_prctl(long option, const void *a, unsigned long long b,
				       unsigned long long c, const void *d)
{
	register unsigned long long r10 __asm__("r10") = c;
	register const void *r8 __asm__("r8") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(157L), "D"(option), "S"(a), "d"(b), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
}

/* Brings in the pages of a string before the mark: its reader in the kernel cannot wait for them.
 */
static inline void oncpu_runtime_touch(const char *s)
{
	unsigned long long room;

	__asm__("" : "+r"(s)); /* or compilers warn of a literal's end */
	if (!s)
		return;
	(void)*(const volatile char *)s;
	room = 4096 - ((unsigned long long)s & 4095);
	if (room > 65)
		return;
	for (unsigned long long i = 0; i < room; i++)
		if (!((const volatile char *)s)[i])
			return;
	(void)((const volatile char *)s)[room];
}

static __attribute__((noinline, cold, unused)) void
oncpu_runtime_hello(unsigned kind, const char *function, const char *id, unsigned long long number,
		    int status)
{
	struct oncpu_runtime_hello hello = {
		kind, status, (unsigned long long)(const void *)oncpu_mark_receive_start, function,
		id
	};
	char name[16] = "";

	if (oncpu_runtime_prctl(16 /* PR_GET_NAME */, name, 0, 0, (const void *)0) == 0)
		oncpu_runtime_prctl(15 /* PR_SET_NAME */, name, ONCPU_RUNTIME_HELLO_MAGIC, number,
				    &hello);
}

/* The call to a site, out of line of the compiler's view: it clobbers nothing. */
#define ONCPU_RUNTIME_MARK(symbol, kind, function, id, status)                                     \
	do {                                                                                       \
		const char *f_ = (function), *i_ = (id);                                           \
		unsigned long long n_ =                                                            \
			__atomic_add_fetch(&oncpu_mark_number, 1, __ATOMIC_RELAXED);               \
		oncpu_runtime_touch(f_);                                                           \
		oncpu_runtime_touch(i_);                                                           \
		if (__builtin_expect(n_ % ONCPU_RUNTIME_HELLO_EVERY == 1, 0)) {                    \
			oncpu_runtime_hello((kind), f_, i_, n_, (status));                         \
		} else {                                                                           \
			register unsigned r8_ __asm__("r8") = (kind);                              \
			/* below the red zone: a call writes its return address */                 \
			__asm__ volatile("lea -128(%%rsp), %%rsp\n\tcall " symbol                  \
					 "\n\tlea 128(%%rsp), %%rsp"                               \
					 :                                                         \
					 : "D"(f_), "S"(i_), "d"(n_), "c"(status), "r"(r8_)        \
					 : "memory");                                              \
		}                                                                                  \
	} while (0)

/* The first trigger of this instance: initialisation ends here. `function` may be NULL where the
 * configuration names it; `invocation_id` may be NULL. */
static inline void oncpu_receive_start(const char *function, const char *invocation_id)
{
	ONCPU_RUNTIME_MARK("oncpu_mark_receive_start", 2u, function, invocation_id, 0);
}

/* A later trigger. */
static inline void oncpu_receive_invoke(const char *invocation_id)
{
	ONCPU_RUNTIME_MARK("oncpu_mark_receive_invoke", 3u, (const char *)0, invocation_id, 0);
}

/* The answer has been sent; what the invocation still does is counted apart. */
static inline void oncpu_response(void)
{
	ONCPU_RUNTIME_MARK("oncpu_mark_response", 4u, (const char *)0, (const char *)0, 0);
}

/* The invocation is over: 0 = ok, anything else = error. */
static inline void oncpu_report_done(int status)
{
	ONCPU_RUNTIME_MARK("oncpu_mark_report_done", 5u, (const char *)0, (const char *)0, status);
}

#else /* elsewhere the calls are there and do nothing */

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
