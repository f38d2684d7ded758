// SPDX-License-Identifier: GPL-2.0
/*
 * libmicrohttpd behind exchanges. An exchange that waits is suspended; its socket is watched for
 * the peer's going away, which libmicrohttpd does not see of a suspended connection: an answer to a
 * dead runtime would count as delivered.
 */
#include "http/exchange.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "http/framing.h"
#include "http/exchange_internal.h"

#define FIRST_BODY_BYTES 4096

/* ---- the body ---- */

static bool body_grow(struct exchange *x, size_t more)
{
	size_t wanted = x->size + more + 1, capacity = x->capacity ? x->capacity : FIRST_BODY_BYTES;
	char *grown;

	if (wanted <= x->capacity)
		return true;
	while (capacity < wanted)
		capacity *= 2;
	grown = realloc(x->body, capacity);
	if (!grown)
		return false;
	x->body = grown;
	x->capacity = capacity;
	return true;
}

static void body_take(struct exchange *x, const char *data, size_t size)
{
	if (!x->too_long && (size > x->limit - x->received || !body_grow(x, size))) {
		x->too_long = true;
		free(x->body);
		x->body = NULL;
		x->size = x->capacity = 0;
	}
	if (x->too_long)
		return;
	memcpy(x->body + x->size, data, size);
	x->size += size;
	x->received += size;
	x->body[x->size] = '\0';
}

const char *exchange_body(const struct exchange *x, size_t *ret_size)
{
	*ret_size = x->size;
	return x->too_long ? NULL : x->body ? x->body : "";
}

char *exchange_take_body(struct exchange *x, size_t *ret_size)
{
	char *body = x->body ? x->body : strdup("");

	*ret_size = x->size;
	x->body = NULL;
	x->size = x->capacity = 0;
	return body;
}

/* ---- waiting ---- */

void exchange_watch(struct exchange *x)
{
	struct epoll_event event = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = x };

	if (epoll_ctl(x->of->epoll, EPOLL_CTL_ADD, x->fd, &event) && errno == EEXIST)
		epoll_ctl(x->of->epoll, EPOLL_CTL_MOD, x->fd, &event);
}

void exchange_wake(struct exchange *x)
{
	if (!x->suspended)
		return;
	epoll_ctl(x->of->epoll, EPOLL_CTL_DEL, x->fd, NULL);
	x->suspended = false;
	x->of->pending = true;
	MHD_resume_connection(x->connection);
}

/* ---- answers ---- */

int exchange_add_header(struct exchange *x, const char *name, const char *value)
{
	char *copy;

	if (x->headers == MAX_ANSWER_HEADERS || strlen(name) >= sizeof(x->header_name[0]))
		return -ENOSPC;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	memcpy(x->header_name[x->headers], name, strlen(name) + 1);
	x->header_value[x->headers++] = copy;
	return 0;
}

void exchange_answer_with(struct exchange *x, unsigned status, const char *content_type,
			  struct MHD_Response *response)
{
	if (!response) {
		exchange_hang_up(x);
		return;
	}
	if (content_type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	for (unsigned i = 0; i < x->headers; i++)
		MHD_add_response_header(response, x->header_name[i], x->header_value[i]);
	x->answer.response = response;
	x->answer.status = status;
	x->answered = true;
	exchange_wake(x);
}

void exchange_answer(struct exchange *x, unsigned status, const char *content_type,
		     const void *body, size_t size)
{
	if (!x->answered)
		exchange_answer_with(x, status, content_type,
				     MHD_create_response_from_buffer(size, (void *)(uintptr_t)body,
								     MHD_RESPMEM_MUST_COPY));
}

void exchange_answer_taking(struct exchange *x, unsigned status, const char *content_type,
			    char *body, size_t size)
{
	struct MHD_Response *response;

	if (x->answered) {
		free(body);
		return;
	}
	response = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
	if (!response)
		free(body);
	exchange_answer_with(x, status, content_type, response);
}

void exchange_hang_up(struct exchange *x)
{
	x->answered = x->hang_up = true;
	exchange_wake(x);
}

bool exchange_answered(const struct exchange *x)
{
	return x->answered;
}

/* ---- what comes in ---- */

static struct exchange *exchange_new(struct exchanges *e, struct MHD_Connection *connection,
				     const char *method, const char *path)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x || !info)
		goto fail;
	x->of = e;
	x->connection = connection;
	x->fd = info->connect_fd;
	x->tag = (size_t)x->fd < e->tag_count ? e->tags[x->fd] : NULL;
	x->method = strdup(method);
	x->path = strdup(path);
	if (!x->method || !x->path)
		goto fail;
	x->next = e->first;
	if (e->first)
		e->first->previous = x;
	e->first = x;
	x->limit = e->config.limit ? e->config.limit(e->config.user, x) : e->config.max_body;
	return x;
