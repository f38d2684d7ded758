// SPDX-License-Identifier: GPL-2.0
/* See page.h. The files themselves stand in dashboards/web and assets.def. */
#include "api/page.h"

#include <stdio.h>
#include <string.h>

#include "api/internal.h"
#include "base/json_writer.h"
#include "core/record.h"

#define FLAGS_BYTES (16u << 10)
#define WEB "/web/"

/* All of the page comes from here, nothing of it is written inline, nothing reads markup from a
 * text, nobody may put it into a frame. */
#define POLICY                                                                                     \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "        \
	"require-trusted-types-for 'script'; trusted-types 'none'"

#define ASSET(symbol, file, path, type) extern const char page_##symbol[], page_##symbol##_end[];
#include "api/assets.def"
#undef ASSET

static const struct asset {
	const char *path, *type, *begin, *end;
} assets[] = {
#define ASSET(symbol, file, path, type) { path, type, page_##symbol, page_##symbol##_end },
#include "api/assets.def"
#undef ASSET
};

static int answer(struct http_request *request, const struct asset *asset)
{
	http_add_header(request, "Content-Security-Policy", POLICY);
	http_add_header(request, "Referrer-Policy", "no-referrer");
	http_add_header(request, "Cross-Origin-Resource-Policy", "same-origin");
	return http_reply_gzipped(request, asset->type, asset->begin,
				  (size_t)(asset->end - asset->begin));
}

static int answer_path(struct http_request *request, const char *directory, const char *name)
{
	size_t n = strlen(directory);

	for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++)
		if (strncmp(assets[i].path, directory, n) == 0 &&
		    strcmp(assets[i].path + n, name) == 0)
			return answer(request, &assets[i]);
	return http_reply_problem(request, 404, "the page has no file %.64s", name);
}

int on_get_page(void *user, struct http_request *request)
{
	(void)user;
	return answer_path(request, "/", "");
}

int on_get_asset(void *user, struct http_request *request)
{
	(void)user;
	return answer_path(request, WEB, http_path_rest(request));
}

int on_get_favicon(void *user, struct http_request *request)
{
	(void)user;
	return answer_path(request, "/", "favicon.ico");
}

int on_get_flags(void *user, struct http_request *request)
{
	char body[FLAGS_BYTES];
	struct json_writer w;
	int n;

	(void)user;
	if (http_query_each(request, refuse_parameters, NULL))
		return http_reply_problem(request, 400, "/v1/flags takes no parameters");
	jw_begin(&w, body, sizeof(body));
	jw_object_open(&w);
	jw_key_string(&w, "schema", "oncpu.flags/1");
	jw_key(&w, "flags");
	jw_array_open(&w);
	for (int i = 0; i < RECORD_FLAG_COUNT; i++) {
		jw_object_open(&w);
		jw_key_string(&w, "name", record_flag_name((enum record_flag)i));
		jw_key_string(&w, "help", record_flag_help((enum record_flag)i));
		jw_object_close(&w);
	}
	jw_array_close(&w);
	jw_object_close(&w);
	n = jw_end(&w);
	if (n < 0)
		return http_reply_problem(request, 500, "the answer does not fit");
	return http_reply(request, 200, "application/json", body, (size_t)n);
}
