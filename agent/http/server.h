/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An HTTP server on one listening socket, for one event loop. The only folder that sees
 * libmicrohttpd; it knows nothing of the product.
 *
 * The owner puts http_server_fd() into its epoll (level-triggered) and calls http_server_run() when
 * it is readable and a few times a second besides (time-outs). Handlers run inside
 * http_server_run(). A long answer is produced by a thread of its own, so that neither the loop nor
 * memory depends on its length; such a producer may touch nothing of the loop's.
 *
 * Errors are RFC 9457 problem JSON.
 */
#ifndef ONCPU_HTTP_SERVER_H
#define ONCPU_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct http_server;
struct http_request; /* valid inside its handler only */
struct http_stream;  /* valid inside its producer only */

/* Answers with exactly one http_reply*(). Non-zero: nothing could be queued, the connection ends.
 */
typedef int (*http_handler)(void *user, struct http_request *request);

struct http_route {
	const char *method; /* "GET" answers HEAD too */
	const char *path;   /* exact, or a beginning when it ends with '*'; the first that fits */
	http_handler handler;
};

struct http_config {
	const struct http_route *routes; /* borrowed */
	size_t route_count;
	void *user; /* passed to handlers */
	/* Asked before any route, NULL = everybody may ask everything. Like a handler; one that has
	 * not answered lets the request in. `path` is the request's. */
	int (*admit)(void *user, struct http_request *request, const char *path);
	void *admit_user;
	unsigned max_connections;
	unsigned max_streams; /* producers at once; more are answered 503 */
	unsigned max_live;    /* those of http_reply_live(), likewise */
	size_t max_body;      /* bytes of a request's body that are kept; more is answered 413 */
	unsigned idle_seconds;
	size_t connection_memory;
};

struct http_counters {
	uint64_t requests, refused, streams, streams_cut, connections;
};

/*
 * Makes the listening socket: mode 0660, owned by uid:gid. A file of a server that is gone is
 * replaced; -EADDRINUSE when somebody answers there or when it is no socket. -ENAMETOOLONG.
 */
int http_socket_open(const char *path, uid_t uid, gid_t gid, int *ret_fd);

/*
 * "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:8080": a number and a port, no names. *ret_loopback:
 * this host alone can reach it. -EINVAL: no such address; otherwise what bind() says.
 */
int http_tcp_open(const char *address, int *ret_fd, bool *ret_loopback);

/* Takes ownership of listen_fd on success. 0, -ENOMEM, -EINVAL, -EIO. */
int http_server_new(const struct http_config *config, int listen_fd,
		    struct http_server **ret_server);
/* Ends every connection and waits for producers. NULL-safe, clears. */
void http_server_free(struct http_server **server);

int http_server_fd(const struct http_server *server);
/* Does what is to do without waiting. 1: more is to do at once; 0; -EIO. */
int http_server_run(struct http_server *server);
const struct http_counters *http_server_counters(const struct http_server *server);

/* Of the query string, decoded (may hold any bytes); NULL = not given. */
const char *http_query(struct http_request *request, const char *name, size_t *ret_length);
/* Visits every parameter; a non-zero answer ends it and is returned. */
int http_query_each(struct http_request *request,
		    int (*visit)(void *user, const char *name, const char *value, size_t length),
		    void *user);

/* The server's admit_user: which way in it came. */
void *http_admitted_by(const struct http_request *request);
/* NULL = not given. What stands behind the beginning that a route names ("…*"). */
const char *http_header(struct http_request *request, const char *name);
const char *http_path_rest(const struct http_request *request);
/* The body, *ret_size bytes and a NUL; "" when there is none. */
const char *http_body(const struct http_request *request, size_t *ret_size);

/* Who is at the other end of a unix socket, by the kernel's word. -ENOTSUP: no unix socket. */
struct http_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
int http_peer(struct http_request *request, struct http_peer *ret_peer);
/* Is the group its own, or one of its supplementary ones? */
bool http_peer_in_group(struct http_request *request, gid_t gid);

/* Does Accept-Encoding take gzip? Pure. */
bool http_takes_gzip(const char *accept_encoding);

/* An extra header for the answer to come; at most 8. */
int http_add_header(struct http_request *request, const char *name, const char *value);

/* `body` is copied; it goes gzipped to who takes that, if it is long. */
int http_reply(struct http_request *request, unsigned status, const char *content_type,
	       const void *body, size_t size);
/* 200 with what was gzipped beforehand (a level 9 that nobody has to wait for). `body` is not
 * copied: it lives as long as the program. It is unpacked for who does not take gzip. -EIO: it is
 * no gzip. */
int http_reply_gzipped(struct http_request *request, const char *content_type, const void *body,
		       size_t size);
int http_reply_problem(struct http_request *request, unsigned status, const char *detail, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Answers with whatever `produce` writes, in a thread of its own; 200, unless it says otherwise
 * before it writes. `user` is the stream's from here on and freed with `destroy` (NULL = not), also
 * on failure. A producer that returns non-zero is answered 500 when it has written nothing, and cut
 * short otherwise, so that the client sees that it is not whole. Goes gzipped to who takes that.
 */
int http_reply_stream(struct http_request *request, const char *content_type,
		      int (*produce)(void *user, struct http_stream *stream),
		      void (*destroy)(void *user), void *user);
/* For an answer without an end: never gzipped, counted apart, over when the client hangs up. What
 * makes its producer wait must be ended before http_server_free(). */
int http_reply_live(struct http_request *request, const char *content_type,
		    int (*produce)(void *user, struct http_stream *stream),
		    void (*destroy)(void *user), void *user);
/* Before anything is written: a header; that there is no such answer but this problem (then return
 * 0 and write nothing). */
void http_stream_header(struct http_stream *stream, const char *name, const char *value);
void http_stream_problem(struct http_stream *stream, unsigned status, const char *detail, ...)
	__attribute__((format(printf, 3, 4)));
/* Waits for room. 0, or -EPIPE: the client is gone, end soon. */
int http_stream_write(struct http_stream *stream, const void *data, size_t size);
/* Hangs up (POLLERR) when the client does. */
int http_stream_fd(const struct http_stream *stream);
/* A header that goes after the last part: what was not known yet when the answer began. One. */
void http_stream_trailer(struct http_stream *stream, const char *name, const char *value);

#endif
