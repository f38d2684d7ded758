#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh: timeout 400
# The torture in short; `make torture` is 200 kills and more.
cd "$(dirname "$0")/../.." && exec tests/e2e/torture.py "${TORTURE_KILLS:-24}"
