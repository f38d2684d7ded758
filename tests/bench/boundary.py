#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""What a boundary costs against the number of CPUs: it is to follow those the instance has been on, not the host's.

boundary.py [JSON-LINES-FILE]   a line a row. Some two minutes.

Debian's kernel, with 1, 2, 4 and 8 virtual CPUs, under QEMU. It counts instructions and
says that each takes 4 ns (-icount), so what else this host does is not in the figures, and neither are caches.
The kernel's run-time statistics of BPF programs are then instructions; an empty program's hit, in them, is the unit.
"""
import json, os, shutil, subprocess, sys, tempfile

PROGRAM, KERNELS = "build/bench/boundary", "build/vm/kernels"
PACKAGE = r"linux-image-6\.12\.[0-9]+\+deb[0-9]+-cloud-amd64"
MACHINES, LIMIT = ("1", "2", "4", "8"), 300
FLAT, NS = 1.05, 4  # ns an instruction: 2^shift of -icount
INIT = """#!/bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t cgroup2 none /sys/fs/cgroup
mount -t bpf none /sys/fs/bpf
mount -t tracefs none /sys/kernel/tracing
/boundary >/dev/ttyS1 2>&1
echo "status $?" >/dev/ttyS1
poweroff -f
"""
SITUATIONS = (("one_cpu", "one thread, which stays on a CPU", True),
              ("all_cpus", "one thread, which has been on all", False),
              ("one_cpu_two_threads", "two threads, which stay on a CPU", True),
              ("all_cpus_two_threads", "two threads, which have been on all", False),
              ("one_cpu_moved_in", "one that was moved in, stays on a CPU", True),
              ("all_cpus_moved_in", "one that was moved in, was on all", False))
lines = open(sys.argv[1], "a") if len(sys.argv) > 1 else None


def row(name, text, target=None, met=None, **figures):
    verdict = "" if target is None else f"   target {target}: {'met' if met else 'MISSED'}"
    print(f"{name:<36} {text}{verdict}", flush=True)
    if lines:
        more = {} if target is None else {"target": target, "met": met}
        print(json.dumps({"bench": "boundary", "row": name, **figures, **more}), file=lines, flush=True)


def pack(out):
    """An initramfs of busybox, the program and its libraries."""
    with tempfile.TemporaryDirectory() as root:
        for d in ("bin", "proc", "sys", "dev", "tmp"):
            os.mkdir(f"{root}/{d}")
        shutil.copy(shutil.which("busybox"), f"{root}/bin/busybox")
        for applet in ("sh", "mount", "poweroff"):
            os.symlink("busybox", f"{root}/bin/{applet}")
        shutil.copy(PROGRAM, f"{root}/boundary")
        needs = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
        for path in {word for word in needs.split() if word.startswith("/")}:
            os.makedirs(root + os.path.dirname(path), exist_ok=True)
            shutil.copy(path, root + path)
        with open(f"{root}/init", "w") as f:
            f.write(INIT)
        os.chmod(f"{root}/init", 0o755)
        with open(out, "wb") as f:
            files = subprocess.Popen(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE)
            subprocess.run(["busybox", "cpio", "-o", "-0", "-H", "newc"], cwd=root, stdin=files.stdout, stdout=f,
                           stderr=subprocess.DEVNULL, check=True)


def start(kernel, initrd, work, smp):
    return subprocess.Popen(
        ["timeout", "--kill-after=5", str(LIMIT), "qemu-system-x86_64", "-accel", "tcg,thread=single", "-icount",
         "shift=2,sleep=off", "-M", "q35", "-cpu", "max", "-smp", smp, "-m", "1024", "-nodefaults", "-no-user-config",
         "-no-reboot", "-display", "none", "-serial", f"file:{work}/console", "-serial", f"file:{work}/out",
         "-kernel", f"{kernel}/vmlinuz", "-initrd", initrd,
         "-append", "console=ttyS0 loglevel=4 panic=-1 tsc=reliable clocksource=tsc"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def figures(work):
    """{"cpus": n, "possible": n, SITUATION: times an empty program's hit}, or the reason why there are none."""
    with open(f"{work}/out") as f:
        said = f.read().split("\n")
    if "status 0" not in (x.strip() for x in said):
        with open(f"{work}/console") as f:
            return " / ".join(x.strip() for x in (said + f.read().split("\n")[-6:]) if x.strip())
    cpus, possible = map(int, said[0].split())
    got = {"cpus": cpus, "possible": possible}
    for line in said[1:]:
        if len(line.split()) == 3:
            name, ns, ratio = line.split()
            got[name], got[name + "_ns"] = float(ratio), float(ns)
    return got


def main():
    for tool in ("qemu-system-x86_64", "busybox"):
        if not shutil.which(tool):
            sys.exit(f"boundary.py: no {tool} (make test-deps)")
    found = subprocess.run(["tests/vm/kernel.sh", PACKAGE, KERNELS], capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"boundary.py: {found.stderr.strip()}")
    measured = []
    with tempfile.TemporaryDirectory(prefix="oncpu-bench.") as work:
        pack(f"{work}/initrd")
        waiting, running = list(MACHINES), []
        while waiting or running:
            while waiting and len(running) < os.cpu_count():
                smp = waiting.pop(0)
                os.mkdir(f"{work}/{smp}")
                running.append((smp, start(found.stdout.strip(), f"{work}/initrd", f"{work}/{smp}", smp)))
            os.wait()
            for smp, machine in [r for r in running if r[1].poll() is not None]:
                running.remove((smp, machine))
        for smp in MACHINES:
            got = figures(f"{work}/{smp}")
            if isinstance(got, str):
                sys.exit(f"boundary.py: the machine with {smp} CPUs: {got}")
            measured.append(got)
    print(f"A boundary, in hits of an empty program ({measured[0]['empty_ns'] / NS:.0f} instructions), by virtual CPUs\n"
          f"{'':<36} " + " ".join(f"{m['cpus']:8}" for m in measured), flush=True)
    for key, name, flat in SITUATIONS:  # a thread that was moved in makes every boundary look twice: bpf/boundary.h
        ratios = [m[key] for m in measured]
        most = max(ratios) / min(ratios)
        row(name, " ".join(f"{r:8.2f}" for r in ratios), *((f"flat (≤ {FLAT}×)", most <= FLAT) if flat else ()),
            cpus=[m["cpus"] for m in measured], possible=[m["possible"] for m in measured], ratios=ratios,
            instructions=[m[key + "_ns"] / NS for m in measured])


main()
