/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by exchange.c (requests, waiting, answers) and exchange_stream.c (answers in pieces). */
#ifndef ONCPU_HTTP_EXCHANGE_INTERNAL_H
#define ONCPU_HTTP_EXCHANGE_INTERNAL_H

#include "http/exchange.h"
#include "http/internal.h"

#define MAX_ANSWER_HEADERS 12

struct exchange_answer {
	struct MHD_Response *response;
	unsigned status;
};

struct exchange {
	struct exchanges *of;
	struct MHD_Connection *connection;
	struct exchange *next, *previous; /* all that are open */
	void *tag, *data;
	char *method, *path, *body;
	size_t size, capacity, received, limit;
	int fd;
	bool too_long, asked, suspended, answered, hang_up, queued, refused;
	/* an answer that is written in pieces: what has not gone out yet */
	char *out;
	size_t out_size, out_capacity, out_sent;
	bool streams, out_ended;
	struct exchange_answer answer;
	unsigned headers;
	char header_name[MAX_ANSWER_HEADERS][48];
	char *header_value[MAX_ANSWER_HEADERS];
};

struct exchanges {
	struct exchanges_config config;
	struct MHD_Daemon *mhd;
	struct exchange *first;
	int epoll;
	unsigned open;
	void **tags;		   /* by descriptor */
	size_t tag_count, tag_end; /* room; one past the highest ever used */
	bool stopping, pending;
};

/* While it is suspended: notices when the peer goes away. */
void exchange_watch(struct exchange *x);
/* Lets a suspended one go on. */
void exchange_wake(struct exchange *x);
void exchange_answer_with(struct exchange *x, unsigned status, const char *content_type,
			  struct MHD_Response *response);

#endif
