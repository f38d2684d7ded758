// SPDX-License-Identifier: GPL-2.0
/*
 * Marks and symbols of ELF files, whole and hostile. A file is the function's own: whatever stands
 * in it, nothing is read outside it (the sanitizers watch) and no site is reported that holds no
 * nop.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kern/kern.h"
#include "oncpu/runtime.h"

static const unsigned char nop5[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 };

/* ---- a small file with one mark and three symbols, of which each field can be set ---- */

enum { TEXT = 0x1000, ADDRESS = 0x401000, SITE = 0x20, NAMES = 6 };
enum { S_NULL, S_NOTE, S_BASE, S_SYMBOLS, S_STRINGS, S_NAMES, SECTIONS };

struct note {
	Elf64_Nhdr header;
	char name[8];
	uint64_t pc, base, semaphore;
	char text[40]; /* provider, probe, arguments */
} __attribute__((packed));

struct file {
	Elf64_Ehdr header;
	Elf64_Phdr segment[2];
	Elf64_Shdr section[SECTIONS];
	struct note note;
	Elf64_Sym symbol[4];
	char strings[64], names[64];
	char padding[TEXT];
};

static const char strings[] = "\0receive_start\0receive_invoke\0report_done";
static const char names[] = "\0.note.stapsdt\0.stapsdt.base\0.symtab\0.strtab\0.shstrtab";

static void set_section(struct file *f, int i, uint32_t name, uint32_t type, const void *at,
			size_t size)
{
	f->section[i].sh_name = name;
	f->section[i].sh_type = type;
	f->section[i].sh_offset = (uint64_t)((const char *)at - (const char *)f);
	f->section[i].sh_size = size;
	f->section[i].sh_addralign = 4;
}

static void set_symbol(struct file *f, int i, uint32_t name, uint64_t value)
{
	f->symbol[i] = (Elf64_Sym){ .st_name = name,
				    .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
				    .st_shndx = 1,
				    .st_value = value };
}

static size_t file_size(void)
{
	return TEXT + 0x100;
}

/* The text is at TEXT: what stands before it is the struct, cut off there. */
static unsigned char *make(void)
{
	unsigned char *bytes = calloc(1, sizeof(struct file) + file_size());
	struct file *f = (struct file *)bytes;

	assert_non_null(bytes);
	assert_true(offsetof(struct file, padding) < TEXT);
	memcpy(f->header.e_ident, ELFMAG, SELFMAG);
	f->header.e_ident[EI_CLASS] = ELFCLASS64;
	f->header.e_ident[EI_DATA] = ELFDATA2LSB;
	f->header.e_ident[EI_VERSION] = f->header.e_version = EV_CURRENT;
	f->header.e_type = ET_EXEC;
	f->header.e_machine = EM_X86_64;
	f->header.e_ehsize = sizeof(f->header);
	f->header.e_phoff = offsetof(struct file, segment);
	f->header.e_phentsize = sizeof(Elf64_Phdr);
	f->header.e_phnum = 2;
	f->header.e_shoff = offsetof(struct file, section);
	f->header.e_shentsize = sizeof(Elf64_Shdr);
	f->header.e_shnum = SECTIONS;
	f->header.e_shstrndx = S_NAMES;
	f->segment[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				      .p_flags = PF_R | PF_X,
				      .p_offset = TEXT,
				      .p_vaddr = ADDRESS,
				      .p_filesz = 0x100,
				      .p_memsz = 0x100 };
	f->segment[1] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_flags = PF_R, .p_vaddr = 0x400000, .p_filesz = TEXT
	};
	set_section(f, S_NOTE, 1, SHT_NOTE, &f->note, sizeof(f->note));
	set_section(f, S_BASE, 15, SHT_PROGBITS, f, 1);
	f->section[S_BASE].sh_addr = 0x400500;
	set_section(f, S_SYMBOLS, 29, SHT_SYMTAB, f->symbol, sizeof(f->symbol));
	f->section[S_SYMBOLS].sh_entsize = sizeof(Elf64_Sym);
	f->section[S_SYMBOLS].sh_link = S_STRINGS;
	set_section(f, S_STRINGS, 37, SHT_STRTAB, f->strings, sizeof(strings));
	set_section(f, S_NAMES, 45, SHT_STRTAB, f->names, sizeof(names));
	f->note.header =
		(Elf64_Nhdr){ .n_namesz = 8, .n_descsz = 24 + sizeof(f->note.text), .n_type = 3 };
	memcpy(f->note.name, "stapsdt", 8);
	f->note.pc = ADDRESS + SITE;
	f->note.base = 0x400500;
	memcpy(f->note.text, "oncpu\0receive_start\0", 21);
	set_symbol(f, 1, 1, ADDRESS + 0x40);
	set_symbol(f, 2, 15, ADDRESS + 0x60);
	set_symbol(f, 3, 30, ADDRESS + 0x80);
	memcpy(f->strings, strings, sizeof(strings));
	memcpy(f->names, names, sizeof(names));
	memcpy(bytes + TEXT + SITE, nop5, sizeof(nop5));
	return bytes;
}

