/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the files of this folder. */
#ifndef ONCPU_HTTP_INTERNAL_H
#define ONCPU_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>

#include "http/server.h"

#define HTTP_MAX_HEADERS 8
#define GZIP_LEAST_BYTES 1024 /* what is shorter fits a packet anyway */

/* How many producers there are; outlives the server while one still runs. */
struct stream_group {
	pthread_mutex_t lock;
	pthread_cond_t gone;
	unsigned running, most;
};

struct http_server {
	struct http_config config;
	struct MHD_Daemon *mhd;
	int epoll; /* libmicrohttpd's own epoll descriptor and the pipes of waiting streams */
	struct stream_group streams, live;
	struct http_stream *first_stream; /* those whose response lives */
	bool stopping;
	struct http_counters counters;
};

struct http_request {
	struct http_server *server;
	struct MHD_Connection *connection;
	struct http_stream *stream; /* its answer, while nothing of it has been written */
	const char *rest;	    /* of the path, behind a route's beginning */
	char *body;
	size_t body_size, body_room;
	bool head, answered, body_too_long;
	size_t uploaded;
	struct {
		char name[32], value[256];
	} header[HTTP_MAX_HEADERS];
	size_t headers;
};

/* Queues and drops `response`; 0 or -EIO. */
int request_queue(struct http_request *request, unsigned status, struct MHD_Response *response,
		  const char *content_type);

void stream_group_init(struct stream_group *group, unsigned most);
void stream_group_end(struct stream_group *group); /* waits for every producer */
/* Lets every suspended connection go on, to its end: before libmicrohttpd stops. */
void stream_wake_all(struct http_server *server);
/* A pipe that was waited for has something (or its end), or the client has hung up: lets its
 * connection go on. `event` is what epoll gave back. */
void stream_wake_event(void *event);
/* The request's stream has something to answer: 0 or -EIO. */
int stream_begin(struct http_request *request);
/* The request is over, and nothing of its stream was answered. */
void stream_abandon(struct http_stream *stream);

/* ---- encoding.c: gzip ---- */
struct gzip;
struct gzip *gzip_new(void); /* NULL: out of memory */
void gzip_free(struct gzip **gzip);
/* Compresses, or ends (data NULL); `put` gets what comes out, its error is returned. */
int gzip_write(struct gzip *gzip, const void *data, size_t size,
	       int (*put)(void *user, const void *data, size_t size), void *user);
/* All at once: malloc()ed, NULL when it gets no shorter. */
void *gzip_whole(const void *data, size_t size, size_t *ret_size);
/* What is in a whole gzip, to be free()d; NULL: it is none, or there is no memory. */
void *gunzip_whole(const void *data, size_t size, size_t *ret_size);

#endif
