/* SPDX-License-Identifier: GPL-2.0 */
/* What is switched on around a measurement: the product's kernel side, in pins of its own, and the
 * empty programs. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cost.h"
#include "floor.skel.h"
#include "../agent/kern/ring.h"

enum { DETACHES_MS = 10000 };

static struct ring ring; /* of what is attached */
static struct floor_bpf *empty;
static int stubs_before; /* of another agent: its cost is not ours, but ours is more beside it */

struct found {
	struct kern_owner *owner; /* attaches each mark, if set */
	int fd;
	uint64_t done, invoke;
};

static int on_mark_found(void *user, const char *probe, uint64_t offset)
{
	struct found *f = user;

	if (!strcmp(probe, "report_done"))
		f->done = offset;
	if (!strcmp(probe, "receive_invoke"))
		f->invoke = offset;
	return f->owner ? kern_owner_attach_mark(f->owner, f->fd, offset) : 0;
}

static struct found find_marks(struct kern_owner *owner)
{
	struct found f = { .owner = owner, .fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC) };

	if (elf_marks(f.fd, on_mark_found, &f) <= 0 || !f.done || !f.invoke)
		die("no marks in this program");
	close(f.fd);
	return f;
}

/* In the agent's place: a full ring would cost less, and lose what is measured. */
static void free_events(void)
{
	ring_free_to(&ring, ring_produced(&ring));
}

struct kern_owner *oncpu_up(struct how how)
{
	struct kern_pattern patterns[2] = {
		{ "bench", "/oncpu-bench-*" },
	};
	struct kern_config config = { .pin_dir = PIN_DIR,
				      .patterns = patterns,
				      .pattern_count = how.also ? 2 : 1,
				      .max_instances = how.max_instances,
				      .hidden_check = true,
				      .live_steal = true,
				      .where = how.where,
				      .irq = how.irq };
	struct kern_owner *owner;
	bool adopted;

	if (!how.tracked)
		strcpy(patterns[0].pattern, "/oncpu-none");
	if (how.also)
		snprintf(patterns[1].pattern, sizeof(patterns[1].pattern), "%s", how.also);
	kern_unpin(PIN_DIR);
	if (kern_owner_open(&config, &owner, &adopted) || kern_owner_adopt(owner))
		die("cannot set up the kernel side");
	find_marks(owner);
	if (ring_open(kern_owner_fd(owner, KERN_FD_EVENTS), owner->control->ring_bytes, &ring))
		die("the ring");
	while_asked = free_events;
	return owner;
}

/* How many programs of a name the kernel has. */
static int programs_named(const char *name)
{
	uint32_t id = 0;
	int count = 0;

	while (!bpf_prog_get_next_id(id, &id)) {
		struct bpf_prog_info info = {};
		uint32_t length = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(id);

		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &length))
			count += !strcmp(info.name, name);
		if (fd >= 0)
			close(fd);
	}
	return count;
}

/* Unpinned attachments go one after the other, in the background, in some 300 ms. */
void oncpu_down(struct kern_owner **owner)
{
	while_asked = NULL;
	ring_close(&ring);
	kern_owner_close(owner);
	kern_unpin(PIN_DIR);
	for (int ms = 0; ms < DETACHES_MS && programs_named("stub_switch") > stubs_before; ms += 10)
		pause_ms(10);
}

void attach(enum phase phase, struct attached *a)
{
	*a = (struct attached){ 0 };
	if (phase >= UNTRACKED)
		a->owner = oncpu_up(
			(struct how){ .tracked = phase != UNTRACKED && phase != UNTRACKED_WHERE,
				      .where = phase == UNTRACKED_WHERE || phase == TRACKED_WHERE,
				      .irq = phase == TRACKED_IRQ });
	if (phase == EMPTY) {
		a->links[0] = bpf_program__attach(empty->progs.empty_switch);
		a->links[2] = bpf_program__attach(empty->progs.empty_entry);
		a->links[3] = bpf_program__attach(empty->progs.empty_exit);
		a->links[1] = bpf_program__attach_uprobe(empty->progs.empty_mark, false, -1,
							 "/proc/self/exe", find_marks(NULL).done);
		if (!a->links[0] || !a->links[1] || !a->links[2] || !a->links[3])
			die("the empty programs");
	}
	pause_ms(SETTLES_MS);
}

void detach(struct attached *a)
{
	for (int i = 0; i < COUNT(a->links); i++)
		bpf_link__destroy(a->links[i]);
	if (a->owner)
		oncpu_down(&a->owner);
	pause_ms(SETTLES_MS);
}

bool attached_set_up(int *ret_others)
{
	empty = floor_bpf__open_and_load();
	*ret_others = stubs_before = programs_named("stub_switch");
	return empty;
}
