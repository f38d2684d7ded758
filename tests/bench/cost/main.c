/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What measuring costs: added ns per context switch and per boundary, against the floor that an
 * empty program on the same hook pays and against peers, all interleaved in one run.
 *
 * cost [--rounds N] [--peer-rounds N] [--seconds N] [--json FILE]
 *
 * Rounds of all rows follow each other, with nothing attached before and after each one, until each
 * row has N figures, and for --seconds at most. A row is the median of the quietest third of its
 * figures, "added" is that less the same of nothing attached: somebody else who has the host makes
 * figures larger, never smaller. A peer takes seconds to start, so it takes part in some of the
 * rounds only. Ended by a signal, it leaves no pins, cgroups or peers behind.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cost.h"

void clean_up(void)
{
	char path[700];

	peer_down();
	loads_down();
	kern_unpin(PIN_DIR);
	unlink(PERF_DATA);
	for (const char *c = "abcd"; *c && cgroup_root[0]; c++) {
		bench_cgroup(*c, path);
		rmdir(path);
	}
}

/* ---- a round ---- */

/* Each phase once, each one between two of nothing attached, which neighbours share. */
static void one_round(bool optional)
{
	struct attached a;

	for (int l = 0; l < LOADS; l++)
		measure_base(l);
	for (enum phase p = NOTHING; p <= (optional ? PHASES - 1 : TRACKED); p++) {
		attach(p, &a);
		for (int l = 0; l < LOADS; l++)
			for (int k = 0; k < loads[l].count; k++)
				if (loads[l].rows[k].phase == p)
					keep(&loads[l].rows[k],
					     ask(loads[l].load,
						 l == MARKS ? (char)loads[l].rows[k].marking
							    : loads[l].ask));
		detach(&a);
		for (int l = 0; l < LOADS; l++)
			measure_base(l);
	}
}

static void one_peer(struct row *r)
{
	double ns = -1;

	if (!installed(r->program))
		return;
	measure_base(SWITCHES);
	if (peer_up(r->command))
		ns = ask(&ping_pong, 's');
	peer_down();
	pause_ms(SETTLES_MS);
	if (ns >= 0)
		keep(r, ns);
	else if (!r->failed++)
		printf("  %s: ended, or attached nothing within %d s\n", r->key,
		       PEER_STARTS_MS / 1000);
}

/* The fewest figures that a row has: of ours, or of the peers. */
static int fewest(bool of_peers)
{
	int least = MAX_ROUNDS;

	for (int l = 0; l < LOADS; l++)
		for (int k = 0; k < loads[l].count; k++) {
			const struct row *r = &loads[l].rows[k];

			if (r->phase > TRACKED && r->phase < PHASES)
				continue; /* what is optional takes part in every other round */
			if (of_peers != (r->phase == PEER) || (of_peers && (r->failed || !r->n)))
				continue;
			least = r->n < least ? r->n : least;
		}
	return least;
}

static void run(int rounds, int peer_rounds, int seconds)
{
	uint64_t begin = now_ns(), end = begin + (uint64_t)seconds * 1000000000u;
	int ours = 0, peers = 0;

	for (int i = 1; i < MAX_ROUNDS && now_ns() < end && (ours < rounds || peers < peer_rounds);
	     i++) {
		if (ours < rounds || i % 4)
			one_round(i % 2);
		ours = fewest(false);
		/* their rounds are spread over ours */
		if (peers * rounds <= ours * peer_rounds && peers < peer_rounds) {
			for (int k = 0; k < loads[SWITCHES].count && now_ns() < end; k++)
				if (loads[SWITCHES].rows[k].phase == PEER)
					one_peer(&loads[SWITCHES].rows[k]);
			peers = fewest(true);
		}
		printf("round %d, %llu s: %d of %d, peers %d of %d; a switch %.0f ns, a mark %.1f "
		       "ns\n",
		       i, (unsigned long long)(now_ns() - begin) / 1000000000u, ours, rounds,
		       peers < MAX_ROUNDS ? peers : 0, peer_rounds, quiet_base(SWITCHES),
		       quiet_base(MARKS));
	}
}

int main(int argc, char **argv)
{
	int rounds = 9, peer_rounds = 3, seconds = 150, others;
	FILE *json = NULL;
	char path[700];

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--rounds"))
			rounds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--peer-rounds"))
			peer_rounds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--seconds"))
			seconds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--json"))
			json = fopen(argv[i + 1], "ae");
	}
	if (rounds < 1 || rounds >= MAX_ROUNDS || peer_rounds < 0 || peer_rounds > rounds ||
	    seconds < 1) {
		fprintf(stderr, "cost: --rounds is 1 to %d, --peer-rounds no more than that\n",
			MAX_ROUNDS - 1);
		return 2;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	setenv("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", 1);
	catch_signals();
	if (!attached_set_up(&others) || kern_cgroup_root(cgroup_root, sizeof(cgroup_root)))
		die("cannot set up");
	for (const char *c = "abcd"; *c; c++) {
		bench_cgroup(*c, path);
		if (mkdir(path, 0755) && errno != EEXIST)
			die("cannot make a cgroup");
	}
	if (others)
		printf("Another agent is attached: its hooks make every figure here larger.\n");
	ping_pong_up();
	load_up(&marker, 'c', 0, mark_many, NULL);
	load_up(&sender, 'd', 1, send_many, NULL);
	run(rounds, peer_rounds, seconds);
	table(json, SWITCHES, "A context switch (÷ empty: of what is added)", "switch", false);
	compare_with_peers(json);
	table(json, MARKS, "A boundary (÷ empty: of the whole hit)", "boundary", true);
	table(json, PACKETS, "A soft interrupt: a packet over loopback (÷ empty: of what is added)",
	      "interrupt", false);
	clean_up();
	if (json)
		fclose(json);
	return 0;
}
