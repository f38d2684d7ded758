#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kernel.sh PATTERN DIRECTORY : unpacks the newest of Debian's kernel packages that the pattern takes, of those
# that apt knows: vmlinuz, and modules.cpio with the few modules that the tests need. Says where they are; a
# kernel that is there already is taken as it is. Nothing is installed.
set -u
pattern=$1 directory=$2
modules="inet_diag tcp_diag overlay"
mkdir -p "$directory" || exit 2

unpacked() { find "$directory" -mindepth 1 -maxdepth 1 -type d | grep -E "/$pattern\$" | sort -V | tail -n 1; }
newest() { apt-cache --names-only search "^$pattern\$" | cut -d' ' -f1 | sort -V | tail -n 1; }

there=$(unpacked)
[ -z "$there" ] || { echo "$there"; exit 0; }
command -v apt-get >/dev/null || { echo "no apt-get: the kernels are Debian's"; exit 1; } >&2
scratch=$(mktemp -d) # apt's own user may not reach the build directory
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
for try in first updated; do
	package=$(newest)
	[ -n "$package" ] && (cd "$scratch" && apt-get download -qq "$package" >apt.log 2>&1) && break
	if [ $try = updated ]; then
		echo "no package like $pattern can be had: $(tail -n 1 "$scratch/apt.log" 2>/dev/null)" >&2
		exit 1
	fi
	apt-get update -qq >/dev/null 2>&1
done
new=$directory/$package.new
mkdir -p "$new" && dpkg -x "$scratch"/*.deb "$scratch/kernel" && mv "$scratch"/kernel/boot/vmlinuz-* "$new/vmlinuz" || exit 1
for module in $modules; do
	find "$scratch/kernel" -name "$module.ko*" -exec cp {} "$scratch" \;
	[ ! -e "$scratch/$module.ko.xz" ] || unxz "$scratch/$module.ko.xz"
done
mkdir "$scratch/modules" && mv "$scratch"/*.ko "$scratch/modules" || exit 1
(cd "$scratch" && find modules -print0 | busybox cpio -o -0 -H newc 2>/dev/null) >"$new/modules.cpio"
mv "$new" "$directory/$package" && echo "$directory/$package"
