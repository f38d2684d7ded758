/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The unprivileged half of the slicer: the Invoke front, each instance's Runtime API, the state of
 * every instance, logs. It asks the keeper for whatever needs rights.
 *
 * The life of an instance:
 *
 *   STARTING   ─ everybody asked for next ─▶ IDLE        (init is over)
 *   IDLE       ─ a trigger ─▶ BUSY                       frozen while idle
 *   BUSY       ─ the answer, then everybody asked for next ─▶ IDLE
 *              ─ the answer, and no next within the grace ─▶ PAUSED   frozen in mid-handler
 *              ─ suspend, or report_done in mid-handler ─▶ SUSPENDED  frozen in mid-handler
 *              ─ suspend?until=… ─▶ SLEEPING ─▶ BUSY                  frozen, same invocation
 *   PAUSED, SUSPENDED ─ a trigger ─▶ BUSY                goes on where it stood
 *   any        ─ exit, time-out, limit, too long a stay ─▶ DEAD ─ GONE ─▶ free
 */
#ifndef ONCPU_SLICER_FRONT_H
#define ONCPU_SLICER_FRONT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/exchange.h"
#include "oncpu/abi.h"
#include "slicer/function.h"
#include "slicer/logbook.h"
#include "slicer/peer.h"
#include "slicer/protocol.h"

#define FRONT_PAYLOAD_MAX (6u << 20)		 /* of an event, and of an answer */
#define FRONT_BODY_MAX (FRONT_PAYLOAD_MAX + 100) /* what a runtime may send */
#define FRONT_STREAM_MAX (20u << 20)		 /* of a streamed answer */
#define FRONT_LOG_TAIL 4096			 /* X-Amz-Log-Result */
#define FRONT_LOG_PER_INVOCATION (1u << 20)	 /* the rest is counted and dropped */
enum { FRONT_ID = 40, FRONT_QUEUE = 1000, FRONT_ALIASES = 16 };

struct front_options {
	const struct slicer_function *functions;
	unsigned function_count;
	int listen_fd;	   /* the Invoke front */
	unsigned port;	   /* of it */
	int ready_fd;	   /* is told the port once all is ready; -1 = nobody */
	int keeper;	   /* socket to the keeper */
	int signals;	   /* signalfd */
	int log_directory; /* a descriptor: it cannot walk there itself */
	bool strict;	   /* AWS's own errors to runtimes */
	bool telemetry;	   /* platform.report as JSON on stdout */
	bool quiet;	   /* no copy of the functions' output on stdout */
};

struct invocation {
	struct invocation *next; /* in the queue */
	char id[FRONT_ID];
	struct exchange *caller; /* NULL: an Event, or the caller has gone */
	char *payload;
	size_t payload_size;
	char *client_context;
	bool wants_tail, wants_cpu, event;
	bool streams, stream_begun; /* InvokeWithResponseStream; its head is out */
	/* once it runs */
	bool responded, failed;		/* an answer was posted; it was an error */
	bool runtime_done;		/* subscribers have been told so */
	uint64_t taken_ns, answered_ns; /* our clock: given to an instance; answered */
	size_t produced;
	bool started; /* the START boundary stands */
	char *answer; /* what the caller gets, when it has to wait */
	size_t answer_size;
	char *answer_type;
	const char *function_error; /* X-Amz-Function-Error; NULL = none */
	uint64_t start_ns, start_total_ns, response_total_ns, end_ns, end_total_ns;
	int64_t asleep_ns; /* suspended until: frozen time that counts for nothing */
	uint64_t asleep_since_ns,
		left_ns; /* while SLEEPING: since when, and the time limit's rest */
	char tail[FRONT_LOG_TAIL];
	size_t tail_used, logged, dropped;
};

enum instance_state { SLOT_FREE, STARTING, IDLE, BUSY, PAUSED, SUSPENDED, SLEEPING, DEAD };

struct participant { /* the runtime, or an external extension */
	char name[64];
	char identifier[FRONT_ID];
	struct exchange *next; /* its open GET next */
	bool wants_invoke, wants_shutdown, ready;
};

