/* SPDX-License-Identifier: GPL-2.0 */
/* See completion.h. zsh takes bash's through its bashcompinit. */
#include <errno.h>
#include <string.h>

#include "cli/command.h"
#include "cli/completion.h"

/* What may stand behind an option, by its argument's name. */
static void write_argument(const struct command_option *o, FILE *to)
{
	const char *words = strchr(o->argument, '|');

	if (!strcmp(o->argument, "DIR"))
		fputs("_oncpu_paths -d", to);
	else if (!strcmp(o->argument, "FILE") || !strcmp(o->argument, "PATH"))
		fputs("_oncpu_paths -f", to);
	else if (!strcmp(o->name, "function"))
		fputs("_oncpu_functions", to);
	else if (words) {
		fputs("_oncpu_words '", to);
		for (const char *c = o->argument; *c; c++)
			fputc(*c == '|' ? ' ' : *c, to);
		fputc('\'', to);
	} else {
		fputc(':', to);
	}
}

static void write_arguments(const struct command *c, FILE *to)
{
	fprintf(to, "\t%s)\n\t\tcase $previous in\n", c->name);
	for (const struct command_option *o = c->options; o->name; o++) {
		if (!o->argument || !o->help)
			continue;
		fprintf(to, "\t\t--%s) ", o->name);
		write_argument(o, to);
		fputs("; return ;;\n", to);
	}
	fputs("\t\tesac\n\t\toptions='", to);
	for (const struct command_option *o = c->options; o->name; o++)
		if (o->help)
			fprintf(to, " --%s", o->name);
	fputs("'\n", to);
	if (c->synopsis && !strncmp(c->synopsis, "NAME", 4))
		fputs("\t\t[ \"$COMP_CWORD\" -ne 2 ] || named=1\n", to);
	fputs("\t\t;;\n", to);
}

static void write_bash(FILE *to)
{
	fputs("# bash completion of oncpu; written by oncpu help --completion bash\n"
	      "_oncpu_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$word\"); }\n"
	      "_oncpu_paths() {\n"
	      "\tcompopt -o filenames 2>/dev/null\n"
	      "\tmapfile -t COMPREPLY < <(compgen \"$1\" -- \"$word\")\n"
	      "}\n"
	      "# names come from functions: they are words, and nothing in them is expanded\n"
	      "_oncpu_functions() {\n"
	      "\tlocal name\n"
	      "\twhile IFS= read -r name; do\n"
	      "\t\t[[ $name == \"$word\"* ]] && COMPREPLY+=(\"$(printf %q \"$name\")\")\n"
	      "\tdone < <(oncpu functions --names 2>/dev/null)\n"
	      "}\n"
	      "_oncpu() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal options='' named='' i\n"
	      "\tCOMPREPLY=()\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	      "\t\t_oncpu_words '",
	      to);
	for (size_t i = 0; commands[i]; i++)
		fprintf(to, "%s ", commands[i]->name);
	fputs("help --version'\n\t\treturn\n\tfi\n"
	      "\t# what follows -- is another program's\n"
	      "\tfor ((i = 2; i < COMP_CWORD; i++)); do\n"
	      "\t\t[ \"${COMP_WORDS[i]}\" != -- ] || { _oncpu_paths -f; return; }\n"
	      "\tdone\n"
	      "\tcase ${COMP_WORDS[1]} in\n"
	      "\thelp)\n\t\t[ \"$COMP_CWORD\" -eq 2 ] && _oncpu_words '",
	      to);
	for (size_t i = 0; commands[i]; i++)
		fprintf(to, "%s%s", i ? " " : "", commands[i]->name);
	fputs("'\n\t\treturn\n\t\t;;\n", to);
	for (size_t i = 0; commands[i]; i++)
		write_arguments(commands[i], to);
	fputs("\t*) return ;;\n\tesac\n"
	      "\tif [ -n \"$named\" ] && [[ $word != -* ]]; then _oncpu_functions; return; fi\n"
	      "\t_oncpu_words \"$options\"\n"
	      "}\n"
	      "complete -F _oncpu oncpu\n",
	      to);
}

static void write_zsh(FILE *to)
{
	fputs("#compdef oncpu\n# zsh completion of oncpu; written by oncpu help --completion zsh\n"
	      "_oncpu() {\n\tlocal -a entries\n\tif (( CURRENT == 2 )); then\n\t\tentries=(\n",
	      to);
	for (size_t i = 0; commands[i]; i++) {
		fprintf(to, "\t\t\t'%s:", commands[i]->name);
		for (const char *c = commands[i]->summary; *c; c++)
			fputs(*c == '\'' ? "'\\''" : *c == ':' ? "\\:" : (char[]){ *c, 0 }, to);
		fputs("'\n", to);
	}
	fputs("\t\t)\n\t\t_describe command entries\n\t\treturn\n\tfi\n\tcase $words[2] in\n", to);
	for (size_t i = 0; commands[i]; i++) {
		fprintf(to, "\t%s) entries=(", commands[i]->name);
		for (const struct command_option *o = commands[i]->options; o->name; o++)
			if (o->help)
				fprintf(to, " --%s", o->name);
		fputs(" ) ;;\n", to);
	}
	fputs("\tesac\n\tif [[ $words[CURRENT] == -* ]]; then compadd -a entries; else _files; fi\n"
	      "}\n_oncpu \"$@\"\n",
	      to);
}

int completion_write(const char *shell, FILE *to)
{
	if (!strcmp(shell, "bash"))
		return write_bash(to), 0;
	if (!strcmp(shell, "zsh"))
		return write_zsh(to), 0;
	return -ENOENT;
}
