/* SPDX-License-Identifier: GPL-2.0 */
/* A function with several threads: four of them draw a part of the Mandelbrot set each. */
#include <pthread.h>

#include "triggers.h"

enum { THREADS = 4, SIZE = 192, DEPTH = 400 };

static unsigned drawn[THREADS];

static void *draw(void *argument)
{
	int part = (int)(intptr_t)argument;

	for (int row = part; row < SIZE; row += THREADS)
		for (int column = 0; column < SIZE; column++) {
			double a = column * 3.0 / SIZE - 2.0, b = row * 2.0 / SIZE - 1.0;
			double x = 0, y = 0;
			int n = 0;

			for (; n < DEPTH && x * x + y * y < 4; n++) {
				double next = x * x - y * y + a;

				y = 2 * x * y + b;
				x = next;
			}
			drawn[part] += (unsigned)n;
		}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	struct triggers t;

	triggers_from(&t, argc, argv, "render");
	while (triggers_next(&t)) {
		for (intptr_t i = 0; i < THREADS; i++)
			pthread_create(&threads[i], NULL, draw, (void *)i);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		oncpu_report_done(0);
	}
	return 0;
}
