#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Each fuzzer for 20 seconds from its corpus (`make fuzz SECONDS=3600` for longer).
exec "$(dirname "$0")/run.sh" "${FUZZ_SECONDS:-20}"
