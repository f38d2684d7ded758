/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel side as the agent sees it. The only folder that sees libbpf and libelf.
 *
 * Two halves: `kern_owner` (privileged: loads, pins, attaches; used by the attacher, measure,
 * doctor) and `kern_view` (unprivileged: mmaps and reads through the descriptors that the owner
 * hands over).
 */
#ifndef ONCPU_KERN_KERN_H
#define ONCPU_KERN_KERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "oncpu/abi.h"

struct kern_pattern {
	char function[ONCPU_NAME_LEN];
	char pattern[ONCPU_PATTERN_LEN]; /* glob over the cgroup v2 path: '*' within one component,
					    '?' one byte */
};

/* What can be gone without. The host lacks it, or `without` says so. */
enum kern_without {
	KERN_WITHOUT_STEAL = 1u << 0,
	KERN_WITHOUT_DIRECT_READS = 1u << 1,
	KERN_WITHOUT_CLOCK = 1u << 2,
	KERN_WITHOUT_BOOKS = 1u << 3,
	KERN_WITHOUT_UPROBES = 1u << 4,
	KERN_WITHOUT_STOP = 1u << 5,
	KERN_WITHOUT_HELLO = 1u << 6,
	KERN_WITHOUT_CGROUPS = 1u << 7,
	KERN_WITHOUT_ITERATOR = 1u << 8,
};
/* A comma-separated list of their names. 0; -EINVAL, and kern_error() says which there are. */
int kern_parse_without(const char *list, uint32_t *ret_bits);
/* The i-th one's name, what is lost without it, the cure, its bit; NULL and 0 after the last. */
const char *kern_without_name(unsigned i);
const char *kern_without_loss(unsigned i);
const char *kern_without_cure(unsigned i);
uint32_t kern_without_bit(unsigned i);

struct kern_config {
	const char *pin_dir;	 /* default /sys/fs/bpf/oncpu */
	const char *cgroup_root; /* NULL = find the cgroup2 mount */
	uint32_t max_instances;	 /* default 4096 */
	uint32_t max_threads;	 /* default 65536 */
	uint32_t ring_bytes;	 /* power of two, default 16 MiB */
	const struct kern_pattern *patterns;
	uint32_t pattern_count;
	bool hidden_check;    /* compare rq->curr (default true) */
	bool live_steal;      /* default true */
	bool where;	      /* watch where wall time goes; costs some more at each switch */
	bool no_wakeup_bound; /* leaves what may be waking up out of the bound; for measuring only
			       */
	uint32_t without;     /* enum kern_without */
	bool no_transit_cap;  /* a switch may be in progress however old a CPU's clock is; for CPUs
				 that somebody takes away without a word */
	bool no_skip_check;   /* counts what runs after a wake-up whose switch skips the clock's
				 update; for measuring only */
	bool irq;	      /* measure what interrupts take out of slices (default false) */
	bool no_direct_reads; /* as on a kernel without bpf_rdonly_cast; for testing */
	uint32_t open_trap;   /* 7 or 8: leaves that trap open, to see its test fail; for testing */
	uint32_t pid_max; /* 0 = the host's; smaller: as if it had been raised since; for testing */
};

/* Descriptors that the unprivileged half needs; passed over SCM_RIGHTS in this order. */
enum kern_fd {
	KERN_FD_EVENTS,
	KERN_FD_REQUESTS,
	KERN_FD_CONTROL,
	KERN_FD_INSTANCES,
	KERN_FD_TOTALS,
	KERN_FD_COUNTERS,
	KERN_FD_COUNT
};

const char *kern_error(void); /* last error with cause and cure */

/* Where cgroup v2 is mounted. 0, -ENOENT. */
int kern_cgroup_root(char *buffer, size_t size);

struct kern_owner;
/* Loads or adopts the pins of pin_dir. -EPERM, -ENOENT (no BTF), -EPROTO (pins of another layout),
 * -ENOSYS (kernel too old), -EINVAL. *ret_adopted: maps of an earlier agent were taken over. */
int kern_owner_open(const struct kern_config *config, struct kern_owner **ret_owner,
		    bool *ret_adopted);
