/* SPDX-License-Identifier: GPL-2.0 */
/* A runtime of somebody else's, which has never heard of oncpu. */
#ifndef FOREIGN_RUNTIME_H
#define FOREIGN_RUNTIME_H

struct runtime {
	unsigned long started, invoked, done;
};

int receive_start(struct runtime *runtime, const char *function, const char *id);
int receive_invoke(const char *id, struct runtime *runtime);
void report_done(struct runtime *runtime, double seconds, long bytes, int status);

#endif
