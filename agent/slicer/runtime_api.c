// SPDX-License-Identifier: GPL-2.0
/*
 * The Runtime API (2018-06-01), the Extensions API (2020-01-01) and the Telemetry API (2022-07-01)
 * of one instance. Its caller has been identified: the connection is the instance's own.
 *
 * Beside Lambda's own paths: …/invocation/{id}/suspend[?until=ms] and …/invocation/{id}/done, both
 * also without an id ("-"): the answer is withheld until the next trigger.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/json_writer.h"
#include "slicer/events.h"
#include "slicer/front.h"
#include "slicer/slots.h"
#include "slicer/telemetry.h"

#define RUNTIME "/2018-06-01/runtime/"
#define INVOCATION RUNTIME "invocation/"
#define EXTENSION "/2020-01-01/extension/"
#define TELEMETRY "/2022-07-01/telemetry"
#define LOGS "/2020-08-15/logs"

static bool is(const struct exchange *x, const char *method, const char *path)
{
	return !strcmp(exchange_method(x), method) && !strcmp(exchange_path(x), path);
}

/* invocation/{id}/{verb}: the id, and what follows it. */
static const char *split(const char *path, char id[FRONT_ID])
{
	const char *slash;
	size_t n;

	if (strncmp(path, INVOCATION, sizeof(INVOCATION) - 1) != 0)
		return NULL;
	path += sizeof(INVOCATION) - 1;
	slash = strchr(path, '/');
	if (!slash)
		return NULL;
	n = (size_t)(slash - path);
	snprintf(id, FRONT_ID, "%.*s", (int)(n < FRONT_ID ? n : FRONT_ID - 1), path);
	if (n >= FRONT_ID)
		id[0] = '?'; /* no id of ours is that long */
	return slash + 1;
}

/* ---- extensions ---- */

static void fresh_identifier(char id[FRONT_ID])
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		memset(b, 1, sizeof(b));
	snprintf(id, FRONT_ID,
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
}

static bool take_events(struct participant *p, const char *body, size_t size)
{
	json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL), *event;
	json_t *events = json_object_get(root, "events");
	size_t n;
	bool ok = json_is_array(events);

	json_array_foreach(events, n, event)
	{
		const char *name = json_string_value(event);

		if (name && !strcmp(name, "INVOKE"))
			p->wants_invoke = true;
		else if (name && !strcmp(name, "SHUTDOWN"))
			p->wants_shutdown = true;
		else
			ok = false;
	}
	json_decref(root);
	return ok;
}

static void on_register(struct instance *i, struct exchange *x)
{
	const struct slicer_function *f = i->function->facts;
	const char *name = exchange_header(x, "Lambda-Extension-Name");
	struct participant p = { .ready = false };
	char body[1024];
	struct json_writer w;
	const char *given;
	size_t size;
	int n;

	if (!name || !*name || strlen(name) >= sizeof(p.name)) {
		event_refuse(x, 400, "Extension.InvalidExtensionName",
			     "Lambda-Extension-Name is missing or too long");
		return;
	}
	if (i->state != STARTING || i->extension_count == FUNCTION_EXTENSIONS) {
		event_refuse(x, 403, "Extension.RegistrationClosed",
			     "extensions register while the instance starts, ten at most");
		return;
	}
	given = exchange_body(x, &size);
	snprintf(p.name, sizeof(p.name), "%s", name);
	if (!given || !take_events(&p, given, size)) {
		event_refuse(x, 400, "InvalidRequestFormat",
			     "the body is {\"events\":[\"INVOKE\",\"SHUTDOWN\"]}");
		return;
	}
	fresh_identifier(p.identifier);
	i->extensions[i->extension_count++] = p;
	telemetry_open(i);
	jw_begin(&w, body, sizeof(body));
	jw_object_open(&w);
	jw_key_string(&w, "functionName", f->name);
	jw_key_string(&w, "functionVersion", "$LATEST");
	jw_key_string(&w, "handler", f->handler ? f->handler : "index.handler");
	jw_key_string(&w, "accountId", "000000000000");
	jw_object_close(&w);
	n = jw_end(&w);
	exchange_add_header(x, "Lambda-Extension-Identifier", p.identifier);
	exchange_answer(x, 200, "application/json", body, n > 0 ? (size_t)n : 0);
}