static int file_of(const void *bytes, size_t size)
{
	int fd = memfd_create("elf", 0);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	return fd;
}

struct seen {
	int fd, count;
	uint64_t offset;
	char probe[32];
};

/* What every report must keep: there is a nop, in the file. */
static int on_site(void *user, const char *probe, uint64_t offset)
{
	struct seen *seen = user;
	unsigned char bytes[5];

	assert_int_equal(pread(seen->fd, bytes, 5, (off_t)offset), 5);
	assert_memory_equal(bytes, nop5, 5);
	snprintf(seen->probe, sizeof(seen->probe), "%s", probe);
	seen->offset = offset;
	seen->count++;
	return 0;
}

/* Everything there is to ask of a file; whatever the answers, it comes back. */
static int ask_all(int fd, struct seen *seen)
{
	char near[64];
	uint64_t offset;
	int marks;

	*seen = (struct seen){ .fd = fd };
	marks = elf_marks(fd, on_site, seen);
	elf_symbol(fd, "report_done", &offset);
	memset(near, 'x', sizeof(near));
	if (elf_nearest(fd, "report_dome", near, sizeof(near)) == 0)
		assert_non_null(memchr(near, 0, sizeof(near)));
	return marks;
}

static int ask_file(const unsigned char *bytes, size_t size, struct seen *seen)
{
	int fd = file_of(bytes, size), marks = ask_all(fd, seen);

	close(fd);
	return marks;
}

static void test_elf_whole(void **state)
{
	unsigned char *bytes = make();
	int fd = file_of(bytes, file_size());
	struct seen seen = { .fd = fd };
	char near[64], small[12];
	uint64_t offset = 0;

	(void)state;
	assert_int_equal(elf_marks(fd, on_site, &seen), 1);
	assert_int_equal(seen.offset, TEXT + SITE);
	assert_string_equal(seen.probe, "receive_start");
	assert_int_equal(elf_symbol(fd, "receive_invoke", &offset), 0);
	assert_int_equal(offset, TEXT + 0x60);
	assert_int_equal(elf_symbol(fd, "recieve_invoke", &offset), -ENOENT);
	assert_int_equal(elf_nearest(fd, "recieve_invoke", near, sizeof(near)), 0);
	assert_string_equal(near, "receive_invoke, receive_start, report_done");
	/* a name that does not fit is left out, not cut */
	assert_int_equal(elf_nearest(fd, "report_done", small, sizeof(small)), 0);
	assert_string_equal(small, "report_done");
	assert_int_equal(elf_nearest(fd, "report_done", NULL, 0), 0);
	close(fd);
	free(bytes);
}

/* The image was moved after it was linked: the base section says how far. */
static void test_elf_prelinked(void **state)
{
	unsigned char *bytes = make();
	struct file *f = (struct file *)bytes;
	struct seen seen;

	(void)state;
	f->note.pc -= 0x1000;
	f->note.base -= 0x1000;
	assert_int_equal(ask_file(bytes, file_size(), &seen), 1);
	assert_int_equal(seen.offset, TEXT + SITE);
	free(bytes);
}

