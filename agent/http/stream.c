// SPDX-License-Identifier: GPL-2.0
/*
 * Long answers: a producer thread writes into a pipe, libmicrohttpd reads from it in the loop.
 * While the pipe is empty the connection is suspended and the pipe watched by the server's epoll.
 *
 * A stream has two owners: the response (loop) and the thread. The last to let go frees it. The
 * response goes first when a client leaves: its end of the pipe is closed, the producer gets
 * -EPIPE.
 */
#include "http/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define STREAM_STACK_BYTES (512u << 10)
#define STREAM_BLOCK_BYTES (32u << 10)

struct http_stream {
	atomic_int owners;
	atomic_bool failed; /* set before the write end closes, like the trailer */
	char trailer_name[32], trailer[512];
	int (*produce)(void *user, struct http_stream *stream);
	void (*destroy)(void *user);
	void *user;
	struct stream_group *group;
	int write_fd;
	/* the loop's */
	struct http_server *server;
	struct MHD_Connection *connection;
	struct MHD_Response *response;
	int read_fd;
	bool suspended;
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

int http_stream_write(struct http_stream *stream, const void *data, size_t size)
{
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

	/* a client that leaves is an -EPIPE here, and every other signal the loop's */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	if (stream->produce(stream->user, stream))
		atomic_store(&stream->failed, true);
	if (stream->destroy)
		stream->destroy(stream->user);
	close(stream->write_fd);
	let_go(stream);
	group_leave(group);
	return NULL;
}

static int watch(struct http_stream *stream)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.ptr = stream };
	int epoll = stream->server->epoll;

	if (epoll_ctl(epoll, EPOLL_CTL_MOD, stream->read_fd, &event) == 0)
		return 0;
	return errno == ENOENT ? epoll_ctl(epoll, EPOLL_CTL_ADD, stream->read_fd, &event) : -1;
}

/* libmicrohttpd wants the next part. */
static ssize_t on_read(void *user, uint64_t position, char *buffer, size_t size)
{
	struct http_stream *stream = user;
	ssize_t n;

	(void)position;
	if (stream->server->stopping)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = read(stream->read_fd, buffer, size);
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (watch(stream))
			return MHD_CONTENT_READER_END_WITH_ERROR;
		stream->suspended = true;
		MHD_suspend_connection(stream->connection);
		return 0;
	}
	if (n < 0 || atomic_load(&stream->failed)) {
		stream->server->counters.streams_cut++;
		return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	if (stream->trailer[0])
		MHD_add_response_footer(stream->response, stream->trailer_name, stream->trailer);
	return MHD_CONTENT_READER_END_OF_STREAM;
}

void stream_wake(struct http_stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->connection);
}

void stream_wake_all(struct http_server *server)
{
	for (struct http_stream *stream = server->first_stream; stream; stream = stream->next)
		stream_wake(stream);
}

static void on_response_freed(void *user)
{
	struct http_stream *stream = user;

	*stream->link = stream->next;
	if (stream->next)
		stream->next->link = stream->link;
	close(stream->read_fd); /* leaves epoll with it */
	let_go(stream);
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
	struct http_stream *stream = calloc(1, sizeof(*stream));
	int ends[2];

	if (!stream)
		return NULL;
	if (pipe2(ends, O_CLOEXEC)) {
		free(stream);
		return NULL;
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	stream->read_fd = ends[0];
	stream->write_fd = ends[1];
	stream->server = request->server;
	stream->connection = request->connection;
	stream->group = &request->server->streams;
	atomic_init(&stream->owners, 2);
	return stream;
}

static void stream_undo(struct http_stream *stream)
{
	close(stream->read_fd);
	close(stream->write_fd);
	free(stream);
}

static int refuse_stream(struct http_request *request, void (*destroy)(void *user), void *user)
{
	if (destroy)
		destroy(user);
	return http_reply_problem(request, MHD_HTTP_SERVICE_UNAVAILABLE,
				  "too many long answers are being read at once; ask again later");
}

int http_reply_stream(struct http_request *request, const char *content_type,
		      int (*produce)(void *user, struct http_stream *stream),
		      void (*destroy)(void *user), void *user)
{
	struct http_server *server = request->server;
	struct MHD_Response *response;
	struct http_stream *stream;

	if (!group_enter(&server->streams))
		return refuse_stream(request, destroy, user);
	stream = stream_new(request);
	if (!stream)
		goto no_stream;
	stream->produce = produce;
	stream->destroy = destroy;
	stream->user = user;
	if (start_thread(stream)) {
		stream_undo(stream);
		goto no_stream;
	}
	server->counters.streams++;
	stream->next = server->first_stream;
	stream->link = &server->first_stream;
	if (stream->next)
		stream->next->link = &stream->next;
	server->first_stream = stream;
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_read,
						     stream, on_response_freed);
	if (!response) {
		on_response_freed(stream);
		return -ENOMEM;
	}
	stream->response = response;
	return request_queue(request, MHD_HTTP_OK, response, content_type);
no_stream:
	group_leave(&server->streams);
	return refuse_stream(request, destroy, user);
}