void kern_owner_close(struct kern_owner **owner); /* leaves the pins: accounting goes on */
/* Removes every pin: accounting stops, what waits in the ring is gone. How many there were. */
int kern_unpin(const char *pin_dir);
/* Does an agent's heart beat there? Takes up to 600 ms. False also for another layout's pins. */
bool kern_pins_in_use(const char *pin_dir);
int kern_owner_fd(const struct kern_owner *o, enum kern_fd which);
/* What it goes without (enum kern_without), because it was told so or because the host has it not.
 */
uint32_t kern_owner_without(const struct kern_owner *o);
/* Adopts what already runs in matching cgroups (iter/task), then makes each CPU switch once. */
int kern_owner_adopt(struct kern_owner *o);
/* Adopts the threads and children of one process-tree instance. */
int kern_owner_adopt_tree(struct kern_owner *o, pid_t tgid, uint64_t uid);
/* Has the EXIT of an instance said again that found no room in the ring. 0, -ENOENT: it waits for
 * none. */
int kern_owner_finish(struct kern_owner *o, uint64_t uid);
/* Its marks are attached: processes that run it are no longer stopped. */
int kern_owner_know_object(struct kern_owner *o, const struct oncpu_object *object);
/* Attaches the mark program to an offset of an open file; idempotent per (dev, inode, offset). */
int kern_owner_attach_mark(struct kern_owner *o, int file_fd, uint64_t offset);

/* Both books of an instance at one moment: K before and after the kernel's own total of its cgroup
 * (cpu.stat, whole µs). */
struct kern_audit {
	uint64_t before_ns, after_ns, kernel_ns, bound_ns;
	uint32_t running; /* threads on a CPU at either reading: the kernel's total is behind */
	uint32_t missing; /* hooks that are not attached any more, a bit each: kern_hook_name */
};
/* uid 0: the kernel's total alone, of a cgroup that nobody lives in now (before, after are 0).
 * -ENOENT (instance or cgroup is gone), -EBUSY (uid 0, and it has been lived in again), -EPERM. */
int kern_owner_audit(struct kern_owner *o, uint64_t uid, uint64_t cgroup_id,
		     struct kern_audit *ret_audit);
const char *kern_hook_name(unsigned i); /* NULL past the end */

/* How a configured symbol maps to a boundary. */
struct kern_symbol {
	uint32_t kind;		       /* ONCPU_EV_START / INVOKE / RESPONSE / END */
	int32_t id_arg;		       /* 0-based register argument with a C string, -1 = none */
	int32_t name_arg;	       /* likewise for the function's name */
	int32_t status_arg;	       /* integer argument, -1 = none */
	char function[ONCPU_NAME_LEN]; /* "" = from the cgroup or name_arg */
};
int kern_owner_attach_symbol(struct kern_owner *o, int file_fd, uint64_t offset,
			     const struct kern_symbol *symbol);
/* All configured symbols are attached: from here on these programs make their boundaries, and those
 * of an earlier agent are detached. No hit is lost or seen twice. */
int kern_owner_take_symbols(struct kern_owner *o);

/* Boundaries from outside, through the pinned syscall program; usable with the pins alone. */
struct kern_boundary;
int kern_boundary_open(const char *pin_dir, struct kern_boundary **ret_b);
void kern_boundary_close(struct kern_boundary **b);
/* Makes a held instance for a cgroup (its v2 id); emits INIT. `sizes` may be NULL. *ret_uid;
 * *ret_born_ns (may be NULL): CLOCK_MONOTONIC of INIT. -ENOSPC: table full. -EEXIST. */
struct kern_sizes {		      /* what the holder gives; 0 = it does not say */
	uint32_t memory_mb, quota_us; /* quota: of 100 ms */
};
int kern_boundary_create(struct kern_boundary *b, uint64_t cgroup_id, const char *function,
			 const struct kern_sizes *sizes, uint64_t *ret_uid, uint64_t *ret_born_ns);
int kern_boundary_make(struct kern_boundary *b, uint64_t uid, uint32_t kind, const char *id,
		       size_t id_len, int32_t status);
/* Everything charged up to time_ns (CLOCK_MONOTONIC), running slices included. */
struct kern_reading {
	uint64_t time_ns, total_ns;
};
/* As kern_boundary_make, with what the event says. peak_bytes: the most memory so far, of END and
 * SUSPEND; 0 = not known. */
int kern_boundary_mark(struct kern_boundary *b, uint64_t uid, uint32_t kind, const char *id,
		       size_t id_len, int32_t status, uint64_t peak_bytes,
		       struct kern_reading *ret_reading);