/* ---- what is no mark, and what is no file of ours ---- */

struct change {
	const char *what;
	size_t at, size;
	uint64_t value;
	int marks;
};
#define AT(member, value, marks)                                                                   \
	{                                                                                          \
#member " = " #value, offsetof(struct file, member),                               \
			sizeof(((struct file *)0)->member), value, marks                           \
	}

static void test_elf_hostile_fields(void **state)
{
	static const struct change changes[] = {
		AT(header.e_ident[EI_MAG0], 0, -ENOEXEC),
		AT(header.e_ident[EI_CLASS], ELFCLASS32, -EBADMSG),
		AT(header.e_machine, EM_AARCH64, -EBADMSG),
		AT(header.e_phoff, UINT64_MAX - 8, 0),
		AT(header.e_phnum, PN_XNUM, 0),
		AT(header.e_phnum, 600, 0),
		AT(header.e_phentsize, 1, 1), /* libelf knows how long they are */
		AT(header.e_shoff, UINT64_MAX - 8, 0),
		AT(header.e_shoff, 1, 0),
		AT(header.e_shnum, 0xfeff, 0),
		AT(header.e_shstrndx, 0xfff1, 0),
		AT(header.e_shstrndx, S_NOTE, 0),
		AT(segment[0].p_flags, PF_R, 0), /* not executable */
		AT(segment[0].p_type, PT_NOTE, 0),
		AT(segment[0].p_offset, INT64_MAX, 0),
		AT(segment[0].p_offset, UINT64_MAX - 3, 0),
		AT(segment[0].p_offset, TEXT + 0xf0, 0), /* beyond the end */
		AT(segment[0].p_filesz, UINT64_MAX, 0),
		AT(segment[0].p_filesz, SITE, 0), /* the site is just behind */
		AT(segment[0].p_vaddr, ADDRESS + SITE + 1, 0),
		AT(section[S_NOTE].sh_size, UINT64_MAX, 0),
		AT(section[S_NOTE].sh_size, 1 << 20, 0),
		AT(section[S_NOTE].sh_size, 12, 0),
		AT(section[S_NOTE].sh_offset, UINT64_MAX - 4, 0),
		AT(section[S_NOTE].sh_type, SHT_NOBITS, 0),
		AT(section[S_NOTE].sh_name, UINT32_MAX, 0),
		AT(section[S_NOTE].sh_name, 2, 0),
		AT(section[S_SYMBOLS].sh_link, UINT32_MAX, 1),
		AT(section[S_SYMBOLS].sh_link, S_SYMBOLS, 1),
		AT(section[S_SYMBOLS].sh_entsize, 0, 1),
		AT(section[S_SYMBOLS].sh_entsize, UINT64_MAX, 1),
		AT(section[S_SYMBOLS].sh_size, UINT64_MAX, 1),
		AT(section[S_SYMBOLS].sh_offset, UINT64_MAX - 100, 1),
		AT(section[S_STRINGS].sh_size, 3, 1),
		AT(section[S_STRINGS].sh_size, UINT64_MAX, 1),
		AT(symbol[1].st_name, UINT32_MAX, 1),
		AT(note.header.n_namesz, UINT32_MAX, 0),
		AT(note.header.n_namesz, 0, 0),
		AT(note.header.n_descsz, UINT32_MAX, 0),
		AT(note.header.n_descsz, 31, 0),
		AT(note.header.n_type, 4, 0),
		AT(note.name[0], 'S', 0),
		AT(note.pc, 0, 0),
		AT(note.pc, UINT64_MAX, 0),
		AT(note.pc, ADDRESS + SITE + 1, 0), /* no nop there */
		AT(note.pc, ADDRESS + 0xfe, 0),	    /* the end of the file is nearer than 5 bytes */
		AT(note.base, 1, 0),		    /* moved out of the image */
		AT(note.text[0], 'O', 0),	    /* somebody else's */
		AT(note.text[5], 'x', 0),
		AT(note.text[6], 0, 0), /* no name */
		AT(note.semaphore, UINT64_MAX, 1),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];
		unsigned char *bytes = make();
		struct seen seen;
		int marks;

		memcpy(bytes + c->at, &c->value, c->size);
		marks = ask_file(bytes, file_size(), &seen);
		if (marks != c->marks && (c->marks || marks > 0)) /* 0: none, or refused */
			fail_msg("%s: %d marks, not %d", c->what, marks, c->marks);
		free(bytes);
	}
}

