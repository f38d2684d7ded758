/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu unpin */
#include <getopt.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "daemon/agent.h"

int command_unpin(int argc, char **argv)
{
	static const struct option options[] = {
		{ "state-dir", required_argument, NULL, 's' },
		{ "config", required_argument, NULL, 'c' },
		{ "pin-dir", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	struct agent_options o = { .ready_fd = -1 };
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
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
