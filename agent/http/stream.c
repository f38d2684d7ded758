// SPDX-License-Identifier: GPL-2.0
/*
 * Long answers: a producer thread writes into a pipe, libmicrohttpd reads from it in the loop.
 * While the pipe is empty the connection is suspended and the pipe watched by the server's epoll;
 * at first, too: status and headers are queued when the producer has written its first bytes, or
 * has ended without.
 *
 * A stream has two owners: the loop (its request, then its response) and the thread. The last to
 * let go frees it. The loop goes first when a client leaves: its end of the pipe is closed, the
 * producer gets -EPIPE. libmicrohttpd does not see a client leave whose connection is suspended: a
 * live answer's socket is watched for that, the others notice at their next bytes.
 */
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define STREAM_STACK_BYTES (512u << 10)
#define STREAM_BLOCK_BYTES (32u << 10)
#define MAX_STREAM_HEADERS 3
#define HANGUP 1u /* in an epoll event's pointer: it is the client's socket that it tells of */

struct http_stream {
	atomic_int owners;
	/* The producer's; the loop reads the head once `begun`, the rest after the pipe's end. */
	atomic_bool begun, failed;
	unsigned problem; /* status, 0 = none */
	char detail[256];
	char header_name[MAX_STREAM_HEADERS][32], header[MAX_STREAM_HEADERS][160];
	unsigned headers;
	char trailer_name[32], trailer[512];
	struct gzip *gzip; /* NULL = as it is */
	bool live, packed;
	int (*produce)(void *user, struct http_stream *stream);
	void (*destroy)(void *user);
	void *user;
	struct stream_group *group;
	int write_fd;
	/* the loop's */
	struct http_server *server;
	struct MHD_Connection *connection;
	struct MHD_Response *response;
	char content_type[64];
	int read_fd, client_fd;
	bool suspended, gone;
	struct http_stream *next,
		**link; /* in the server's list; link points at what points here */
};

void stream_group_init(struct stream_group *group, unsigned most)
{
	pthread_mutex_init(&group->lock, NULL);
	pthread_cond_init(&group->gone, NULL);
	group->running = 0;
	group->most = most;
}

static bool group_enter(struct stream_group *group)
{
	bool room;

	pthread_mutex_lock(&group->lock);
	room = group->running < group->most;
	group->running += room;
	pthread_mutex_unlock(&group->lock);
	return room;
}

static void group_leave(struct stream_group *group)
{
	pthread_mutex_lock(&group->lock);
	group->running--;
	pthread_cond_signal(&group->gone);
	pthread_mutex_unlock(&group->lock);
}

void stream_group_end(struct stream_group *group)
{
	pthread_mutex_lock(&group->lock);
	while (group->running > 0)
		pthread_cond_wait(&group->gone, &group->lock);
	pthread_mutex_unlock(&group->lock);
	pthread_mutex_destroy(&group->lock);
	pthread_cond_destroy(&group->gone);
}

static void let_go(struct http_stream *stream)
{
	if (atomic_fetch_sub(&stream->owners, 1) == 1)
		free(stream);
}

/* ---- in the producer's thread ---- */

