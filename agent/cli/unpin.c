/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu unpin */
#include <getopt.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "daemon/agent.h"

static int command_unpin(int argc, char **argv)
{
	struct agent_options o = { .ready_fd = -1 };
	int c;

	while ((c = command_next(&unpin_command, argc, argv)) != -1) {
		switch (c) {
		case 's':
			o.state_dir = optarg;
			break;
		case 'c':
			o.config = optarg;
			break;
		case 'p':
			o.pin_dir = optarg;
			break;
		default:
			return command_misused("unpin", argc, argv);
		}
	}
	if (optind < argc)
		return command_fail("unpin takes no argument (%s)", argv[optind]), 2;
	return agent_unpin(&o);
}

static const struct command_option options[] = {
	OPTION_STATE_DIR,
	{ "config", 'c', "FILE", "the agent's, oncpu.conf(5) (/etc/oncpu/oncpu.conf)" },
	OPTION_PIN_DIR,
	OPTIONS_END,
};
const struct command unpin_command = {
	.name = "unpin",
	.summary = "end what an agent left measuring: remove its maps and hooks from the kernel",
	.options = options,
	.description = "For pins of another version, or of an agent that does not come back. What "
		       "the ledger "
		       "has not stored yet is given up: starting and stopping the agent with "
		       "--unpin stores it "
		       "first. Refuses while an agent runs. Needs root.",
	.section = 8,
	.run = command_unpin,
};
