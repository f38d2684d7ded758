/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Marks and symbols of an ELF file. The file is the function's, so nothing in it is believed: it is
 * read with pread (never mapped: it may shrink), counts and offsets are bounded, and a site counts
 * only if the 5-byte nop is really there.
 */
#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kern/kern_internal.h"

enum { MAX_NOTES = 4096, MAX_SEGMENTS = 512, MAX_SYMBOLS = 4 << 20 };

static const unsigned char nop5[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

struct image {
	Elf *elf;
	int fd;
	size_t segments;
};

static int image_open(int fd, struct image *ret)
{
	struct image im = { .fd = fd };
	GElf_Ehdr header;

	elf_version(EV_CURRENT);
	im.elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!im.elf || elf_kind(im.elf) != ELF_K_ELF) {
		elf_end(im.elf);
		return -ENOEXEC;
	}
	if (!gelf_getehdr(im.elf, &header) || header.e_ident[EI_CLASS] != ELFCLASS64 ||
	    header.e_machine != EM_X86_64 || elf_getphdrnum(im.elf, &im.segments) ||
	    im.segments > MAX_SEGMENTS) {
		elf_end(im.elf);
		return -EBADMSG;
	}
	*ret = im;
	return 0;
}

/* Where an address of the image stands in the file; only in segments that are executable. */
static int file_offset(const struct image *im, uint64_t address, uint64_t *ret_offset)
{
	for (size_t i = 0; i < im->segments; i++) {
		GElf_Phdr p;

		if (!gelf_getphdr(im->elf, (int)i, &p) || p.p_type != PT_LOAD ||
		    !(p.p_flags & PF_X))
			continue;
		if (address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz &&
		    p.p_filesz < INT64_MAX && p.p_offset < INT64_MAX - p.p_filesz) {
			*ret_offset = address - p.p_vaddr + p.p_offset;
			return 0;
		}
	}
	return -ENOENT;
}

static int holds_nop(int fd, uint64_t offset)
{
	unsigned char bytes[sizeof(nop5)];

	return pread(fd, bytes, sizeof(bytes), (off_t)offset) == sizeof(bytes) &&
	       !memcmp(bytes, nop5, sizeof(nop5));
}

static Elf_Scn *section_named(const struct image *im, const char *name, GElf_Shdr *ret_header)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(im->elf, &names))
		return NULL;
	while ((section = elf_nextscn(im->elf, section))) {
		const char *n;

		if (gelf_getshdr(section, ret_header) &&
		    (n = elf_strptr(im->elf, names, ret_header->sh_name)) && !strcmp(n, name))
			return section;
	}
	return NULL;
}

/* A note's description: pc, base, semaphore, provider, name, arguments. */
static int one_note(const struct image *im, const char *d, size_t size, uint64_t moved,
		    marks_fn visit, void *user)
{
	const char *provider = d + 24, *probe;
	uint64_t pc, base, offset;
	size_t left;

	if (size < 24 + 8 || !memchr(provider, 0, size - 24) || strcmp(provider, "oncpu"))
		return 0;
	probe = provider + sizeof("oncpu");
	left = size - 24 - sizeof("oncpu");
	if (!memchr(probe, 0, left) || !*probe)
		return 0;
	memcpy(&pc, d, 8);
	memcpy(&base, d + 8, 8);
	if (moved && base) /* prelinked since: the base section tells by how much */
		pc += moved - base;
	if (file_offset(im, pc, &offset) || !holds_nop(im->fd, offset))
		return 0;
	left = (size_t)visit(user, probe, offset);
	return left ? (int)left : 1;
}

static int walk_notes(const struct image *im, Elf_Data *data, uint64_t base, marks_fn visit,
		      void *user)
{
	size_t at = 0, next, name, desc;
	int found = 0, seen = 0, result;
	GElf_Nhdr note;

	while (at < data->d_size && (next = gelf_getnote(data, at, &note, &name, &desc)) > 0) {
		const char *bytes = data->d_buf;

		if (++seen > MAX_NOTES)
			return -EBADMSG;
		at = next;
		if (note.n_type != 3 || note.n_namesz != sizeof("stapsdt") || desc > data->d_size ||
		    note.n_descsz > data->d_size - desc ||
		    memcmp(bytes + name, "stapsdt", sizeof("stapsdt")))
			continue;
		result = one_note(im, bytes + desc, note.n_descsz, base, visit, user);
		if (result < 0)
			return result;
		found += result;
	}
	return found;
}

