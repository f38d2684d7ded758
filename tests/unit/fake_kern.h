/* SPDX-License-Identifier: GPL-2.0 */
/* See fake_kern.c. */
#ifndef ONCPU_TESTS_FAKE_KERN_H
#define ONCPU_TESTS_FAKE_KERN_H

#include "kern/kern.h"

#define FAKE_KERN_MAX 65536

struct kern_view *fake_kern_reset(void); /* an empty ring; the view is static */
void fake_kern_push(const struct oncpu_event *event);
void fake_kern_new_pins(void);	     /* others than those before */
void fake_kern_forget(uint64_t uid); /* the instance is no longer in the table */
size_t fake_kern_committed(void);
unsigned fake_kern_rewinds(void);

#endif