/* The provider's name, and the probe's, go on to the very end of the note. */
static void test_elf_names_without_end(void **state)
{
	unsigned char *bytes = make();
	struct file *f = (struct file *)bytes;
	struct seen seen;

	(void)state;
	memset(f->note.text + 6, 'x', sizeof(f->note.text) - 6);
	assert_int_equal(ask_file(bytes, file_size(), &seen), 0);
	memset(f->note.text, 'x', sizeof(f->note.text));
	assert_int_equal(ask_file(bytes, file_size(), &seen), 0);
	/* no room for the addresses even, at the end of the section */
	f->note.header.n_descsz = 4;
	f->section[S_NOTE].sh_size = 12 + 8 + 4;
	assert_int_equal(ask_file(bytes, file_size(), &seen), 0);
	free(bytes);
}

/* More notes than any program has are refused, not walked for ever. */
static void test_elf_too_many_notes(void **state)
{
	size_t count = 5000, size = file_size() + count * sizeof(struct note);
	unsigned char *bytes = realloc(make(), size);
	struct file *f = (struct file *)bytes;
	struct seen seen;

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < count; i++)
		memcpy(bytes + file_size() + i * sizeof(f->note), &f->note, sizeof(f->note));
	f->section[S_NOTE].sh_offset = file_size();
	f->section[S_NOTE].sh_size = count * sizeof(f->note);
	assert_int_equal(ask_file(bytes, size, &seen), -EBADMSG);
	f->section[S_NOTE].sh_size = 100 * sizeof(f->note);
	assert_int_equal(ask_file(bytes, size, &seen), 100);
	free(bytes);
}

static int stop_at_once(void *user, const char *probe, uint64_t offset)
{
	(void)user, (void)probe, (void)offset;
	return -E2BIG;
}

static void test_elf_visitor_stops(void **state)
{
	unsigned char *bytes = make();
	int fd = file_of(bytes, file_size());

	(void)state;
	assert_int_equal(elf_marks(fd, stop_at_once, NULL), -E2BIG);
	close(fd);
	free(bytes);
}

static void test_elf_no_elf(void **state)
{
	static const char *const texts[] = { "", "\x7f",
					     "\x7f"
					     "ELF",
					     "#!/bin/sh\n", "!<arch>\n" };
	struct seen seen;
	uint64_t offset;
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_true(ask_file((const unsigned char *)texts[i], strlen(texts[i]), &seen) < 0);
	fd = open("/tmp", O_RDONLY | O_DIRECTORY);
	assert_true(elf_marks(fd, on_site, &seen) < 0);
	assert_true(elf_symbol(fd, "main", &offset) < 0);
	close(fd);
	assert_true(elf_marks(-1, on_site, &seen) < 0);
}

/* ---- cut and flipped ---- */

static void test_elf_cut_anywhere(void **state)
{
	unsigned char *bytes = make();
	int fd = file_of(bytes, file_size()), whole = 0;
	struct seen seen;

	(void)state;
	for (size_t size = file_size(); size-- > 0;) {
		assert_int_equal(ftruncate(fd, (off_t)size), 0);
		whole += ask_all(fd, &seen) > 0;
	}
	/* as long as the nop itself is there */
	assert_int_equal(whole, 0x100 - SITE - 5);
	close(fd);
	free(bytes);
}

