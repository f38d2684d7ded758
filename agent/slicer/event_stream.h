/* SPDX-License-Identifier: GPL-2.0 */
/* Messages of application/vnd.amazon.eventstream, in which InvokeWithResponseStream answers. Pure.
 */
#ifndef ONCPU_SLICER_EVENT_STREAM_H
#define ONCPU_SLICER_EVENT_STREAM_H

#include <stddef.h>

enum { EVENT_STREAM_FRAME = 160 }; /* at most that much around a payload */

/* An event of this type ("PayloadChunk") and content type. Its bytes, malloc()ed; NULL = no memory.
 */
char *event_stream_message(const char *type, const char *content_type, const void *payload,
			   size_t size, size_t *ret_size);

#endif
