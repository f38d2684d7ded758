// SPDX-License-Identifier: GPL-2.0
/* See framing.h. */
#include "http/framing.h"

#include <stdbool.h>
#include <strings.h>

struct framing {
	unsigned lengths, codings;
	bool odd_coding;
};

static enum MHD_Result on_header(void *cls, enum MHD_ValueKind kind, const char *name,
				 const char *value)
{
	struct framing *framing = cls;

	(void)kind;
	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0)
		framing->lengths++;
	if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		framing->codings++;
		framing->odd_coding |= !value || strcasecmp(value, "chunked") != 0;
	}
	return MHD_YES;
}

const char *framing_problem(struct MHD_Connection *connection)
{
	struct framing framing = { 0 };

	MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, &framing);
	if (framing.lengths > 1)
		return "more than one Content-Length";
	if (framing.lengths && framing.codings)
		return "Content-Length together with Transfer-Encoding";
	if (framing.codings > 1 || framing.odd_coding)
		return "a Transfer-Encoding other than chunked";
	return NULL;
}
