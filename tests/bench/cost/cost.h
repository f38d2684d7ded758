/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of tests/bench/cost: what is attached, the peers, the rows, the tables. */
#ifndef ONCPU_BENCH_COST_H
#define ONCPU_BENCH_COST_H

#include <stdbool.h>
#include <stdio.h>

#include "kern/kern.h"
#include "loads.h"

#define PIN_DIR "/sys/fs/bpf/oncpu-bench"
#define PERF_DATA "/tmp/oncpu-bench.perf"
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
/* To load is to ask the kernel what it knows, by an event of perf's among others; with the last one
 * gone the scheduler still looks after perf's at each switch for a second: 85 ns each. */
enum { MAX_ROUNDS = 101, PEER_STARTS_MS = 30000, SETTLES_MS = 1200, MAX_ROWS = 16 };

/* ---- attached.c ---- */

/* What is attached while a row is measured. */
enum phase {
	NOTHING,
	EMPTY,
	UNTRACKED,
	TRACKED,
	UNTRACKED_WHERE,
	TRACKED_WHERE,
	TRACKED_IRQ,
	PHASES,
	PEER
};

struct attached {
	struct kern_owner *owner;
	struct bpf_link *links[4];
};

bool attached_set_up(int *ret_others); /* kernel sides that others have attached already */
struct how {
	bool tracked, where, irq; /* tracked: the loads are an instance each */
	uint32_t max_instances;	  /* 0 = the default */
	const char *also;	  /* a further pattern of cgroups that are tracked, or NULL */
};
struct kern_owner *oncpu_up(struct how how); /* what runs in its cgroups already is adopted */
void oncpu_down(struct kern_owner **owner);  /* back when nothing of it is attached any more */
void attach(enum phase phase, struct attached *a);
void detach(struct attached *a);

/* ---- peers.c ---- */

bool installed(const char *program);
bool peer_up(const char *command); /* false if it ends, or attaches nothing */
void peer_down(void);

/* ---- rows.c ---- */

enum load_kind { SWITCHES, MARKS, PACKETS, LOADS };

struct row {
	const char *name, *key;
	enum phase phase;
	enum marking marking;
	const char *program, *command; /* of a peer */
	bool says_who;		       /* it says who ran how long */
	double target;		       /* of the ratio to the empty program, 0 = none */
	double figures[MAX_ROUNDS];    /* ns */
	int n, failed;
};

struct measured {
	struct row *rows;
	int count;
	const struct load *load;
	char ask;
	double bases[2 * MAX_ROUNDS * (PHASES + 1)]; /* ns with nothing attached */
	int base_count;
};
extern struct measured loads[LOADS];

void measure_base(enum load_kind l); /* with nothing attached */
void keep(struct row *r, double ns);
/* The median of the quietest third of figures: what disturbs them only adds. 0 without any. */
double quiet_of(const double *figures, int n);
double quiet_base(enum load_kind l);

/* ---- report.c ---- */

/* `whole`: the ratio is of the whole hits, not of what was added. */
void table(FILE *json, enum load_kind l, const char *title, const char *bench, bool whole);
void compare_with_peers(FILE *json);

#endif
