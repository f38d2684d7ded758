#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh: timeout 400
# The built-in page in Debian's Chromium: its numbers are the API's, it works without a mouse, in both colours
# and at both widths, with 100,000 invocations, with a hostile function, without the agent, and with a token.
. "$(dirname "$0")/lib.sh"
for need in chromium node build/browser/installed; do
	command -v "$need" >/dev/null || [ -e "$need" ] ||
		{ echo "ok 1 - the page in a browser # SKIP needs $need (make test-deps)"; exit 0; }
done
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

agent_up --listen "127.0.0.1:$port"
node tests/browser/page.mjs "http://127.0.0.1:$port" "$B/functions" || bad=1
# one that sleeps on its own wish, frozen, with its caller waiting
mkfifo "$work/listens"
exec 8<>"$work/listens"
(cd tests/lambda && exec "$B/oncpu" run --quiet --function sleeper --user nobody --listen 127.0.0.1:0 --ready-fd 8 \
	--state-dir "$work/state" --socket "$work/s.sock" -- /usr/bin/python3 bare.py) >>"$work/agent.log" 2>&1 &
slicer=$!
IFS= read -r -t 60 -u 8 front
"$B/oncpu" invoke sleeper --endpoint "127.0.0.1:$front" --data '{"do":"until","ms":200}' >/dev/null || bad=1
kill "$slicer"
wait "$slicer"
node tests/browser/frozen.mjs "http://127.0.0.1:$port" sleeper || bad=1
agent_down
token=$(head -c 24 /dev/urandom | base64 | tr -d /+=)
(umask 077 && echo "$token" >"$work/token")
agent_up --listen "127.0.0.1:$port" --token-file "$work/token"
node tests/browser/token.mjs "http://127.0.0.1:$port" "$token" || bad=1
agent_down