struct instance {
	enum instance_state state;
	uint32_t index, generation;
	struct front *front;
	struct function *function;
	int listener, log; /* of its Runtime API; the read end of its output */
	int extension_log; /* the same of its extensions */
	unsigned port;
	uint64_t cgroup_id; /* 0 = the keeper has not told yet */
	pid_t pid;
	struct participant runtime, extensions[FUNCTION_EXTENSIONS];
	unsigned extension_count, processes; /* registered; external ones that live */
	struct telemetry *telemetry;	     /* NULL: it has no extensions */
	struct invocation *current;
	struct exchange *withheld;	       /* the suspend that is not answered yet */
	char aliases[FRONT_ALIASES][FRONT_ID]; /* ids that mean the current invocation */
	unsigned alias_count;
	bool frozen, retire, cold, init_failed, start_pending, end_pending, resumed;
	bool shutting_down;	   /* extensions were told of its end */
	uint32_t ask_when_written; /* keeper_op; 0 = nothing */
	uint64_t born_ns, ready_ns;
	uint64_t deadline_ns; /* what happens when it passes depends on the state; 0 = nothing */
	uint64_t freeze_ns;   /* freeze-after; 0 = nothing */
	uint64_t frozen_ns;   /* when it was asked for */
	char *init_error;     /* JSON, from init/error */
	size_t init_error_size;
};

struct function {
	const struct slicer_function *facts;
	uint32_t index;
	struct invocation *queue, **queue_end;
	unsigned queued, instances;
	unsigned failures; /* starts in a row that came to nothing */
	uint64_t retry_ns; /* no new instance before */
	struct logbook book;
};

struct front {
	const struct front_options *options;
	struct exchanges *exchanges;
	struct peers peers;
	bool peers_known;
	struct function functions[SLICER_FUNCTIONS];
	struct instance *instances[SLICER_INSTANCES];
	uint32_t highest, generation;
	unsigned written_asks; /* how many wait for their events to be written */
	int epoll;
	struct outbox keeper;
	bool keeper_full; /* epoll tells when there is room again */
	bool stopping, stop;
	uint64_t stop_ns;
};

uint64_t front_now(void); /* CLOCK_MONOTONIC */
int64_t front_realtime(void);
/* The other end of this connection is in the instance's own cgroup. */
bool front_is_own(struct front *f, const struct instance *i, int fd);
void front_ask(struct front *f, struct instance *i, uint32_t op, const char *id, int32_t status,
	       bool freeze);

/* ---- invocation.c ---- */
struct invocation *invocation_new(void);
void invocation_free(struct invocation *v);
/* Gives the caller what there is, once. */
void invocation_deliver(struct invocation *v);
/* Puts an answer by: `body` is taken. */
void invocation_answer(struct invocation *v, char *body, size_t size, const char *type,
		       const char *function_error);
void invocation_fail(struct invocation *v, const char *type, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The headers of the answer to its caller. */
void invocation_add_headers(struct invocation *v);

/* ---- streaming.c: of one that streams ---- */
void streaming_piece(struct invocation *v, const void *data, size_t size);
void streaming_end(struct invocation *v); /* what there is of an answer or error, and the end */

/* ---- instance.c ---- */
/* Gives the function's queue to instances: resumes, reuses, starts. */
void function_dispatch(struct front *f, struct function *function);
void instance_on_next(struct instance *i, struct participant *p, struct exchange *x);
void instance_on_response(struct instance *i, const char *id, struct exchange *x, bool error);
/* A part of an answer that is streamed, in exchange_body(): takes it away if somebody waits for it.
 */
void instance_on_piece(struct instance *i, const char *id, struct exchange *x);
void instance_on_suspend(struct instance *i, const char *id, struct exchange *x, bool by_done);
void instance_on_init_error(struct instance *i, struct exchange *x);
void instance_on_news(struct instance *i, const struct keeper_news *news, int fd);
void instance_on_written(struct instance *i);
void instance_on_deadline(struct instance *i, uint64_t now);
void instance_on_gone_exchange(struct instance *i, struct exchange *x, bool delivered);
void instance_on_stop(struct instance *i);	 /* the slicer ends */
bool instance_is_told(const struct instance *i); /* its extensions hear of its end */
void instance_end(struct instance *i, const char *error_type, const char *why);
uint64_t instance_next_deadline(const struct instance *i);

/* ---- runtime_api.c, invoke_api.c ---- */
void runtime_api(struct instance *i, struct exchange *x);
void runtime_api_piece(struct instance *i, struct exchange *x);
bool runtime_api_streams(struct exchange *x); /* it says that its body is a stream */
void invoke_api(struct front *f, struct exchange *x);

/* ---- output.c ---- */
void output_read(struct instance *i); /* what the pipes have, bounded */
void output_drain(struct instance *i);
void output_line(struct instance *i, const char *text, size_t size); /* the platform's own */
void output_start(struct instance *i);
void output_soft_limit(struct instance *i, const struct keeper_news *news);
void output_timed_out(struct instance *i, const char *text); /* the line that Lambda writes */
void output_report(struct instance *i, const struct keeper_news *news, const char *status);

/* The front's loop, in a process without rights. The exit code. */
int front_run(const struct front_options *options);

#endif
