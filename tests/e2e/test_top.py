#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""oncpu top on a terminal (pyte), against an agent of the test's own whose numbers are known."""
import fcntl, json, os, pty, select, signal, socket, struct, subprocess, sys, tempfile, termios, threading, time
import pyte

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
work = tempfile.mkdtemp(prefix="oncpu-top.")
count = bad = 0


def check(what, good, why=""):
    global count, bad
    count += 1
    bad += not good
    print(f"{'ok' if good else 'not ok'} {count} - {what}", flush=True)
    for line in ([] if good else str(why).splitlines()[:40]):
        print(f"# {line}")


def function(name, count, wall, cpu, billed, instances=1, errors=0, cold=1):
    return {"schema": "oncpu.function/1", "function": name, "count": count, "cold_starts": cold, "errors": errors,
            "timeouts": 0, "crashed": 0, "flagged": 0, "wall_ns": wall, "cpu_ns": cpu, "instances_open": instances,
            "in_invocation": 0, "memory_mb": 128, "last_end": None,
            "billed": {"aws-lambda": {"billed_ns": billed}, "on-cpu": {"billed_ns": cpu}}}


class Agent:
    """Answers GET /v1/functions with what `functions` is just then."""

    def __init__(self, name, functions):
        self.path, self.functions, self.asked, self.silent = f"{work}/{name}", functions, [], False
        self.degraded, self.request, self.step = "", threading.Semaphore(0), lambda: None
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(4096)
            self.asked.append(request.split()[1].decode())
            self.step()
            self.request.release()
            if self.silent:
                self.held = connection
                continue
            body = "".join(json.dumps(f) + "\n" for f in self.functions).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + self.degraded.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            connection.close()

    def stop(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        os.unlink(self.path)


class Terminal:
    def __init__(self, *command, columns=110, rows=20, term="linux"):
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw, self.ended, self.status = b"", False, None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            os.read(0, 1)  # until the size is set and the attributes are read
            os.execve(command[0], command, dict(os.environ, TERM=term, LC_ALL="C.UTF-8"))
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.fd)
        os.write(self.fd, b"\n")

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self):
        if not select.select([self.fd], [], [], 20)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return False
        self.raw += data
        self.stream.feed(data)
        return True

    def until(self, what, seconds=30):
        """Draws until what() holds of the screen; the screen's text, or None after so many seconds: it never rests."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.ended and what(self.text()):
                return self.text()
            if not self.read():
                return None
        return None

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def key(self, key):
        os.write(self.fd, key.encode())

    def end(self):
        while self.read():
            pass
        _, status = os.waitpid(self.pid, 0)
        self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def clean(self):
        """The terminal as it was: its attributes, the cursor, the other screen."""
        return (termios.tcgetattr(self.fd)[:4] == self.before[:4] and self.raw.rfind(b"\x1b[?25h") > self.raw.rfind(b"\x1b[?25l"))


def line(text, n):
    """Of a screen that may not be drawn yet, or is being drawn anew."""
    return (text.splitlines() + [""] * (n + 1))[n]


def names(text):
    return [x.split()[0] for x in text.splitlines()[4:-1] if x.strip()]


fleet = [function("alpha", 10, 9_000_000_000, 1_000_000_000, 20_000_000_000, instances=3, errors=4),
         function("beta", 20, 5_000_000_000, 3_000_000_000, 6_000_000_000, cold=9),
         function("gamma", 5, 7_000_000_000, 2_000_000_000, 8_000_000_000),
         function("evil\x1b[2J\x1b]0;x\x07", 0, 0, 0, 0)]
agent = Agent("a.sock", fleet)


def more(times=1):
    """As much again of each, and evil stays."""
    agent.functions = [dict(f, count=f["count"] * (1 + times), wall_ns=f["wall_ns"] * (1 + times), cpu_ns=f["cpu_ns"] * (1 + times),
                            billed={p: {"billed_ns": b["billed_ns"] * (1 + times)} for p, b in f["billed"].items()}) for f in fleet]


def run(*options, **more):
    return subprocess.run(["build/oncpu", "top", "--socket", agent.path, *options], capture_output=True, text=True, **more)


# ---- --once ----
process = subprocess.Popen(["build/oncpu", "top", "--once", "--json", "--interval", "500ms", "--socket", agent.path],
                           stdout=subprocess.PIPE, text=True)
agent.request.acquire()
more()
lines = [json.loads(line) for line in process.communicate()[0].splitlines()]
got = {line["function"]: line for line in lines}
check("--once --json: the differences are exact",
      all((got[f["function"]]["count"], got[f["function"]]["cpu_ns"], got[f["function"]]["wall_ns"], got[f["function"]]["billed_ns"])
          == (f["count"], f["cpu_ns"], f["wall_ns"], f["billed"]["aws-lambda"]["billed_ns"]) for f in fleet), lines)
check("it is sorted by on-CPU time", [line["function"] for line in lines][:3] == ["beta", "gamma", "alpha"], lines)
check("the interval is at least the one asked for", all(line["interval_ns"] >= 500_000_000 for line in lines), lines)
check("both readings count from the same instant", len(agent.asked) == 2 and agent.asked[0] == agent.asked[1]
      and "since=" in agent.asked[0], agent.asked)
out = run("--once", "--interval", "100ms", "--sort", "errors")
check("--once: a table, aligned, with its total", out.returncode == 0 and out.stdout.splitlines()[0].split()[0] == "FUNCTION"
      and out.stdout.splitlines()[1].split()[0] == "alpha" and out.stdout.splitlines()[-1].split()[0] == "total"
      and "\x1b" not in out.stdout, out.stdout + out.stderr)
check("a function's name draws nothing", "evil?[2J" in out.stdout, out.stdout)
out = run("--once", "--json", "--policy", "on-cpu", "--interval", "100ms", "--function", "beta")
check("--policy and --function", [(r["function"], r["policy"]) for r in map(json.loads, out.stdout.splitlines())] == [("beta", "on-cpu")], out)
for options, said in [(["--json"], "--json goes with --once"), (["--interval", "1ms"], "no time from 100ms"),
                      (["--sort", "x"], "is no column"), (["--since", "never"], "is no time"), (["x"], "takes no argument")]:
    out = run(*options)
    check(f"top {' '.join(options)}: {said}", out.returncode == 2 and said in out.stderr, out)
out = run(stdin=subprocess.DEVNULL)
check("without a terminal it says so", out.returncode == 1 and "needs a terminal" in out.stderr and not out.stdout, out)

# ---- live ----
command = ["build/oncpu", "top", "--socket", agent.path, "--interval", "100ms"]
agent.functions = fleet
terminal = Terminal(*command)
text = terminal.until(lambda t: "beta" in t and "q end" in t)
check("it draws the functions", text is not None and names(text)[:1] != [] and "evil?[2J" in text, terminal.text())
agent.step = lambda: more(len(agent.asked))
check("and what they do", terminal.until(lambda t: "0.0 invocations/s" not in t and "invocations/s" in t) is not None, terminal.text())
agent.step = lambda: None
more(0)
for key, order, title in [("n", ["alpha", "beta", "evil?[2J?]0;x?", "gamma"], "FUNCTION▼"), ("i", ["alpha", "beta"], "INSTANCES▼"),
                          ("e", ["alpha", "beta"], "ERRORS▼"), ("s", ["beta", "alpha"], "COLD▼"),
                          ("R", None, "COLD▲"), ("R", ["beta"], "COLD▼"), ("<", ["alpha"], "ERRORS▼"), (">", ["beta"], "COLD▼")]:
    terminal.key(key)
    text = terminal.until(lambda t: title in t and (order is None or names(t)[:len(order)] == order))
    check(f"key {key}: {title}", text is not None, terminal.text())
terminal.key("a")
terminal.key("b")
text = terminal.until(lambda t: "averages since 15m" in t and "BILLED/s▼" in t and names(t)[:3] == ["alpha", "gamma", "beta"])
check("key a: averages; b: the most billed first", text is not None, terminal.text())
check("the ratio of all is exact", "= 5.67×" in (text or ""), terminal.text())
terminal.key("h")
check("key h: the keys", terminal.until(lambda t: "Keys:" in t and "sort by COLD" in t) is not None, terminal.text())
terminal.key("h")
check("and back", terminal.until(lambda t: "Keys:" not in t and "alpha" in t) is not None, terminal.text())
agent.functions = fleet + [function(f"f{i:02}", 1, 1, 1, 1) for i in range(40)]
terminal.key("n")
check("more than fit", terminal.until(lambda t: "44 functions" in t and names(t)[:1] == ["alpha"] and len(names(t)) == 15) is not None, terminal.text())
terminal.resize(80, 10)
# drawn anew from its first line on: what is left of the larger one when the emulator cuts it is not that
check("a smaller terminal", terminal.until(lambda t: "44 functions" in line(t, 0) and "q end" in line(t, 9) and
                                           len(names(t)) == 5) is not None, terminal.text())
terminal.key("\x1b[6~")
check("PgDn", terminal.until(lambda t: names(t)[:1] == ["f02"]) is not None, terminal.text())
terminal.key("\x1b[1~")
check("Home", terminal.until(lambda t: names(t)[:1] == ["alpha"]) is not None, terminal.text())
for columns, rows in [(20, 3), (1, 1), (120, 50)]:
    terminal.resize(columns, rows)
    if rows > 4:
        check("a larger terminal", terminal.until(lambda t: len(names(t)) == 44 and "q end" in line(t, rows - 1)) is not None, terminal.text())
agent.degraded = "Oncpu-Degraded: the disk is full\r\n"
check("the agent's own warning is shown", terminal.until(lambda t: "the disk is full" in line(t, 2)) is not None, terminal.text())
agent.degraded = ""
terminal.key("q")
check("q ends it, with 0", terminal.end() == 0, terminal.text())
check("the terminal is as it was", terminal.clean())

for number, code in [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]:
    terminal = Terminal(*command)
    terminal.until(lambda t: "alpha" in t)
    os.kill(terminal.pid, number)
    check(f"{number.name} ends it with {code}, clean", terminal.end() == code and terminal.clean(), (terminal.status, terminal.text()))
terminal = Terminal(*command)
terminal.until(lambda t: "alpha" in t)
terminal.key("\x03")
check("^C", terminal.end() == 0 and terminal.clean(), (terminal.status, terminal.text()))
terminal = Terminal(*command)
terminal.until(lambda t: "alpha" in t)
agent.silent = True
while agent.request.acquire(blocking=False):
    pass
agent.request.acquire()
os.kill(terminal.pid, signal.SIGTERM)
check("an agent that does not answer keeps nobody from ending it", terminal.end() == 143 and terminal.clean(), (terminal.status, terminal.text()))
agent.held.close()
agent.silent = False
terminal = Terminal(*command)
terminal.until(lambda t: "alpha" in t)
agent.stop()
check("the agent goes: it ends with 1 and one line that says so", terminal.end() == 1 and terminal.clean()
      and b"no agent answers at" in terminal.raw[terminal.raw.rfind(b"\x1b[?25h"):], terminal.raw[-300:])
out = subprocess.run(command + ["--once"], capture_output=True, text=True)
check("no agent at all", out.returncode == 1 and "no agent answers" in out.stderr, out)
agent = Agent("b.sock", fleet)
terminal = Terminal("build/oncpu", "top", "--socket", agent.path, term="no-such-terminal")
check("a terminal that nobody knows", terminal.end() == 1 and b"cannot be drawn on" in terminal.raw, terminal.raw)
subprocess.run(["rm", "-rf", work])
sys.exit(bad != 0)
