/* SPDX-License-Identifier: GPL-2.0 */
/* Functions by name, their groups, and lines that are neither. See pricer.h. */
#include "cli/pricer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/price_line.h"

void pricer_begin(struct pricer *p, const struct policies *set, const char *function)
{
	memset(p, 0, sizeof(*p));
	p->set = set;
	p->function = function;
	bill_table_init(&p->table, set, 0);
}

void pricer_free(struct pricer *p)
{
	bill_table_free(&p->table);
	free(p->functions);
	free(p->slots);
	memset(p, 0, sizeof(*p));
}

/* ---- functions by name ---- */

static size_t slot_of(const struct pricer *p, const char *name)
{
	uint32_t hash = 2166136261u;
	size_t at;

	for (const char *c = name; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	for (at = hash % p->slot_count; p->slots[at]; at = (at + 1) % p->slot_count)
		if (strcmp(p->functions[p->slots[at] - 1].name, name) == 0)
			break;
	return at;
}

static int grow(struct pricer *p)
{
	size_t room = p->room ? 2 * p->room : 64;
	void *functions = reallocarray(p->functions, room, sizeof(*p->functions));
	uint32_t *slots = calloc(2 * room, sizeof(*slots));

	if (functions)
		p->functions = functions;
	if (!functions || !slots) {
		free(slots);
		return -ENOMEM;
	}
	free(p->slots);
	p->slots = slots;
	p->slot_count = 2 * room;
	p->room = room;
	for (size_t i = 0; i < p->count; i++)
		slots[slot_of(p, p->functions[i].name)] = (uint32_t)i + 1;
	return 0;
}

static int find_function(struct pricer *p, const char *name, uint32_t *ret_index)
{
	size_t slot;

	if (p->count && strcmp(p->functions[p->recent].name, name) == 0) {
		*ret_index = p->recent;
		return 0;
	}
	if (p->count == p->room && grow(p))
		return -ENOMEM;
	slot = slot_of(p, name);
	if (!p->slots[slot]) {
		memset(&p->functions[p->count], 0, sizeof(*p->functions));
		snprintf(p->functions[p->count].name, ONCPU_NAME_LEN, "%s", name);
		p->slots[slot] = (uint32_t)++p->count;
	}
	*ret_index = p->recent = p->slots[slot] - 1;
	return 0;
}

static void note_times(struct priced_function *f, const char *start, const char *end)
{
	if (start[0] && (!f->first[0] || strcmp(start, f->first) < 0))
		memcpy(f->first, start, sizeof(f->first));
	if (end[0] && strcmp(end, f->last) > 0)
		memcpy(f->last, end, sizeof(f->last));
}

/* What does not fit into the sum is not in its count. */
static void add_stated(struct priced_function *f, uint64_t count, int64_t ns)
{
	int64_t sum;

	if (__builtin_add_overflow(f->stated_ns, ns, &sum))
		return;
	f->stated_ns = sum;
	f->stated += count;
}

/* ---- lines ---- */

static int add_line(struct pricer *p, const struct price_line *line)
{
	struct priced_function *f;
	struct bill_group *group;
	uint32_t index;
	int err = find_function(p, line->function[0] ? line->function : p->function, &index);

	if (!err)
		err = bill_table_find(&p->table, index, 0, &line->key, &group);
	if (err)
		return err;
	bill_group_add_times(group, p->set, line->times);
	f = &p->functions[index];
	f->colds += line->times[BILL_INIT_WALL] > 0;
	f->records += line->kind == PRICE_LINE_RECORD;
	f->reports += line->kind == PRICE_LINE_REPORT;
	p->records += line->kind == PRICE_LINE_RECORD;
	p->reports += line->kind == PRICE_LINE_REPORT;
	p->without_cpu += line->key.no_cpu;
	if (line->stated_ns >= 0)
		add_stated(f, 1, line->stated_ns);
	note_times(f, line->start, line->end);
	return 0;
}

/* Keeps it if it is one of the first. */
static void show_neither(struct pricer *p, const struct priced_neither *line)
{
	unsigned at = p->shown_count;

	while (at > 0 &&
	       (p->shown[at - 1].block > line->block ||
		(p->shown[at - 1].block == line->block && p->shown[at - 1].line > line->line)))
		at--;
	if (at == PRICER_SHOWN)
		return;
	if (p->shown_count < PRICER_SHOWN)
		p->shown_count++;
	memmove(&p->shown[at + 1], &p->shown[at], (p->shown_count - 1 - at) * sizeof(p->shown[0]));
	p->shown[at] = *line;
}

static void note_neither(struct pricer *p, const struct lines_block *block, uint64_t number,
			 const char *line, size_t length)
{
	struct priced_neither neither = { block->number, block->file, number, "" };
	char start[CELL_MAX];

	p->neither++;
	if (p->shown_count == PRICER_SHOWN && p->shown[PRICER_SHOWN - 1].block <= block->number)
		return;
	snprintf(start, sizeof(start), "%.*s", (int)(length < 100 ? length : 100), line);
	format_text(start, 60, neither.text);
	show_neither(p, &neither);
}

static int take_line(struct pricer *p, const struct lines_block *block, uint64_t number,
		     const char *line, size_t length)
{
	struct price_line parsed;

	if (length == 0)
		return 0;
	p->lines++;
	if (!block->too_long) {
		price_line_parse(line, length, &parsed);
		if (parsed.kind != PRICE_LINE_NEITHER)
			return add_line(p, &parsed);
	}
	note_neither(p, block, number, line, length);
	return 0;
}

int pricer_take(void *pricer, const struct lines_block *block)
{
	const char *at = block->text, *end = at + block->length, *newline;
	uint64_t number = block->first_line;
	int err = 0;

	for (; at < end && !err; at = newline + 1, number++) {
		newline = memchr(at, '\n', (size_t)(end - at));
		if (!newline)
			newline = end;
		err = take_line(pricer, block, number, at, (size_t)(newline - at));
	}
	return err;
}

/* ---- parts ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_all(struct pricer *into, const struct pricer *parts, size_t count)
{
	const char **names;
	size_t total = 0, n = 0;
	uint32_t index;
	int err = 0;

	for (size_t i = 0; i < count; i++)
		total += parts[i].count;
	names = calloc(total + !total, sizeof(*names));
	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < parts[i].count; k++)
			names[n++] = parts[i].functions[k].name;
	qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = 0; i < n && !err; i++)
		err = find_function(into, names[i], &index);
	free(names);
	return err;
}

static int merge_part(struct pricer *into, const struct pricer *part)
{
	uint32_t index;
	int err = 0;

	for (size_t i = 0; i < part->count && !err; i++) {
		const struct priced_function *from = &part->functions[i];
		struct priced_function *f;

		err = find_function(into, from->name, &index);
		if (err)
			break;
		f = &into->functions[index];
		f->colds += from->colds;
		f->records += from->records;
		f->reports += from->reports;
		add_stated(f, from->stated, from->stated_ns);
		note_times(f, from->first, from->last);
	}
	for (size_t i = 0; i < part->table.count && !err; i++) {
		const struct bill_group *from = &part->table.groups[i];
		struct bill_group *group;

		err = find_function(into, part->functions[part->table.owners[i].function].name,
				    &index);
		if (!err)
			err = bill_table_find(&into->table, index, 0, &from->key, &group);
		if (!err)
			bill_group_merge(group, from, into->set->rule_count);
	}
	return err;
}

int pricer_merge(struct pricer *into, const struct pricer *parts, size_t count)
{
	int err = find_all(into, parts, count);

	for (size_t i = 0; i < count && !err; i++) {
		err = merge_part(into, &parts[i]);
		into->lines += parts[i].lines;
		into->records += parts[i].records;
		into->reports += parts[i].reports;
		into->neither += parts[i].neither;
		into->without_cpu += parts[i].without_cpu;
		for (unsigned k = 0; k < parts[i].shown_count; k++)
			show_neither(into, &parts[i].shown[k]);
	}
	return err;
}