static int put(void *user, const void *data, size_t size)
{
	const struct http_stream *stream = user;
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(stream->write_fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int http_stream_write(struct http_stream *stream, const void *data, size_t size)
{
	if (size == 0)
		return 0;
	atomic_store(&stream->begun, true);
	return stream->gzip ? gzip_write(stream->gzip, data, size, put, stream)
			    : put(stream, data, size);
}

int http_stream_fd(const struct http_stream *stream)
{
	return stream->write_fd;
}

void http_stream_header(struct http_stream *stream, const char *name, const char *value)
{
	unsigned i = stream->headers;

	if (i == MAX_STREAM_HEADERS)
		return;
	snprintf(stream->header_name[i], sizeof(stream->header_name[i]), "%s", name);
	snprintf(stream->header[i], sizeof(stream->header[i]), "%s", value);
	stream->headers++;
}

void http_stream_problem(struct http_stream *stream, unsigned status, const char *detail, ...)
{
	va_list arguments;

	va_start(arguments, detail);
	vsnprintf(stream->detail, sizeof(stream->detail), detail, arguments);
	va_end(arguments);
	stream->problem = status;
}

void http_stream_trailer(struct http_stream *stream, const char *name, const char *value)
{
	snprintf(stream->trailer_name, sizeof(stream->trailer_name), "%s", name);
	snprintf(stream->trailer, sizeof(stream->trailer), "%s", value);
	for (char *c = stream->trailer; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
}

static void *run_producer(void *argument)
{
	struct http_stream *stream = argument;
	struct stream_group *group = stream->group;
	sigset_t all;
	int err;

	/* a client that leaves is an -EPIPE here, and every other signal the loop's */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	err = stream->produce(stream->user, stream);
	if (!err && stream->gzip && atomic_load(&stream->begun))
		err = gzip_write(stream->gzip, NULL, 0, put, stream);
	if (err)
		atomic_store(&stream->failed, true);
	if (stream->destroy)
		stream->destroy(stream->user);
	gzip_free(&stream->gzip);
	atomic_store(&stream->begun, true);
	close(stream->write_fd);
	let_go(stream);
	group_leave(group);
	return NULL;
}

/* ---- in the loop ---- */

static int watch_fd(const struct http_server *server, int fd, uint32_t what, void *pointer)
{
	struct epoll_event event = { .events = what | EPOLLONESHOT, .data.ptr = pointer };

	if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	return errno == ENOENT ? epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) : -1;
}

/* Suspends the connection until there is something to read, or nobody who would. */
static int wait_for_bytes(struct http_stream *stream)
{
	if (watch_fd(stream->server, stream->read_fd, EPOLLIN, stream))
		return -EIO;
	if (stream->live && watch_fd(stream->server, stream->client_fd, EPOLLRDHUP,
				     (void *)((uintptr_t)stream | HANGUP)))
		return -EIO;
	stream->suspended = true;
	MHD_suspend_connection(stream->connection);
	return 0;
}

/* libmicrohttpd wants the next part. */
static ssize_t on_read(void *user, uint64_t position, char *buffer, size_t size)
{
	struct http_stream *stream = user;
	ssize_t n;

	(void)position;
	if (stream->server->stopping || stream->gone)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = read(stream->read_fd, buffer, size);
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return wait_for_bytes(stream) ? MHD_CONTENT_READER_END_WITH_ERROR : 0;
	}
	if (n < 0 || atomic_load(&stream->failed)) {
		stream->server->counters.streams_cut++;
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (stream->trailer[0])
		MHD_add_response_footer(stream->response, stream->trailer_name, stream->trailer);
	return MHD_CONTENT_READER_END_OF_STREAM;
}

static void stream_wake(struct http_stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	if (stream->live) /* libmicrohttpd may close it from here on, and its number be reused */
		epoll_ctl(stream->server->epoll, EPOLL_CTL_DEL, stream->client_fd, NULL);
	MHD_resume_connection(stream->connection);
}

void stream_wake_event(void *event)
{
	struct http_stream *stream = (void *)((uintptr_t)event & ~(uintptr_t)HANGUP);

	stream->gone |= (uintptr_t)event & HANGUP;
	stream_wake(stream);
}

void stream_wake_all(struct http_server *server)
{
	for (struct http_stream *stream = server->first_stream; stream; stream = stream->next)
		stream_wake(stream);
}

void stream_abandon(struct http_stream *stream)
{
	*stream->link = stream->next;
	if (stream->next)
		stream->next->link = stream->link;
	close(stream->read_fd); /* leaves epoll with it */
	let_go(stream);
}

static void on_response_freed(void *user)
{
	stream_abandon(user);
}

/* What a producer says that has written nothing. */
static int answer_nothing(struct http_request *request, struct http_stream *stream)
{
	unsigned problem = stream->problem;
	char detail[sizeof(stream->detail)];

	if (!problem && !atomic_load(&stream->failed))
		return -EAGAIN;
	snprintf(detail, sizeof(detail), "%s",
		 problem ? stream->detail : "the answer could not be read: see the agent's log");
	request->stream = NULL;
	stream_abandon(stream);
	return http_reply_problem(request, problem ? problem : MHD_HTTP_INTERNAL_SERVER_ERROR, "%s",
				  detail);
}

int stream_begin(struct http_request *request)
{
	struct http_stream *stream = request->stream;
	struct MHD_Response *response;
	int waiting = 0, err = -EAGAIN;

	if (stream->gone)
		return -EPIPE;
	if (!atomic_load(&stream->begun)) { /* woken without a reason */
		err = wait_for_bytes(stream);
		return err;
	}
	if (ioctl(stream->read_fd, FIONREAD, &waiting) == 0 && waiting == 0)
		err = answer_nothing(request, stream);
	if (err != -EAGAIN)
		return err;
	for (unsigned i = 0; i < stream->headers; i++)
		http_add_header(request, stream->header_name[i], stream->header[i]);
	if (stream->packed && waiting > 0)
		http_add_header(request, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_read,
						     stream, on_response_freed);
	if (!response)
		return -ENOMEM;
	request->stream = NULL; /* the response's from here on */
	stream->response = response;
	return request_queue(request, MHD_HTTP_OK, response, stream->content_type);
}

static int start_thread(struct http_stream *stream)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int err;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STREAM_STACK_BYTES);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attributes, run_producer, stream);
	pthread_attr_destroy(&attributes);
	return -err;
}