fail:
	if (x)
		free(x->method), free(x->path);
	free(x);
	return NULL;
}

static enum MHD_Result queue(struct exchange *x)
{
	enum MHD_Result queued;

	if (x->hang_up || !x->answer.response)
		return MHD_NO;
	queued = MHD_queue_response(x->connection, x->answer.status, x->answer.response);
	MHD_destroy_response(x->answer.response);
	x->answer.response = NULL;
	x->queued = true;
	return queued;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	struct exchange *x = *state;
	struct exchanges *e = cls;
	const char *problem;

	(void)version;
	if (!x) {
		*state = x = exchange_new(e, connection, method, path);
		if (!x)
			return MHD_NO;
		problem = framing_problem(connection);
		if (problem) {
			log_debug("a request with %s is refused", problem);
			x->refused = true;
			exchange_add_header(x, MHD_HTTP_HEADER_CONNECTION, "close");
			exchange_answer(x, MHD_HTTP_BAD_REQUEST, "text/plain", problem,
					strlen(problem));
			return queue(x);
		}
		return MHD_YES;
	}
	if (*upload_size) {
		body_take(x, upload, *upload_size);
		*upload_size = 0;
		if (e->config.on_piece && !x->too_long && !x->refused)
			e->config.on_piece(e->config.user, x);
		return MHD_YES;
	}
	if (x->refused)
		return MHD_YES;
	if (!x->asked) {
		x->asked = true;
		e->config.on_request(e->config.user, x);
	}
	if (x->answered)
		return x->queued ? MHD_YES : queue(x);
	if (e->stopping)
		return MHD_NO;
	MHD_suspend_connection(connection);
	x->suspended = true;
	exchange_watch(x);
	return MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct exchange *x = *state;
	struct exchanges *e = cls;

	(void)connection;
	*state = NULL;
	if (!x)
		return;
	x->answered = true; /* on_done may not answer it any more */
	if (x->asked)
		e->config.on_done(e->config.user, x, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	if (x->answer.response)
		MHD_destroy_response(x->answer.response);
	if (x->previous)
		x->previous->next = x->next;
	else
		e->first = x->next;
	if (x->next)
		x->next->previous = x->previous;
	for (unsigned i = 0; i < x->headers; i++)
		free(x->header_value[i]);
	free(x->method);
	free(x->path);
	free(x->body);
	free(x->out);
	free(x);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **state,
			  enum MHD_ConnectionNotificationCode code)
{
	struct exchanges *e = cls;

	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	(void)state;
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		e->open++;
		return;
	}
	e->open--;
	if (info && (size_t)info->connect_fd < e->tag_count)
		e->tags[info->connect_fd] = NULL; /* the number will be somebody else's */
}

static void on_log(void *cls, const char *format, va_list arguments)
{
	(void)cls;
	if (log_get_level() >= LOG_LEVEL_DEBUG)
		log_message_v(LOG_LEVEL_DEBUG, format, arguments);
}

/* ---- of an exchange ---- */

void *exchange_tag(const struct exchange *x)
{
	return x->tag;
}

const char *exchange_method(const struct exchange *x)
{
	return x->method;
}

const char *exchange_path(const struct exchange *x)
{
	return x->path;
}

const char *exchange_header(struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *exchange_trailer(struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_FOOTER_KIND, name);
}

const char *exchange_query(struct exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_GET_ARGUMENT_KIND, name);
}

void exchange_set_data(struct exchange *x, void *data)
{
	x->data = data;
}

void *exchange_data(const struct exchange *x)
{
	return x->data;
}

/* ---- life ---- */