static struct participant *extension_of(struct instance *i, struct exchange *x)
{
	const char *identifier = exchange_header(x, "Lambda-Extension-Identifier");

	for (unsigned e = 0; identifier && e < i->extension_count; e++)
		if (!strcmp(identifier, i->extensions[e].identifier))
			return &i->extensions[e];
	event_refuse(x, 403, "Extension.UnknownExtensionIdentifier",
		     "Lambda-Extension-Identifier names no extension of this instance");
	return NULL;
}

static void on_extension_error(struct instance *i, struct exchange *x)
{
	if (!extension_of(i, x))
		return;
	exchange_answer(x, 202, "application/json", "{\"status\":\"OK\"}\n", 16);
	instance_end(i, "Extension.Crash", "an extension reported an error");
}

static void extensions_api(struct instance *i, struct exchange *x)
{
	struct participant *p;

	if (is(x, "POST", EXTENSION "register")) {
		on_register(i, x);
	} else if (is(x, "GET", EXTENSION "event/next")) {
		p = extension_of(i, x);
		if (p)
			instance_on_next(i, p, x);
	} else if (is(x, "POST", EXTENSION "init/error") || is(x, "POST", EXTENSION "exit/error")) {
		on_extension_error(i, x);
	} else {
		event_refuse(x, 404, "NotFound", "there is no such path in the Extensions API");
	}
}

static void on_subscribe(struct instance *i, struct exchange *x)
{
	const struct participant *p = extension_of(i, x);

	if (p)
		telemetry_api(i, (unsigned)(p - i->extensions), x);
}

/* ---- the runtime ---- */

static void on_invocation(struct instance *i, struct exchange *x)
{
	char id[FRONT_ID];
	const char *verb = split(exchange_path(x), id), *meant = id;

	if (verb && !strcmp(id, "-"))
		meant = NULL; /* whichever runs now */
	if (!verb || strcmp(exchange_method(x), "POST") != 0)
		event_refuse(x, 404, "NotFound", "there is no such path in the Runtime API");
	else if (!strcmp(verb, "response"))
		instance_on_response(i, meant, x, false);
	else if (!strcmp(verb, "error"))
		instance_on_response(i, meant, x, true);
	else if (!strcmp(verb, "suspend"))
		instance_on_suspend(i, meant, x, false);
	else if (!strcmp(verb, "done"))
		instance_on_suspend(i, meant, x, true);
	else
		event_refuse(x, 404, "NotFound", "an invocation has response, error and suspend");
}

bool runtime_api_streams(struct exchange *x)
{
	const char *mode = exchange_header(x, "Lambda-Runtime-Function-Response-Mode");

	return mode && !strcasecmp(mode, "streaming");
}

void runtime_api_piece(struct instance *i, struct exchange *x)
{
	char id[FRONT_ID];
	const char *verb = split(exchange_path(x), id);

	if (verb && !strcmp(verb, "response") && !strcmp(exchange_method(x), "POST") &&
	    runtime_api_streams(x))
		instance_on_piece(i, id, x);
}

void runtime_api(struct instance *i, struct exchange *x)
{
	exchange_set_data(x, i);
	if (i->state == DEAD) {
		exchange_hang_up(x);
		return;
	}
	if (!strncmp(exchange_path(x), EXTENSION, sizeof(EXTENSION) - 1))
		extensions_api(i, x);
	else if (is(x, "PUT", TELEMETRY) || is(x, "PUT", TELEMETRY "/") || is(x, "PUT", LOGS))
		on_subscribe(i, x);
	else if (is(x, "GET", INVOCATION "next"))
		instance_on_next(i, &i->runtime, x);
	else if (is(x, "POST", RUNTIME "init/error"))
		instance_on_init_error(i, x);
	else if (is(x, "GET", "/2018-06-01/ping") || is(x, "GET", "/ping"))
		exchange_answer(x, 200, "text/plain", "pong", 4);
	else
		on_invocation(i, x);
}
