// SPDX-License-Identifier: GPL-2.0
/* PUT /2022-07-01/telemetry, and the older PUT /2020-08-15/logs with the same body. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "slicer/events.h"
#include "slicer/telemetry.h"

enum { HOST = 64, PATH = 128 };

struct destination {
	unsigned port;
	char host[HOST], path[PATH];
};

static bool read_types(const json_t *types, unsigned *ret_kinds)
{
	static const char *const names[] = { "platform", "function", "extension" };
	const json_t *type;
	unsigned kinds = 0;
	size_t n;

	json_array_foreach(types, n, type)
	{
		const char *name = json_string_value(type);
		unsigned k = 0;

		while (name && k < 3 && strcmp(name, names[k]) != 0)
			k++;
		if (!name || k == 3)
			return false;
		kinds |= 1u << k;
	}
	*ret_kinds = kinds;
	return kinds != 0;
}

/* http://sandbox.localdomain:PORT[/PATH]: the name means the instance itself, as on Lambda. */
static bool read_destination(const json_t *destination, struct destination *to)
{
	const char *protocol = json_string_value(json_object_get(destination, "protocol"));
	const char *uri = json_string_value(json_object_get(destination, "URI"));
	unsigned port;
	int used = 0;

	if (!protocol || strcmp(protocol, "HTTP") != 0 || !uri)
		return false;
	if (sscanf(uri, "http://%63[^:/]:%5u%n", to->host, &port, &used) != 2 || !port ||
	    port > 65535)
		return false;
	if (strcmp(to->host, "sandbox.localdomain") != 0 && strcmp(to->host, "sandbox") != 0 &&
	    strcmp(to->host, "127.0.0.1") != 0 && strcmp(to->host, "localhost") != 0)
		return false;
	uri += used;
	if ((*uri && *uri != '/') || strlen(uri) >= sizeof(to->path))
		return false;
	for (const char *c = uri; *c; c++)
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return false;
	to->port = port;
	snprintf(to->path, sizeof(to->path), "%s", uri);
	return true;
}

static bool read_bound(const json_t *buffering, const char *name, int64_t least, int64_t most,
		       int64_t *value)
{
	const json_t *given = json_object_get(buffering, name);

	if (!given)
		return true;
	*value = json_integer_value(given);
	return json_is_integer(given) && *value >= least && *value <= most;
}

static bool read_buffering(const json_t *buffering, struct telemetry_queue *wanted)
{
	int64_t items = TELEMETRY_ITEMS_MOST, bytes = TELEMETRY_BYTES_LEAST,
		ms = TELEMETRY_TIMEOUT_DEFAULT_MS;
	bool ok = read_bound(buffering, "maxItems", TELEMETRY_ITEMS_LEAST, TELEMETRY_ITEMS_MOST,
			     &items) &&
		  read_bound(buffering, "maxBytes", TELEMETRY_BYTES_LEAST, TELEMETRY_BYTES_MOST,
			     &bytes) &&
		  read_bound(buffering, "timeoutMs", TELEMETRY_TIMEOUT_LEAST_MS,
			     TELEMETRY_TIMEOUT_MOST_MS, &ms);

	wanted->max_items = (size_t)items;
	wanted->max_bytes = (size_t)bytes;
	wanted->timeout_ns = (uint64_t)ms * 1000000;
	return ok;
}

/* NULL, or what is wrong. */
static const char *read_subscription(const json_t *root, struct telemetry_queue *wanted,
				     struct destination *to)
{
	if (!json_is_object(root) || !json_is_string(json_object_get(root, "schemaVersion")))
		return "the body is {\"schemaVersion\":…,\"types\":[…],\"destination\":{…}}";
	if (!read_types(json_object_get(root, "types"), &wanted->kinds))
		return "types is a list of platform, function and extension";
	if (!read_destination(json_object_get(root, "destination"), to))
		return "destination is {\"protocol\":\"HTTP\",\"URI\":"
		       "\"http://sandbox.localdomain:PORT\"}";
	if (!read_buffering(json_object_get(root, "buffering"), wanted))
		return "buffering has maxItems of 1000 to 10000, maxBytes of 262144 to 1048576, "
		       "timeoutMs of 25 to 30000";
	return NULL;
}

void telemetry_api(struct instance *i, unsigned e, struct exchange *x)
{
	struct telemetry_queue wanted = { .kinds = 0 };
	struct destination to;
	const char *problem, *body;
	json_t *root;
	size_t size;
	int error;

	body = exchange_body(x, &size);
	root = body ? json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL) : NULL;
	problem = read_subscription(root, &wanted, &to);
	json_decref(root);
	if (problem) {
		event_refuse(x, 400, "ValidationError", problem);
		return;
	}
	error = telemetry_subscribe(i, e, &wanted, to.port, to.host, to.path);
	if (error == -EACCES)
		event_refuse(x, 403, "Telemetry.SubscriptionClosed",
			     "extensions subscribe while the instance starts");
	else if (error)
		event_refuse(x, 500, "ServiceException", "no memory");
	else
		exchange_answer(x, 200, "text/plain", "OK", 2);
}