static void test_elf_each_byte_flipped(void **state)
{
	static const unsigned char masks[] = { 0x01, 0x80, 0xff };
	unsigned char *bytes = make();
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < offsetof(struct file, padding); i++) {
		for (size_t m = 0; m < sizeof(masks); m++) {
			bytes[i] ^= masks[m];
			ask_file(bytes, file_size(), &seen);
			bytes[i] ^= masks[m];
		}
	}
	assert_int_equal(ask_file(bytes, file_size(), &seen), 1);
	free(bytes);
}

/* This program: a real linker's work, with marks of the header's. */
static void marked(void)
{
	oncpu_receive_start("elf", "1");
	oncpu_report_done(0);
}

static int copy_of_self(size_t *ret_size)
{
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to = memfd_create("self", 0);
	struct stat st;
	void *bytes;

	assert_true(from >= 0 && to >= 0);
	assert_int_equal(fstat(from, &st), 0);
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, from, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	assert_int_equal(write(to, bytes, (size_t)st.st_size), st.st_size);
	munmap(bytes, (size_t)st.st_size);
	close(from);
	*ret_size = (size_t)st.st_size;
	return to;
}

static void test_elf_real_file(void **state)
{
	struct seen seen;
	char near[128];
	uint64_t offset;
	size_t size;
	int fd = copy_of_self(&size);

	(void)state;
	assert_true(ask_all(fd, &seen) >= 2);
	assert_int_equal(elf_symbol(fd, "main", &offset), 0);
	assert_true(offset < size);
	assert_int_equal(elf_nearest(fd, "test_elf_reel_file", near, sizeof(near)), 0);
	assert_memory_equal(near, "test_elf_real_file", 18);
	close(fd);
}

static void test_elf_real_file_cut(void **state)
{
	struct seen seen;
	size_t size;
	int fd = copy_of_self(&size);
	size_t step = size / 400;

	(void)state;
	for (; size > step; size -= step) {
		assert_int_equal(ftruncate(fd, (off_t)(size - step)), 0);
		ask_all(fd, &seen);
	}
	close(fd);
}

static void test_elf_real_file_flipped(void **state)
{
	uint64_t random = (uint64_t)getpid() * 0x9e3779b97f4a7c15u, tables[2];
	struct seen seen;
	Elf64_Ehdr header;
	size_t size;
	int fd = copy_of_self(&size);

	(void)state;
	print_message("seed %llu\n", (unsigned long long)random);
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	tables[0] = header.e_shoff; /* the section headers, and the file's beginning */
	tables[1] = 0;
	for (int i = 0; i < 1500; i++) {
		unsigned char was, now;
		off_t at;

		random ^= random << 13, random ^= random >> 7, random ^= random << 17;
		at = (off_t)(i % 3 == 2 ? random % size
					: tables[i % 3] + random % (header.e_shnum * 64ul));
		if (at >= (off_t)size || pread(fd, &was, 1, at) != 1)
			continue;
		now = was ^ (unsigned char)(random >> 40 | 1);
		assert_int_equal(pwrite(fd, &now, 1, at), 1);
		ask_all(fd, &seen);
		assert_int_equal(pwrite(fd, &was, 1, at), 1);
	}
	assert_true(ask_all(fd, &seen) >= 2);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf_whole),
		cmocka_unit_test(test_elf_prelinked),
		cmocka_unit_test(test_elf_hostile_fields),
		cmocka_unit_test(test_elf_names_without_end),
		cmocka_unit_test(test_elf_too_many_notes),
		cmocka_unit_test(test_elf_visitor_stops),
		cmocka_unit_test(test_elf_no_elf),
		cmocka_unit_test(test_elf_cut_anywhere),
		cmocka_unit_test(test_elf_each_byte_flipped),
		cmocka_unit_test(test_elf_real_file),
		cmocka_unit_test(test_elf_real_file_cut),
		cmocka_unit_test(test_elf_real_file_flipped),
	};

	if (getppid() == 0) /* never: the marks must be in the file, not made */
		marked();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
