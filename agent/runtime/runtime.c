/* SPDX-License-Identifier: MIT-0 */
/* The marks of oncpu/runtime.h as ordinary functions, for every language that can load a library.
 */
#define oncpu_receive_start static_receive_start
#define oncpu_receive_invoke static_receive_invoke
#define oncpu_response static_response
#define oncpu_report_done static_report_done
#define oncpu_suspend static_suspend
#include "oncpu/runtime.h"
#undef oncpu_receive_start
#undef oncpu_receive_invoke
#undef oncpu_response
#undef oncpu_report_done
#undef oncpu_suspend

#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void oncpu_receive_start(const char *function, const char *invocation_id);
EXPORT void oncpu_receive_invoke(const char *invocation_id);
EXPORT void oncpu_response(void);
EXPORT void oncpu_report_done(int status);
EXPORT long oncpu_suspend(const char *runtime_api, const char *answer, unsigned long answer_size,
			  char *event, unsigned long event_size);

void oncpu_receive_start(const char *function, const char *invocation_id)
{
	static_receive_start(function, invocation_id);
}

void oncpu_receive_invoke(const char *invocation_id)
{
	static_receive_invoke(invocation_id);
}

void oncpu_response(void)
{
	static_response();
}

/*
 * Under `oncpu run` the slicer makes the boundaries, and a report_done in mid-handler pauses the
 * instance on the spot, as Lambda's first runtime did: the call returns when the next trigger
 * comes.
 */
void oncpu_report_done(int status)
{
	const char *slicer = getenv("ONCPU_SLICER");

	static_report_done(status);
#if ONCPU_RUNTIME_SUPPORTED
	if (slicer) {
		char event[1];
		int code;

		(void)oncpu_runtime_post(slicer, "/2018-06-01/runtime/invocation/-/done", "", 0,
					 &code, event, 0);
	}
#else
	(void)slicer;
#endif
}

long oncpu_suspend(const char *runtime_api, const char *answer, unsigned long answer_size,
		   char *event, unsigned long event_size)
{
	return static_suspend(runtime_api ? runtime_api : getenv("AWS_LAMBDA_RUNTIME_API"), answer,
			      answer_size, event, event_size);
}
