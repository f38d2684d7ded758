/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu agent */
#include <getopt.h>
#include <stdlib.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "daemon/agent.h"
#include "kern/kern.h"

static int command_agent(int argc, char **argv)
{
	struct agent_options o = { .ready_fd = -1 };
	uint32_t without;
	int64_t fd;
	int c;

	while ((c = command_next(&agent_command, argc, argv)) != -1) {
		switch (c) {
		case 's':
			o.state_dir = optarg;
			break;
		case 'S':
			o.socket = optarg;
			break;
		case 'g':
			o.socket_group = optarg;
			break;
		case 'L':
			o.listen = optarg;
			break;
		case 't':
			o.token_file = optarg;
			break;
		case 'c':
			o.config = optarg;
			break;
		case 'p':
			o.pin_dir = optarg;
			break;
		case 'u':
			o.user = optarg;
			break;
		case 'l':
			o.log_level = optarg;
			break;
		case 'i':
			o.irq = true;
			break;
		case 'w':
			if (kern_parse_without(optarg, &without))
				return command_fail("--%s", kern_error()), 2;
			o.without = optarg;
			break;
		case 'U':
			o.unpin = true;
			break;
		case 'r':
			if (parse_int64(optarg, 0, 1 << 20, &fd))
				return command_fail("--ready-fd %s is no number of a descriptor",
						    optarg),
				       2;
			o.ready_fd = (int)fd;
			break;
		default:
			return command_misused("agent", argc, argv);
		}
	}
	if (optind < argc)
		return command_fail("agent takes no argument (%s)", argv[optind]), 2;
	return agent_run(&o);
}

static const struct command_option options[] = {
	OPTION_STATE_DIR,
	OPTION_SOCKET,
	{ "socket-group", 'g', "NAME",
	  "who may use the socket besides root (the user's own group)" },
	{ "listen", 'L', "ADDRESS:PORT", "serve the API on TCP, too (no)" },
	{ "token-file", 't', "FILE",
	  "what TCP clients must show: Authorization: Bearer TOKEN (none)" },
	{ "config", 'c', "FILE", "oncpu.conf(5) (/etc/oncpu/oncpu.conf, if it is there)" },
	OPTION_PIN_DIR,
	{ "user", 'u', "NAME",
	  "whom the parsing and serving half runs as (oncpu, or an id that is nobody's)" },
	{ "log-level", 'l', "error|warning|info|debug", "how much it says on stderr (info)" },
	{ "irq", 'i', NULL, "measure what interrupts take out of on-CPU time" },
	{ "without", 'w', "LIST",
	  "go without these as if the host had them not, by comma: steal, direct-reads, clock, "
	  "books, uprobes, stop, hello, cgroups, iterator (none)" },
	{ "unpin", 'U', NULL, "end the measuring with the agent, at a clean stop" },
	{ "ready-fd", 'r', "N", NULL },
	OPTIONS_END,
};
const struct command agent_command = {
	.name = "agent",
	.summary = "measure: load the kernel side, correlate, store and serve",
	.options = options,
	.description = "Runs until SIGTERM or SIGINT. What it measures goes on while it is "
		       "stopped, and is in "
		       "the ledger after the next start; --unpin ends the measuring with the "
		       "agent. What the "
		       "command line says goes before what the configuration says.\n\n"
		       "--listen 127.0.0.1:9464 answers whoever is on this host. Any other address "
		       "wants --token-file: its first line, of at least 16 bytes, is what clients "
		       "show.",
	.section = 8,
	.run = command_agent,
};
