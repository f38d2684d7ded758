// SPDX-License-Identifier: GPL-2.0
/*
 * POST /v1/boundaries: a gateway that is no runtime says where an invocation begins and ends. Only
 * root and the configured group may, or who shows the token: whoever can make boundaries can move
 * another function's time from one account to another.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/access.h"
#include "api/boundaries.h"
#include "api/internal.h"
#include "base/json_writer.h"
#include "base/text.h"

#define MAX_PID (1 << 22)

static int refuse(char error[API_BOUNDARY_ERROR_LEN], const char *why)
{
	snprintf(error, API_BOUNDARY_ERROR_LEN, "%s", why);
	return -EINVAL;
}

/* An absolute path without empty, . or .. components. */
static bool is_cgroup(const char *path)
{
	if (path[0] != '/' || strlen(path) >= ONCPU_PATTERN_LEN ||
	    !text_is_clean(path, strlen(path)))
		return false;
	for (const char *at = path; *at; at += strcspn(at, "/")) {
		size_t n = strcspn(++at, "/");

		if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
			return false;
	}
	return true;
}

static int take_place(const char *name, const json_t *value, struct api_boundary *b,
		      char error[API_BOUNDARY_ERROR_LEN])
{
	if (strcmp(name, "pid") == 0) {
		json_int_t pid = json_integer_value(value);

		if (!json_is_integer(value) || pid < 2 || pid > MAX_PID)
			return refuse(error, "pid is no process id");
		b->pid = (int)pid;
		return 0;
	}
	if (!json_is_string(value) || !is_cgroup(json_string_value(value)))
		return refuse(error, "cgroup is no absolute path in the cgroup v2 hierarchy");
	snprintf(b->cgroup, sizeof(b->cgroup), "%s", json_string_value(value));
	return 0;
}

static int take_kind(const json_t *value, struct api_boundary *b,
		     char error[API_BOUNDARY_ERROR_LEN])
{
	const char *text = json_is_string(value) ? json_string_value(value) : "";

	b->kind = strcmp(text, "start") == 0	  ? ONCPU_EV_START
		  : strcmp(text, "response") == 0 ? ONCPU_EV_RESPONSE
		  : strcmp(text, "end") == 0	  ? ONCPU_EV_END
						  : ONCPU_EV_NONE;
	return b->kind ? 0 : refuse(error, "boundary is none of start, response, end");
}

static int take_id(const json_t *value, struct api_boundary *b, char error[API_BOUNDARY_ERROR_LEN])
{
	size_t n = json_is_string(value) ? json_string_length(value) : 0;

	if (n == 0 || n > sizeof(b->id))
		return refuse(error, "id is no string of 1 to 64 bytes");
	memcpy(b->id, json_string_value(value), n);
	b->id_len = (uint32_t)n;
	return 0;
}

static int take_status(const json_t *value, struct api_boundary *b,
		       char error[API_BOUNDARY_ERROR_LEN])
{
	const char *text = json_is_string(value) ? json_string_value(value) : "";

	for (int32_t i = 0; i <= ONCPU_STATUS_CRASHED; i++) {
		if (strcmp(record_status_name(i), text) == 0) {
			b->status = i;
			return 0;
		}
	}
	return refuse(error, "status is none of ok, error, timeout, crashed");
}

static int take(const char *name, const json_t *value, struct api_boundary *b,
		char error[API_BOUNDARY_ERROR_LEN])
{
	if (strcmp(name, "cgroup") == 0 || strcmp(name, "pid") == 0)
		return take_place(name, value, b, error);
	if (strcmp(name, "boundary") == 0)
		return take_kind(value, b, error);
	if (strcmp(name, "id") == 0)
		return take_id(value, b, error);
	if (strcmp(name, "status") == 0)
		return take_status(value, b, error);
	snprintf(error, API_BOUNDARY_ERROR_LEN,
		 "there is no member \"%.32s\" here; known: cgroup pid boundary id status", name);
	return -EINVAL;
}

int api_boundary_parse(const char *body, size_t size, struct api_boundary *ret_boundary,
		       char error[API_BOUNDARY_ERROR_LEN])
{
	struct api_boundary b = { 0 };
	json_error_t why;
	json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, &why), *value;
	const char *name;
	bool status = false;
	int err = 0;

	if (!json_is_object(root)) {
		snprintf(error, API_BOUNDARY_ERROR_LEN, "the body is no JSON object: %.160s",
			 root ? "another kind of value" : why.text);
		json_decref(root);
		return -EINVAL;
	}
	json_object_foreach(root, name, value)
	{
		status |= strcmp(name, "status") == 0;
		err = take(name, value, &b, error);
		if (err)
			break;
	}
	json_decref(root);
	if (err)
		return err;
	if (!b.pid == !b.cgroup[0])
		return refuse(error, "name the instance by cgroup or by pid, one of them");
	if (!b.kind)
		return refuse(error, "boundary is missing (start, response or end)");
	if (status && b.kind != ONCPU_EV_END)
		return refuse(error, "status goes with the boundary end only");
	*ret_boundary = b;
	return 0;
}

static int answer(struct api *api, struct http_request *request, const struct api_boundary *b,
		  const struct api_boundary_done *done)
{
	struct api_health health = { 0 };
	char text[1024], when[40];
	struct json_writer w;
	int n;

	api->config.health(api->config.user, &health);
	realtime_format(done->time_ns + health.realtime_offset_ns, when, sizeof(when));
	jw_begin(&w, text, sizeof(text));
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.boundary/1");
	jw_key_string(&w, "function", done->function);
	jw_key_uint64(&w, "uid", done->uid);
	jw_key_string(&w, "boundary",
		      b->kind == ONCPU_EV_START	     ? "start"
		      : b->kind == ONCPU_EV_RESPONSE ? "response"
						     : "end");
	jw_key_string(&w, "time", when);
	jw_key_int64(&w, "total_cpu_ns", done->total_cpu_ns);
	jw_object_close(&w);
	n = jw_end(&w);
	return n < 0 ? n : http_reply(request, 200, "application/json", text, (size_t)n);
}

int on_post_boundaries(void *user, struct http_request *request)
{
	const struct access_door *door = http_admitted_by(request);
	char error[API_BOUNDARY_ERROR_LEN] = "";
	struct api_boundary_done done;
	struct api_boundary boundary;
	struct api *api = user;
	const char *body;
	size_t size;
	int err;

	if (!access_may_report(door, request))
		return http_reply_problem(request, 403,
					  "boundaries are reported by root, by the configured "
					  "socket_group, or with a token");
	if (http_query_each(request, refuse_parameters, NULL))
		return http_reply_problem(request, 400, "/v1/boundaries takes no parameters");
	body = http_body(request, &size);
	if (api_boundary_parse(body, size, &boundary, error))
		return http_reply_problem(request, 400, "%s", error);
	err = api->config.boundary(api->config.user, &boundary, &done, error);
	if (err)
		return http_reply_problem(request,
					  err == -ENOENT  ? 404
					  : err == -EBUSY ? 409
							  : 503,
					  "%s", error);
	return answer(api, request, &boundary, &done);
}
