/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The built-in page: its files lie in the program, and it asks nobody but this agent.
 *
 *	GET /              the page
 *	GET /web/NAME      its scripts and styles
 *	GET /favicon.ico   its picture
 *	GET /v1/flags      {"flags":[{"name","help"},…]}: what the flags of a record mean
 */
#ifndef ONCPU_API_PAGE_H
#define ONCPU_API_PAGE_H

#include "http/server.h"

/* Handlers of routes; they use nothing of their user's. */
int on_get_page(void *user, struct http_request *request);
int on_get_asset(void *user, struct http_request *request); /* of the route /web/… */
int on_get_favicon(void *user, struct http_request *request);
int on_get_flags(void *user, struct http_request *request);

#endif