int elf_marks(int fd, marks_fn visit, void *user)
{
	GElf_Shdr header;
	struct image im;
	Elf_Scn *section;
	Elf_Data *data;
	uint64_t base = 0;
	int error = image_open(fd, &im);

	if (error)
		return error;
	if (section_named(&im, ".stapsdt.base", &header))
		base = header.sh_addr;
	section = section_named(&im, ".note.stapsdt", &header);
	data = section && header.sh_size < 1 << 20 ? elf_getdata(section, NULL) : NULL;
	error = data && data->d_buf ? walk_notes(&im, data, base, visit, user) : 0;
	elf_end(im.elf);
	return error;
}

/* ---- symbols ---- */

typedef int (*symbol_fn)(void *user, const char *name, const GElf_Sym *symbol); /* non-zero stops */

static int each_symbol(const struct image *im, symbol_fn visit, void *user)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	int stop = 0;

	while (!stop && (section = elf_nextscn(im->elf, section))) {
		Elf_Data *data;
		size_t count;

		if (!gelf_getshdr(section, &header) ||
		    (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) ||
		    !header.sh_entsize || !(data = elf_getdata(section, NULL)))
			continue;
		count = data->d_size / sizeof(Elf64_Sym);
		for (size_t i = 0; i < count && i < MAX_SYMBOLS && !stop; i++) {
			const char *name;
			GElf_Sym s;

			if (gelf_getsym(data, (int)i, &s) && GELF_ST_TYPE(s.st_info) == STT_FUNC &&
			    s.st_shndx != SHN_UNDEF &&
			    (name = elf_strptr(im->elf, header.sh_link, s.st_name)) && *name)
				stop = visit(user, name, &s);
		}
	}
	return stop;
}

struct wanted {
	const char *name;
	uint64_t address;
};

static int is_wanted(void *user, const char *name, const GElf_Sym *symbol)
{
	struct wanted *w = user;

	if (strcmp(name, w->name))
		return 0;
	w->address = symbol->st_value;
	return 1;
}

int elf_symbol(int fd, const char *symbol, uint64_t *ret_offset)
{
	struct wanted w = { .name = symbol };
	struct image im;
	uint64_t offset;
	char code;
	int error = image_open(fd, &im);

	if (error)
		return error;
	error = each_symbol(&im, is_wanted, &w) ? file_offset(&im, w.address, &offset) : -ENOENT;
	if (!error && pread(fd, &code, 1, (off_t)offset) != 1)
		error = -EBADMSG; /* the segment says more than the file has */
	if (!error)
		*ret_offset = offset;
	elf_end(im.elf);
	return error;
}

enum { NEAREST = 3, NAME = 80 };
struct nearest {
	const char *name;
	struct {
		char name[NAME];
		unsigned distance;
	} best[NEAREST];
};

static unsigned edit_distance(const char *a, const char *b)
{
	unsigned row[NAME + 1], la = (unsigned)strnlen(a, NAME), lb = (unsigned)strnlen(b, NAME);

	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned change = diagonal + (a[i - 1] != b[j - 1]), least = change;

			diagonal = row[j];
			if (row[j] + 1 < least)
				least = row[j] + 1;
			if (row[j - 1] + 1 < least)
				least = row[j - 1] + 1;
			row[j] = least;
		}
	}
	return row[lb];
}

static int keep_nearest(void *user, const char *name, const GElf_Sym *symbol)
{
	struct nearest *n = user;
	unsigned d = edit_distance(n->name, name);

	(void)symbol;
	for (int i = 0; i < NEAREST; i++)
		if (!strncmp(n->best[i].name, name, NAME - 1))
			return 0; /* .symtab and .dynsym both name it */
	for (int i = 0; i < NEAREST; i++) {
		if (n->best[i].name[0] && n->best[i].distance <= d)
			continue;
		memmove(&n->best[i + 1], &n->best[i],
			sizeof(n->best[0]) * (size_t)(NEAREST - 1 - i));
		snprintf(n->best[i].name, NAME, "%s", name);
		n->best[i].distance = d;
		break;
	}
	return 0;
}

int elf_nearest(int fd, const char *symbol, char *buffer, size_t size)
{
	struct nearest n = { .name = symbol };
	size_t used = 0;
	struct image im;
	int error = image_open(fd, &im);

	if (error)
		return error;
	each_symbol(&im, keep_nearest, &n);
	elf_end(im.elf);
	if (size)
		buffer[0] = 0;
	for (int i = 0; i < NEAREST && n.best[i].name[0]; i++) {
		int w = snprintf(buffer + used, size - used, "%s%s", i ? ", " : "", n.best[i].name);

		if (w < 0 || (size_t)w >= size - used)
			break;
		used += (size_t)w;
	}
	return 0;
}