static struct http_stream *stream_new(struct http_request *request)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http_stream *stream = calloc(1, sizeof(*stream));
	int ends[2];

	if (!stream || !info || pipe2(ends, O_CLOEXEC)) {
		free(stream);
		return NULL;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	stream->read_fd = ends[0];
	stream->write_fd = ends[1];
	stream->client_fd = info->connect_fd;
	stream->server = request->server;
	stream->connection = request->connection;
	atomic_init(&stream->owners, 2);
	return stream;
}

static void stream_undo(struct http_stream *stream)
{
	close(stream->read_fd);
	close(stream->write_fd);
	gzip_free(&stream->gzip);
	free(stream);
}

static int refuse_stream(struct http_request *request, void (*destroy)(void *user), void *user)
{
	if (destroy)
		destroy(user);
	http_add_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	return http_reply_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE,
				  "too many long answers are being read at once; ask again later");
}

static void link_stream(struct http_server *server, struct http_stream *stream)
{
	server->counters.streams++;
	stream->next = server->first_stream;
	stream->link = &server->first_stream;
	if (stream->next)
		stream->next->link = &stream->next;
	server->first_stream = stream;
}

static int reply(struct http_request *request, const char *content_type, bool live,
		 int (*produce)(void *user, struct http_stream *stream),
		 void (*destroy)(void *user), void *user)
{
	struct http_server *server = request->server;
	struct stream_group *group = live ? &server->live : &server->streams;
	struct http_stream *stream;

	if (!group_enter(group))
		return refuse_stream(request, destroy, user);
	stream = stream_new(request);
	if (!stream)
		goto no_stream;
	stream->group = group;
	stream->produce = produce;
	stream->destroy = destroy;
	stream->user = user;
	stream->live = live;
	snprintf(stream->content_type, sizeof(stream->content_type), "%s", content_type);
	if (!live && http_takes_gzip(http_header(request, MHD_HTTP_HEADER_ACCEPT_ENCODING)))
		stream->gzip = gzip_new();
	stream->packed = stream->gzip;
	if (start_thread(stream)) {
		stream_undo(stream);
		goto no_stream;
	}
	link_stream(server, stream);
	request->stream = stream;
	return wait_for_bytes(stream);
no_stream:
	group_leave(group);
	return refuse_stream(request, destroy, user);
}

int http_reply_stream(struct http_request *request, const char *content_type,
		      int (*produce)(void *user, struct http_stream *stream),
		      void (*destroy)(void *user), void *user)
{
	return reply(request, content_type, false, produce, destroy, user);
}

int http_reply_live(struct http_request *request, const char *content_type,
		    int (*produce)(void *user, struct http_stream *stream),
		    void (*destroy)(void *user), void *user)
{
	return reply(request, content_type, true, produce, destroy, user);
}
