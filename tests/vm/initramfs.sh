#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# initramfs.sh OUT : packs what the tests need inside a virtual machine: busybox, a few of this host's tools
# with their libraries, Python, and this repository as it is built. No kernel modules: kernel.sh adds them.
set -eu
cd "$(dirname "$0")/../.."
out=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

libraries() { # FILE...: what ldd says they need
	ldd "$@" 2>/dev/null | grep -oE '[[:space:]]/[^ :()]+' | sort -u || true
}
put() { # FILE...: with their libraries, at their own paths, links followed
	local f
	for f in "$@" $(libraries "$@"); do
		[ -e "$root$f" ] || { mkdir -p "$root$(dirname "$f")" && cp -L "$f" "$root$f"; }
	done
}

mkdir -p "$root"/{proc,sys,dev,tmp,run,etc,root,var/lib,oncpu}
chmod 755 "$root" && chmod 1777 "$root/tmp"
for d in bin lib lib64; do mkdir -p "$root/usr/$d" && ln -s "usr/$d" "$root/$d"; done
ln -s usr/bin "$root/sbin"
ln -s bin "$root/usr/sbin"
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list | grep -vx busybox); do ln -s busybox "$root/bin/$applet"; done
# where busybox's own are not enough
for tool in bash pgrep pkill ps setsid timeout jq grep unshare setpriv stat tail mktemp chrt chroot capsh; do
	file=$(command -v "$tool") || continue
	rm -f "$root/bin/$tool"
	file=$(readlink -f "$file")
	put "$file"
	[ -e "$root/bin/$tool" ] || ln -s "$file" "$root/bin/$tool"
done
python=$(readlink -f /usr/bin/python3)
version=$(basename "$python")
put "$python"
ln -s "$version" "$root/usr/bin/python3"
mkdir -p "$root/usr/lib/$version"
(cd "/usr/lib/$version" && tar -c --exclude=test --exclude='config-*' --exclude=idlelib --exclude=lib2to3 \
	--exclude=pydoc_data --exclude=ensurepip --exclude=distutils --exclude=tkinter .) | tar -xC "$root/usr/lib/$version"
put "/usr/lib/$version"/lib-dynload/*.so

cat >"$root/etc/passwd" <<'PASSWD'
root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/:/bin/false
PASSWD
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
ln -s /proc/self/mounts "$root/etc/mtab"

mkdir -p "$root/oncpu/build"
cp -r tests include agent/runtime "$root/oncpu/" 2>/dev/null
rm -rf "$root/oncpu/tests/unit" "$root/oncpu/tests/lambda/node_modules"
cp -r build/oncpu build/oncpu.bpf.o build/functions build/liboncpu-runtime.so build/bpf "$root/oncpu/build/"
rm -f "$root"/oncpu/build/bpf/*.d
put $(libraries build/oncpu build/bpf/test_kernel)
cp tests/vm/init "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . -print0 | busybox cpio -o -0 -H newc 2>/dev/null) >"$out.new"
mv "$out.new" "$out"
