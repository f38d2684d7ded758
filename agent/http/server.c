// SPDX-License-Identifier: GPL-2.0
/* libmicrohttpd behind a route table. One thread, external epoll. */
#include "http/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "http/framing.h"

#define MAX_UPLOAD_BYTES                                                                           \
	(64u << 10) /* what is longer than a body may be is swallowed up to here                   \
		     */
#define MAX_EVENTS 64

static const char *reason(unsigned status)
{
	const char *phrase = MHD_get_reason_phrase_for(status);

	return phrase ? phrase : "Error";
}

int request_queue(struct http_request *request, unsigned status, struct MHD_Response *response,
		  const char *content_type)
{
	enum MHD_Result queued;

	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT_ENCODING);
	for (size_t i = 0; i < request->headers; i++)
		MHD_add_response_header(response, request->header[i].name,
					request->header[i].value);
	queued = MHD_queue_response(request->connection, status, response);
	MHD_destroy_response(response);
	request->answered = true;
	return queued == MHD_YES ? 0 : -EIO;
}

int http_add_header(struct http_request *request, const char *name, const char *value)
{
	size_t i = request->headers;
	int n;

	if (i == HTTP_MAX_HEADERS)
		return -ENOSPC;
	snprintf(request->header[i].name, sizeof(request->header[i].name), "%s", name);
	n = snprintf(request->header[i].value, sizeof(request->header[i].value), "%s", value);
	for (char *c = request->header[i].value; n > 0 && *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	request->headers++;
	return 0;
}

int http_reply(struct http_request *request, unsigned status, const char *content_type,
	       const void *body, size_t size)
{
	struct MHD_Response *response;
	size_t packed_size = 0;
	void *packed = NULL;

	if (size >= GZIP_LEAST_BYTES &&
	    http_takes_gzip(http_header(request, MHD_HTTP_HEADER_ACCEPT_ENCODING)))
		packed = gzip_whole(body, size, &packed_size);
	if (packed) {
		http_add_header(request, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
		response =
			MHD_create_response_from_buffer(packed_size, packed, MHD_RESPMEM_MUST_FREE);
		if (!response)
			free(packed);
	} else {
		response =
			MHD_create_response_from_buffer(size, (void *)body, MHD_RESPMEM_MUST_COPY);
	}
	return response ? request_queue(request, status, response, content_type) : -ENOMEM;
}

int http_reply_gzipped(struct http_request *request, const char *content_type, const void *body,
		       size_t size)
{
	struct MHD_Response *response;
	size_t plain_size = 0;
	void *plain;

	if (http_takes_gzip(http_header(request, MHD_HTTP_HEADER_ACCEPT_ENCODING))) {
		http_add_header(request, MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
		response = MHD_create_response_from_buffer(size, (void *)(uintptr_t)body,
							   MHD_RESPMEM_PERSISTENT);
	} else {
		plain = gunzip_whole(body, size, &plain_size);
		if (!plain)
			return -EIO;
		response =
			MHD_create_response_from_buffer(plain_size, plain, MHD_RESPMEM_MUST_FREE);
		if (!response)
			free(plain);
	}
	return response ? request_queue(request, MHD_HTTP_OK, response, content_type) : -ENOMEM;
}

int http_reply_problem(struct http_request *request, unsigned status, const char *detail, ...)
{
	char text[512], body[2048];
	struct json_writer w;
	va_list arguments;
	int n;

	va_start(arguments, detail);
	vsnprintf(text, sizeof(text), detail, arguments);
	va_end(arguments);
	jw_begin(&w, body, sizeof(body));
	jw_object_open(&w);
	jw_key_string(&w, "type", "about:blank");
	jw_key_string(&w, "title", reason(status));
	jw_key_uint64(&w, "status", status);
	jw_key_string(&w, "detail", text);
	jw_object_close(&w);
	n = jw_end(&w);
	request->server->counters.refused++;
	return http_reply(request, status, "application/problem+json", body, n > 0 ? (size_t)n : 0);
}

const char *http_query(struct http_request *request, const char *name, size_t *ret_length)
{
	const char *value = NULL;
	size_t length = 0;

	if (MHD_lookup_connection_value_n(request->connection, MHD_GET_ARGUMENT_KIND, name,
					  strlen(name), &value, &length) != MHD_YES)
		return NULL;
	*ret_length = value ? length : 0;
	return value ? value : "";
}

const char *http_header(struct http_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

void *http_admitted_by(const struct http_request *request)
{
	return request->server->config.admit_user;
}

const char *http_path_rest(const struct http_request *request)
{
	return request->rest;
}

const char *http_body(const struct http_request *request, size_t *ret_size)
{
	*ret_size = request->body_size;
	return request->body ? request->body : "";
}

struct each {
	int (*visit)(void *user, const char *name, const char *value, size_t length);
	void *user;
	int result;
};

static enum MHD_Result on_each(void *cls, enum MHD_ValueKind kind, const char *name,
			       size_t name_size, const char *value, size_t value_size)
{
	struct each *each = cls;

	(void)kind, (void)name_size;
	each->result = each->visit(each->user, name, value ? value : "", value ? value_size : 0);
	return each->result ? MHD_NO : MHD_YES;
}

int http_query_each(struct http_request *request,
		    int (*visit)(void *user, const char *name, const char *value, size_t length),
		    void *user)
{
	struct each each = { visit, user, 0 };

	MHD_get_connection_values_n(request->connection, MHD_GET_ARGUMENT_KIND, on_each, &each);
	return each.result;
}

/* ---- what comes in ---- */

static int refuse_framing(struct http_request *request, const char *problem)
{
	http_add_header(request, MHD_HTTP_HEADER_CONNECTION, "close");
	return http_reply_problem(request, MHD_HTTP_BAD_REQUEST, "the request has %s", problem);
}

static bool route_fits(const struct http_route *route, const char *path, const char **ret_rest)
{
	size_t n = strlen(route->path);

	*ret_rest = "";
	if (n == 0 || route->path[n - 1] != '*')
		return strcmp(route->path, path) == 0;
	*ret_rest = path + n - 1;
	return strncmp(route->path, path, n - 1) == 0;
}

static int dispatch(struct http_request *request, const char *method, const char *path)
{
	const struct http_config *config = &request->server->config;
	const char *wanted = request->head ? "GET" : method;
	char allow[64] = "";
	int err;

	err = config->admit ? config->admit(config->admit_user, request, path) : 0;
	if (err || request->answered)
		return err;
	if (request->body_too_long)
		return http_reply_problem(request, MHD_HTTP_CONTENT_TOO_LARGE,
					  "a request's body has at most %zu bytes here",
					  config->max_body);
	for (size_t i = 0; i < config->route_count; i++) {
		const struct http_route *route = &config->routes[i];
		size_t used = strlen(allow);

		if (!route_fits(route, path, &request->rest))
			continue;
		if (strcmp(route->method, wanted) == 0)
			return route->handler(config->user, request);
		snprintf(allow + used, sizeof(allow) - used, "%s%s", used ? ", " : "",
			 route->method);
	}
	if (!allow[0])
		return http_reply_problem(request, MHD_HTTP_NOT_FOUND, "there is nothing at %.256s",
					  path);
	http_add_header(request, MHD_HTTP_HEADER_ALLOW, allow);
	return http_reply_problem(request, MHD_HTTP_METHOD_NOT_ALLOWED, "%.256s takes %s only",
				  path, allow);
}

/* Keeps the body as far as it may be long. */
static void body_take(struct http_request *request, const char *data, size_t size)
{
	size_t most = request->server->config.max_body, room = request->body_room;
	char *grown;

	if (request->body_too_long || size > most - request->body_size) {
		request->body_too_long = true;
		return;
	}
	while (room < request->body_size + size + 1)
		room = room ? room * 2 : 512;
	if (room > request->body_room) {
		grown = realloc(request->body, room);
		if (!grown) {
			request->body_too_long = true;
			return;
		}
		request->body = grown;
		request->body_room = room;
	}
	memcpy(request->body + request->body_size, data, size);
	request->body_size += size;
	request->body[request->body_size] = '\0';
}

static struct http_request *request_new(struct http_server *server, struct MHD_Connection *c,
					const char *method)
{
	struct http_request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->server = server;
	request->connection = c;
	request->head = strcmp(method, "HEAD") == 0;
	server->counters.requests++;
	return request;
}

/* First for the headers, then for each part of the body, then with no part left. */
/* A path that holds a NUL ends there once it is decoded, and would name another route: it holds
 * something else that no route has. Values of the query are told with their length. */
static size_t on_unescape(void *cls, struct MHD_Connection *connection, char *text)
{
	(void)cls, (void)connection;
	for (char *at = text; *text == '/' && (at = strstr(at, "%00")); at += 3)
		at[2] = '1';
	return MHD_http_unescape(text);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **state)
{
	struct http_request *request = *state;
	const char *problem;
	int err = 0;

	(void)version;
	if (!request) {
		request = request_new(cls, connection, method);
		if (!request)
			return MHD_NO;
		*state = request;
		problem = framing_problem(connection);
		return !problem || refuse_framing(request, problem) == 0 ? MHD_YES : MHD_NO;
	}
	if (*upload_size > 0) {
		request->uploaded += *upload_size;
		if (!request->answered)
			body_take(request, upload, *upload_size);
		*upload_size = 0;
		return request->uploaded <= MAX_UPLOAD_BYTES ? MHD_YES : MHD_NO;
	}
	if (request->server->stopping)
		return MHD_NO;
	if (request->stream) /* it was waited for, and has something */
		return stream_begin(request) ? MHD_NO : MHD_YES;
	if (!request->answered)
		err = dispatch(request, method, path);
	if (!err && request->stream)
		return MHD_YES;
	return err || !request->answered ? MHD_NO : MHD_YES;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode code)
{
	struct http_request *request = *state;

	(void)cls, (void)connection, (void)code;
	*state = NULL;
	if (!request)
		return;
	if (request->stream)
		stream_abandon(request->stream);
	free(request->body);
	free(request);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **state,
			  enum MHD_ConnectionNotificationCode code)
{
	struct http_server *server = cls;

	(void)connection, (void)state;
	server->counters.connections += code == MHD_CONNECTION_NOTIFY_STARTED;
}

static void on_mhd_log(void *cls, const char *format, va_list arguments)
{
	(void)cls;
	if (log_get_level() >= LOG_LEVEL_DEBUG)
		log_message_v(LOG_LEVEL_DEBUG, format, arguments);
}

/* ---- life ---- */

static int start(struct http_server *server, int listen_fd)
{
	const struct http_config *config = &server->config;
	unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	const union MHD_DaemonInfo *info;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

	server->mhd = MHD_start_daemon(
		flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log,
		NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
		config->max_connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		config->connection_memory, MHD_OPTION_CONNECTION_TIMEOUT, config->idle_seconds,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_UNESCAPE_CALLBACK,
		on_unescape, NULL, MHD_OPTION_END);
	if (!server->mhd)
		return -EIO;
	info = MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info || info->epoll_fd < 0 ||
	    epoll_ctl(server->epoll, EPOLL_CTL_ADD, info->epoll_fd, &event))
		return -EIO;
	return 0;
}

int http_server_new(const struct http_config *config, int listen_fd,
		    struct http_server **ret_server)
{
	struct http_server *server = calloc(1, sizeof(*server));
	int err;

	if (!server)
		return -ENOMEM;
	server->config = *config;
	stream_group_init(&server->streams, config->max_streams);
	stream_group_init(&server->live, config->max_live);
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = server->epoll < 0 ? -errno : start(server, listen_fd);
	if (err) {
		if (server->mhd && MHD_quiesce_daemon(server->mhd) == MHD_INVALID_SOCKET)
			log_debug("no listening socket to give back");
		http_server_free(&server);
		return err;
	}
	*ret_server = server;
	return 0;
}

void http_server_free(struct http_server **owned)
{
	struct http_server *server = *owned;

	if (!server)
		return;
	if (server->mhd) {
		int listening = MHD_quiesce_daemon(server->mhd);

		/* libmicrohttpd aborts when it is stopped with a connection suspended */
		server->stopping = true;
		stream_wake_all(server);
		MHD_run(server->mhd);
		MHD_stop_daemon(server->mhd);
		if (listening >= 0)
			close(listening);
	}
	stream_group_end(&server->streams);
	stream_group_end(&server->live);
	cleanup_fd(&server->epoll);
	free(server);
	*owned = NULL;
}

int http_server_fd(const struct http_server *server)
{
	return server->epoll;
}

int http_server_run(struct http_server *server)
{
	struct epoll_event events[MAX_EVENTS];
	MHD_UNSIGNED_LONG_LONG wait_ms;
	int n = epoll_wait(server->epoll, events, MAX_EVENTS, 0);

	for (int i = 0; i < n; i++)
		if (events[i].data.ptr)
			stream_wake_event(events[i].data.ptr);
	for (int i = 0; i < 8; i++) {
		if (MHD_run(server->mhd) != MHD_YES)
			return -EIO;
		if (MHD_get_timeout(server->mhd, &wait_ms) != MHD_YES || wait_ms > 0)
			return 0;
	}
	return 1;
}

const struct http_counters *http_server_counters(const struct http_server *server)
{
	return &server->counters;
}