static int start(struct exchanges *e)
{
	unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			 MHD_USE_ERROR_LOG;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
	const union MHD_DaemonInfo *info;

	e->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_request, e, MHD_OPTION_EXTERNAL_LOGGER,
				  on_log, NULL, MHD_OPTION_CONNECTION_LIMIT,
				  e->config.max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				  e->config.connection_memory, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
				  MHD_OPTION_NOTIFY_COMPLETED, on_completed, e,
				  MHD_OPTION_NOTIFY_CONNECTION, on_connection, e, MHD_OPTION_END);
	if (!e->mhd)
		return -EIO;
	info = MHD_get_daemon_info(e->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || info->epoll_fd < 0 ||
	    epoll_ctl(e->epoll, EPOLL_CTL_ADD, info->epoll_fd, &event))
		return -EIO;
	return 0;
}

int exchanges_new(const struct exchanges_config *config, struct exchanges **ret_exchanges)
{
	struct exchanges *e = calloc(1, sizeof(*e));
	struct rlimit limit = { 1024, 1024 };
	int error;

	if (!e)
		return -ENOMEM;
	e->config = *config;
	getrlimit(RLIMIT_NOFILE, &limit);
	e->tag_count = limit.rlim_cur > 1u << 20 ? 1u << 20 : limit.rlim_cur;
	e->tags = calloc(e->tag_count, sizeof(*e->tags));
	e->epoll = epoll_create1(EPOLL_CLOEXEC);
	error = !e->tags ? -ENOMEM : e->epoll < 0 ? -errno : start(e);
	if (error) {
		exchanges_free(&e);
		return error;
	}
	*ret_exchanges = e;
	return 0;
}

void exchanges_free(struct exchanges **exchanges)
{
	struct exchanges *e = *exchanges;

	if (!e)
		return;
	e->stopping = true;
	if (e->mhd) {
		for (struct exchange *x = e->first; x; x = x->next)
			exchange_hang_up(x); /* it aborts when stopped with one suspended */
		MHD_run(e->mhd);
		MHD_stop_daemon(e->mhd);
	}
	if (e->epoll >= 0)
		close(e->epoll);
	free(e->tags);
	free(e);
	*exchanges = NULL;
}

int exchanges_fd(const struct exchanges *e)
{
	return e->epoll;
}

unsigned exchanges_open(const struct exchanges *e)
{
	return e->open;
}

int exchanges_adopt(struct exchanges *e, int fd, void *tag)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);

	if ((size_t)fd >= e->tag_count || e->open >= e->config.max_connections) {
		close(fd);
		return -EMFILE;
	}
	e->tags[fd] = tag;
	e->tag_end = (size_t)fd + 1 > e->tag_end ? (size_t)fd + 1 : e->tag_end;
	if (getpeername(fd, (struct sockaddr *)&address, &length)) {
		close(fd);
		return -EIO;
	}
	/* it closes the socket when it fails */
	return MHD_add_connection(e->mhd, fd, (struct sockaddr *)&address, length) == MHD_YES
		       ? 0
		       : -EIO;
}

void exchanges_drop(struct exchanges *e, const void *tag)
{
	for (struct exchange *x = e->first; x; x = x->next)
		if (x->tag == tag)
			exchange_hang_up(x);
	/* those between two requests: their descriptors are libmicrohttpd's, but a shutdown is seen
	 */
	for (size_t fd = 0; fd < e->tag_end; fd++)
		if (e->tags[fd] == tag) {
			shutdown((int)fd, SHUT_RDWR);
			e->tags[fd] = NULL;
		}
}

bool exchanges_pending(const struct exchanges *e)
{
	return e->pending;
}

int exchanges_run(struct exchanges *e)
{
	struct epoll_event events[64];
	MHD_UNSIGNED_LONG_LONG wait_ms;
	int n = epoll_wait(e->epoll, events, 64, 0);

	for (int i = 0; i < n; i++) {
		struct exchange *x = events[i].data.ptr;

		if (x && x->suspended)
			exchange_hang_up(x);
	}
	for (int i = 0; i < 8; i++) {
		e->pending = false;
		if (MHD_run(e->mhd) != MHD_YES)
			return -EIO;
		if (!e->pending && (MHD_get_timeout(e->mhd, &wait_ms) != MHD_YES || wait_ms > 0))
			return 0;
	}
	return 1;
}
