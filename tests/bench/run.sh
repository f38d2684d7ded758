#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# make bench: what measuring costs and how exact it is, as tables, and as JSON lines in build/bench.json.
# Ratios within one run are what counts; absolute times depend on the machine. ROUNDS=7 by default.
set -eu
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "make bench loads eBPF programs: run it with sudo"; exit 1; }
echo "$(uname -sr), $(nproc) CPUs, $(date -u +%F)"
build/bench/cost "${ROUNDS:-7}" --json build/bench.json
echo
echo "Exactness, 10,000 invocations a mode"
build/bpf/exactness 10000
