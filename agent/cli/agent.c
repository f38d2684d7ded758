/* SPDX-License-Identifier: GPL-2.0 */
/* oncpu agent */
#include <getopt.h>
#include <stdlib.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "daemon/agent.h"

int command_agent(int argc, char **argv)
{
	static const struct option options[] = {
		{ "state-dir", required_argument, NULL, 's' },
		{ "socket", required_argument, NULL, 'S' },
		{ "config", required_argument, NULL, 'c' },
		{ "pin-dir", required_argument, NULL, 'p' },
		{ "user", required_argument, NULL, 'u' },
		{ "log-level", required_argument, NULL, 'l' },
		{ "unpin", no_argument, NULL, 'U' },
		{ "ready-fd", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	struct agent_options o = { .ready_fd = -1 };
	int64_t fd;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o.state_dir = optarg;
			break;
		case 'S':
			o.socket = optarg;
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