int kern_boundary_read(struct kern_boundary *b, uint64_t uid, struct kern_reading *ret_reading);
/* Of an instance whose processes have ended: waits until their last switches have come, too, for
 * what they use until then is the kernel's as well; at most `most_ms`. 0, -ETIMEDOUT, -errno. */
int kern_boundary_settle(struct kern_boundary *b, uint64_t uid, int most_ms);
/* Lets go of a held instance: EXIT follows once no thread is left. */
int kern_boundary_release(struct kern_boundary *b, uint64_t uid);

/* The unprivileged half. Takes ownership of the descriptors on success. */
struct kern_view;
int kern_view_open(const int fds[KERN_FD_COUNT], struct kern_view **ret_view);
void kern_view_close(struct kern_view **view);
/* epoll on these (EPOLLET) */
int kern_view_events_fd(const struct kern_view *v);
int kern_view_requests_fd(const struct kern_view *v);
/* Reads events from the read-ahead position; returns how many (≤ max). Pointers are copies. */
int kern_view_read(struct kern_view *v, struct oncpu_event *events, size_t max);
uint64_t kern_view_position(const struct kern_view *v); /* position after the last event read */
int kern_view_commit(struct kern_view *v, uint64_t position); /* frees the ring up to there */
void kern_view_rewind(struct kern_view *v); /* read again from the committed position */
void kern_view_heartbeat(
	struct kern_view *v,
	uint64_t now_ns); /* processes are stopped for attaching only while fresh (1 s) */

/* A process asks for its marks to be attached (it is stopped if `stopped`). */
struct kern_request {
	uint32_t kind; /* KERN_REQ_HELLO */
	uint32_t tgid;
	uint64_t site;	  /* address of a mark's nop; 0 = nothing to attach */
	uint64_t uid;	  /* instance; 0 = a process moved between cgroups: adopt by cgroup */
	uint32_t threads; /* of the process */
	bool tree;	  /* just became a process tree; if threads > 1 adopt the others */
	bool stopped;	  /* held by SIGSTOP until continued */
	struct oncpu_object
		object; /* put with kern_owner_know_object once its marks are attached */
};
enum { KERN_REQ_HELLO = 1 };
int kern_view_next_request(struct kern_view *v, struct kern_request *ret_request); /* 1, 0 = none */

/* Identity of the pinned maps, unique within one boot: positions and instances are theirs. */
uint64_t kern_view_pins(const struct kern_view *v);
/* Is the instance still in the table? Not once its EXIT was committed. */
bool kern_view_has(const struct kern_view *v, uint64_t uid);

/* Ended, and the ring had no room for its EXIT: the uid of one such instance in the table from *at
 * on, which moves behind it. 0 = there is no more. */
uint64_t kern_view_lost_exit(const struct kern_view *v, uint32_t *at);

/* A living instance, by its own cgroup's id or by the first process of its tree. 0, -ENOENT. */
struct kern_instance {
	uint64_t uid;
	bool held;
	char function[ONCPU_NAME_LEN];
};
int kern_view_find_cgroup(const struct kern_view *v, uint64_t cgroup_id,
			  struct kern_instance *ret_instance);
int kern_view_find_tree(const struct kern_view *v, uint32_t root_tgid,
			struct kern_instance *ret_instance);

/* Bytes of the event ring in use (not committed), and its size. */
void kern_view_ring(const struct kern_view *v, uint64_t *ret_used, uint64_t *ret_size);

/* Counters kept by the kernel side, declared once in bpf/counters.def: name and prose. */
unsigned kern_counter_count(void);
const char *kern_counter_name(unsigned i);
const char *kern_counter_help(unsigned i);
uint64_t kern_view_counter(const struct kern_view *v, unsigned i);

/* ELF: marks and symbols of a file (bounded; hostile input is refused, never trusted). */
typedef int (*marks_fn)(void *user, const char *probe, uint64_t file_offset);
int elf_marks(int fd, marks_fn visit,
	      void *user); /* every oncpu note whose site holds a 5-byte nop; count or -errno */
int elf_symbol(int fd, const char *symbol, uint64_t *ret_offset); /* -ENOENT: see elf_nearest */
/* Up to 3 nearest names, comma separated, for the error line. */
int elf_nearest(int fd, const char *symbol, char *buffer, size_t size);

#endif
