/* SPDX-License-Identifier: GPL-2.0 */
/* See follow.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/follow.h"

enum {
	ID_ROOM = 256,
	SILENCE_S = 60, /* the agent says something each 15 s */
	RETRY_MS = 200, /* an upgrade takes a second or less */
};

struct follower {
	const struct place *place;
	const struct selection *select;
	line_fn visit;
	void *user;
	bool show;	    /* what the first listing has: print it, or only go on from there */
	bool listed;	    /* that listing has been read */
	bool fresh;	    /* nothing has come on this stream yet */
	bool answered;	    /* the agent has, since we asked last */
	char last[ID_ROOM]; /* record_id of the newest record seen; "" = there is none yet */
	char event[16];	    /* kind of the event being read */
	int result;	    /* of the visitor, if it was not 0 */
};

static struct client_cancel stop;

static void on_stop(int number)
{
	(void)number;
	client_cancel(&stop);
}

static void catch_stops(void)
{
	struct sigaction action = { .sa_handler = on_stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGPIPE, SIG_IGN); /* the visitor sees EPIPE */
}

/* Of the same host and boot the larger number is the newer one; another boot's is newer. */
static bool is_newer(const char *id, const char *than)
{
	const char *number = strrchr(id, '-');
	size_t prefix = number ? (size_t)(number - id) + 1 : 0;

	return !prefix || strncmp(id, than, prefix) != 0 ||
	       strtoull(number + 1, NULL, 10) > strtoull(than + prefix, NULL, 10);
}

static int on_record(struct follower *f, const char *line, size_t length, bool streamed)
{
	json_t *o = json_loadb(line, length, 0, NULL);
	const char *id = json_string_value(json_object_get(o, "record_id"));
	const char *own = json_string_value(json_object_get(o, "id"));
	bool show = streamed || f->show;

	if (!id || strlen(id) >= sizeof(f->last)) {
		json_decref(o);
		return -EPROTO;
	}
	if (is_newer(id, f->last))
		snprintf(f->last, sizeof(f->last), "%s", id);
	else if (streamed) /* in that order they come: it was listed already */
		show = false;
	if (f->select->id && (!own || strcmp(own, f->select->id) != 0))
		show = false;
	json_decref(o);
	if (show)
		f->result = f->visit(f->user, line, length);
	return f->result;
}

static int on_listed(void *user, const char *line, size_t length)
{
	struct follower *f = user;

	f->answered = true;
	return on_record(f, line, length, false);
}

/* `last`: only the newest so many, 0 = all. */
static int list(struct follower *f, unsigned long long last)
{
	const struct client client = { .socket = f->place->socket,
				       .timeout_s = SILENCE_S,
				       .cancel = &stop };
	const struct selection *s = f->select;
	char path[1024] = "/v1/invocations", number[24];

	snprintf(number, sizeof(number), "%llu", last);
	if (s->function && f->show)
		client_query(path, sizeof(path), "function", s->function, strlen(s->function));
	if (s->since && f->show)
		client_query(path, sizeof(path), "since", s->since, strlen(s->since));
	if (last)
		client_query(path, sizeof(path), "last", number, strlen(number));
	return client_get(&client, path, on_listed, f);
}

/* Where to go on from: the newest record there is, or what was asked for to begin with. */
static int list_first(struct follower *f)
{
	int error = list(f, f->show ? f->select->last : 1);

	f->answered |= !error;
	f->listed = !error;
	f->show |= !error;
	return error;
}

/* A line of the stream: `event: NAME`, `data: JSON`, `id: …`, or a comment that keeps it alive. */
static int on_line(void *user, const char *line, size_t length)
{
	struct follower *f = user;
	size_t skip;
	int error;

	f->answered = true;
	if (f->fresh) {
		/* There was no record to go on from: what came before the stream began is new. It
		 * may come again in the stream. */
		f->fresh = false;
		error = f->last[0] ? 0 : list(f, 0);
		if (error)
			return error;
	}
	if (!strncmp(line, "event:", 6))
		snprintf(f->event, sizeof(f->event), "%s", line + 6 + strspn(line + 6, " "));
	if (strncmp(line, "data:", 5) != 0)
		return 0;
	skip = 5 + strspn(line + 5, " ");
	if (!strcmp(f->event, "invocation"))
		return on_record(f, line + skip, length - skip, true);
	if (!strcmp(f->event, "lost"))
		fprintf(stderr,
			"oncpu: warning: the ledger has let go of records that come next here: "
			"%s\n",
			line + skip);
	return 0;
}

static int ask(struct follower *f)
{
	char path[1024] = "/v1/events", header[ID_ROOM + 32];
	const struct selection *s = f->select;
	struct client client = { .socket = f->place->socket,
				 .timeout_s = SILENCE_S,
				 .cancel = &stop };
	int error = f->listed ? 0 : list_first(f);

	if (error)
		return error;
	f->fresh = true;
	if (s->function)
		client_query(path, sizeof(path), "function", s->function, strlen(s->function));
	snprintf(header, sizeof(header), "Last-Event-ID: %s", f->last);
	if (f->last[0])
		client.header = header;
	return client_get(&client, path, on_line, f);
}

int follow_invocations(const struct place *place, const struct selection *s, bool all,
		       line_fn visit, void *user)
{
	struct follower f = { .place = place,
			      .select = s,
			      .visit = visit,
			      .user = user,
			      .show = all || s->last || s->since };
	bool waiting = false;
	int error;

	catch_stops();
	for (bool first = true; !stop.requested; first = false) {
		f.answered = false;
		error = ask(&f);
		if (f.result || stop.requested)
			break;
		if (error == -EACCES)
			return command_fail("%s: permission denied (use sudo, or be in its group)",
					    place->socket),
			       error;
		if (first && error == -ECONNREFUSED)
			return command_fail("no agent answers at %s, and only an agent can be "
					    "followed (start one: sudo oncpu agent)",
					    place->socket),
			       error;
		if (error == -EPROTO && !f.answered)
			return error; /* it has been told */
		if (!waiting && !f.answered)
			fprintf(stderr, "oncpu: the agent has gone; waiting for it\n");
		waiting = !f.answered;
		poll(NULL, 0, RETRY_MS);
	}
	return f.result;
}
