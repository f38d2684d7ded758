#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# install.sh [--remove]: puts what is built into $DESTDIR, or takes it away again. Run by make install.
# A configuration that is there already stays as it is, also when the rest is removed.
set -eu
cd "$(dirname "$0")/../.."
packaging=agent/packaging root=${DESTDIR:-} prefix=${PREFIX:-/usr/local} etc=${SYSCONFDIR:-/etc} build=${BUILD:-build}
# what systemd reads belongs below /usr or /usr/local, wherever the program is
units=$prefix/lib
case $prefix in /usr | /usr/local) ;; *) units=/usr/local/lib ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# one line a file: mode, source, target
files() {
	echo "0755 $build/oncpu $prefix/bin/oncpu"
	echo "0644 $build/liboncpu-runtime.so $prefix/lib/liboncpu-runtime.so"
	echo "0644 include/oncpu/runtime.h $prefix/include/oncpu/runtime.h"
	for page in "$build"/man/*; do
		name=${page##*/}
		echo "0644 $page $prefix/share/man/man${name##*.}/$name"
	done
	echo "0644 $build/completion/bash $prefix/share/bash-completion/completions/oncpu"
	echo "0644 $build/completion/zsh $prefix/share/zsh/site-functions/_oncpu"
	echo "0644 $work/oncpu.service $units/systemd/system/oncpu.service"
	echo "0644 $packaging/oncpu.sysusers $units/sysusers.d/oncpu.conf"
	echo "0644 $packaging/oncpu.tmpfiles $units/tmpfiles.d/oncpu.conf"
	echo "0644 README.md $prefix/share/doc/oncpu/README.md"
	echo "0644 LICENSE $prefix/share/doc/oncpu/LICENSE"
}

if [ "${1:-}" = --remove ]; then
	files | while read -r _ _ target; do
		rm -f "$root$target"
		rmdir -p --ignore-fail-on-non-empty "$(dirname "$root$target")" 2>/dev/null || true
	done
	exit
fi
sed "s|@BINDIR@|$prefix/bin|g" $packaging/oncpu.service.in >"$work/oncpu.service"
files | while read -r mode source target; do
	install -D -m "$mode" "$source" "$root$target"
done
[ -e "$root$etc/oncpu/oncpu.conf" ] || install -D -m 0644 $packaging/oncpu.conf "$root$etc/oncpu/oncpu.conf"
[ -n "$root" ] || echo "installed; next: systemd-sysusers && systemd-tmpfiles --create oncpu.conf && systemctl enable --now oncpu"
