#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The manual's pages as mandoc, groff and man see them, and completion by a real bash on a pty."""
import os, pty, re, select, subprocess, sys, tempfile

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
count = bad = 0


def check(what, good, why=""):
    global count, bad
    count += 1
    bad += not good
    print(f"{'ok' if good else 'not ok'} {count} - {what}")
    for line in ([] if good else str(why).splitlines()[:20]):
        print(f"# {line}")


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, **more)


pages = sorted(os.listdir("build/man"))
said = run("build/oncpu", "help", "--man").stdout.split()
check("every page is built", pages == sorted(said) and len(pages) >= 13, pages)
commands = [line.split()[0] for line in run("build/oncpu", "help").stdout.splitlines() if line.startswith("  ")]
check("each command has a page", all(any(re.fullmatch(rf"oncpu-{c}\.[18]", p) for p in pages) for c in commands), pages)

found = [run("mandoc", "-T", "lint", "-W", "warning", f"build/man/{p}") for p in pages]
check("mandoc finds nothing to warn of", not any(f.stdout or f.returncode for f in found), "".join(f.stdout for f in found))
found = [run("groff", "-ww", "-man", "-z", "-Tutf8", f"build/man/{p}") for p in pages]
check("nor does groff -ww", not any(f.stderr or f.returncode for f in found), "".join(f.stderr for f in found))
utf8 = dict(os.environ, LC_ALL="C.UTF-8", MANWIDTH="100")
shown = {p: run("man", "--warnings", "-l", f"build/man/{p}", env=utf8) for p in pages}
check("nor man --warnings", not any(s.stderr or s.returncode for s in shown.values()), "".join(s.stderr for s in shown.values()))
text = re.sub(r"\s+", " ", shown["oncpu-run.8"].stdout)
help_text = re.sub(r"\s+", " ", run("build/oncpu", "help", "run").stdout)
check("the page says what the help says",
      "wall time limit of an invocation (3s)" in text and "wall time limit of an invocation (3s)" in help_text
      and "--retire-after-soft-limit yes|no" in text, text[:500])
check("an unknown page is refused", run("build/oncpu", "help", "--man", "xyzzy").returncode == 2)

# ---- bash, really ----
work = tempfile.mkdtemp(prefix="oncpu-complete.")
hostile = "evil $(touch pwned) `touch pwned`;x"
with open(f"{work}/oncpu", "w") as f:  # says what it was called with; names two functions
    f.write(f"""#!/bin/bash
if [ "$1 $2" = "functions --names" ]; then printf '%s\\n' thumb '{hostile}'; exit; fi
for word in "$@"; do printf '<%s>' "$word"; done >{work}/called
""")
os.chmod(f"{work}/oncpu", 0o755)
os.mkdir(f"{work}/folder with space")
pid, terminal = pty.fork()
if pid == 0:
    os.chdir(work)
    os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"],
              {"PATH": f"{work}:/usr/bin:/bin", "PS1": "READY>", "TERM": "dumb", "INPUTRC": "/dev/null", "HOME": work})
seen = b""


def until(text):
    global seen
    while text not in seen:
        if not select.select([terminal], [], [], 20)[0]:
            raise SystemExit(f"not ok {count + 1} - bash says {text!r}: {seen!r}")
        seen += os.read(terminal, 4096)
    seen = seen[seen.index(text) + len(text):]


def complete(typed):
    """What the command is called with after these keys."""
    os.write(terminal, typed.encode() + b"\n")
    until(b"READY>")
    try:
        with open(f"{work}/called") as f:
            return f.read()
    except FileNotFoundError:
        return "not called"
    finally:
        if os.path.exists(f"{work}/called"):
            os.unlink(f"{work}/called")


until(b"READY>")
os.write(terminal, f"bind 'set bell-style none'; source {os.getcwd()}/build/completion/bash\n".encode())
until(b"READY>")
for typed, want in [
    ("oncpu inv\tc\t", "<invocations>"),
    ("oncpu help comp\t", "<help><compare>"),
    ("oncpu compare --js\t", "<compare><--json>"),
    ("oncpu agent --log-level warn\t", "<agent><--log-level><warning>"),
    ("oncpu agent --ready\t", "<agent><--ready>"),  # what the help does not tell of
    ("oncpu run --retire\t y\t", "<run><--retire-after-soft-limit><yes>"),
    ("oncpu invocations --function th\t", "<invocations><--function><thumb>"),
    ("oncpu logs th\t", "<logs><thumb>"),
    ("oncpu logs ev\t", f"<logs><{hostile}>"),
    ("oncpu agent --state-dir fol\t", "<agent><--state-dir><folder with space/>"),
    ("oncpu measure --function thumb -- fol\t", "<measure><--function><thumb><--><folder with space/>"),
    ("oncpu xyz\t --a\t", "<xyz><--a>"),
]:
    got = complete(typed)
    check(f"bash: {typed!r}", got == want, got)
check("nothing in a function's name is run", not os.path.exists(f"{work}/pwned"))
os.write(terminal, b"exit\n")
os.waitpid(pid, 0)

if subprocess.run(["which", "zsh"], capture_output=True).returncode == 0:
    check("zsh can read its completion", run("zsh", "-n", "build/completion/zsh").returncode == 0)
subprocess.run(["rm", "-rf", work])
sys.exit(bad != 0)
