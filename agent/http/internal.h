/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the files of this folder. */
#ifndef ONCPU_HTTP_INTERNAL_H
#define ONCPU_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <pthread.h>

#include "http/server.h"

#define HTTP_MAX_HEADERS 4

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
	struct stream_group streams;
	struct http_stream *first_stream; /* those whose response lives */
	bool stopping;
	struct http_counters counters;
};

struct http_request {
	struct http_server *server;
	struct MHD_Connection *connection;
	bool head, answered;
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
/* A pipe that was waited for has something (or its end): lets its connection go on. */
void stream_wake(struct http_stream *stream);

#endif
