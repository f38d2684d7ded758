# SPDX-License-Identifier: GPL-2.0
"""A virtual machine that counts instructions, for benches whose figures this host's other users must not disturb.

Debian's kernel under QEMU, which says that each instruction takes NS ns (-icount): every figure in time is then one in
instructions, the same in each run. Caches, and what a branch costs, are not in it.
"""
import os, shutil, subprocess, sys, tempfile

PACKAGE, KERNELS = r"linux-image-6\.12\.[0-9]+\+deb[0-9]+-cloud-amd64", "build/vm/kernels"
NS = 4  # an instruction: 2^shift of -icount
INIT = """#!/bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t cgroup2 none /sys/fs/cgroup
mount -t bpf none /sys/fs/bpf
mount -t tracefs none /sys/kernel/tracing
ifconfig lo 127.0.0.1 up
{command} >/dev/ttyS1 2>&1
echo "status $?" >/dev/ttyS1
poweroff -f
"""


def kernel():
    """The directory of the kernel, fetched if it is not there yet; ends the bench where there is none."""
    for tool in ("qemu-system-x86_64", "busybox"):
        if not shutil.which(tool):
            sys.exit(f"no {tool} (make test-deps)")
    found = subprocess.run(["tests/vm/kernel.sh", PACKAGE, KERNELS], capture_output=True, text=True)
    if found.returncode:
        sys.exit(found.stderr.strip())
    return found.stdout.strip()


def pack(out, program, command):
    """An initramfs of busybox, the program as /program, its libraries, and what is to run there."""
    with tempfile.TemporaryDirectory() as root:
        for d in ("bin", "proc", "sys", "dev", "tmp"):
            os.mkdir(f"{root}/{d}")
        shutil.copy(shutil.which("busybox"), f"{root}/bin/busybox")
        for applet in ("sh", "mount", "poweroff", "ifconfig", "cat"):
            os.symlink("busybox", f"{root}/bin/{applet}")
        shutil.copy(program, f"{root}/program")
        needs = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for path in {word for word in needs.split() if word.startswith("/")}:
            os.makedirs(root + os.path.dirname(path), exist_ok=True)
            shutil.copy(path, root + path)
        with open(f"{root}/init", "w") as f:
            f.write(INIT.format(command=command))
        os.chmod(f"{root}/init", 0o755)
        with open(out, "wb") as f:
            files = subprocess.Popen(["find", ".", "-print0"], cwd=root, stdout=subprocess.PIPE)
            subprocess.run(["busybox", "cpio", "-o", "-0", "-H", "newc"], cwd=root, stdin=files.stdout, stdout=f,
                           stderr=subprocess.DEVNULL, check=True)


def start(directory, initrd, work, smp, limit):
    """A machine with smp CPUs; what it says goes to work/out, and its kernel's messages to work/console."""
    return subprocess.Popen(
        ["timeout", "--kill-after=5", str(limit), "qemu-system-x86_64", "-accel", "tcg,thread=single", "-icount",
         "shift=2,sleep=off", "-M", "q35", "-cpu", "max", "-smp", smp, "-m", "1024", "-nodefaults", "-no-user-config",
         "-no-reboot", "-display", "none", "-serial", f"file:{work}/console", "-serial", f"file:{work}/out",
         "-kernel", f"{directory}/vmlinuz", "-initrd", initrd,
         "-append", "console=ttyS0 loglevel=4 panic=-1 tsc=reliable clocksource=tsc"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def said(work):
    """The lines that it said, and None; or None, and why they are not all there."""
    with open(f"{work}/out") as f:
        lines = [x.strip() for x in f.read().split("\n")]
    if "status 0" in lines:
        return lines, None
    with open(f"{work}/console") as f:
        return None, " / ".join(x.strip() for x in lines + f.read().split("\n")[-6:] if x.strip())
