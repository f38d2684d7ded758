/* SPDX-License-Identifier: GPL-2.0 */
/* A function that computes: scales a picture down by averaging boxes of pixels. */
#include "triggers.h"

enum { WIDTH = 1600, HEIGHT = 1200, BOX = 8 };

static unsigned char picture[HEIGHT][WIDTH][3], thumb[HEIGHT / BOX][WIDTH / BOX][3];

/* Module initialisation: what a real one does with its libraries and tables. */
static void load_picture(void)
{
	uint32_t x = 2463534242u;

	for (int i = 0; i < 4; i++)
		for (int row = 0; row < HEIGHT; row++)
			for (int column = 0; column < WIDTH; column++) {
				x ^= x << 13;
				x ^= x >> 17;
				x ^= x << 5;
				memcpy(picture[row][column], &x, 3);
			}
}

static unsigned scale(void)
{
	unsigned check = 0;

	for (int row = 0; row < HEIGHT / BOX; row++)
		for (int column = 0; column < WIDTH / BOX; column++)
			for (int c = 0; c < 3; c++) {
				unsigned sum = 0;

				for (int y = 0; y < BOX; y++)
					for (int x = 0; x < BOX; x++)
						sum += picture[row * BOX + y][column * BOX + x][c];
				thumb[row][column][c] = (unsigned char)(sum / (BOX * BOX));
				check += thumb[row][column][c];
			}
	return check;
}

int main(int argc, char **argv)
{
	struct triggers t;
	unsigned check = 0;

	triggers_from(&t, argc, argv, "thumb");
	load_picture();
	while (triggers_next(&t)) {
		check += scale();
		oncpu_report_done(0);
	}
	return check == 1;
}
