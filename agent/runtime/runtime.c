/* SPDX-License-Identifier: MIT-0 */
/* The marks of oncpu/runtime.h as ordinary functions, for every language that can load a library.
 */
#define oncpu_receive_start static_receive_start
#define oncpu_receive_invoke static_receive_invoke
#define oncpu_response static_response
#define oncpu_report_done static_report_done
#include "oncpu/runtime.h"
#undef oncpu_receive_start
#undef oncpu_receive_invoke
#undef oncpu_response
#undef oncpu_report_done

#define EXPORT __attribute__((visibility("default")))

EXPORT void oncpu_receive_start(const char *function, const char *invocation_id);
EXPORT void oncpu_receive_invoke(const char *invocation_id);
EXPORT void oncpu_response(void);
EXPORT void oncpu_report_done(int status);

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

void oncpu_report_done(int status)
{
	static_report_done(status);
}
