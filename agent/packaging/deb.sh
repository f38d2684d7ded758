#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# deb.sh: a Debian package of what is built, by make install and dpkg-deb. Run by make deb.
set -eu
cd "$(dirname "$0")/../.."
packaging=$PWD/agent/packaging build=${BUILD:-build}
command -v dpkg-shlibdeps >/dev/null || { echo 'deb: dpkg-dev is missing (apt-get install dpkg-dev)' >&2; exit 1; }
arch=$(dpkg --print-architecture)
deb=$build/oncpu_${VERSION}_$arch.deb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
umask 022

DESTDIR=$tree PREFIX=/usr SYSCONFDIR=/etc BUILD=$build "$packaging/install.sh"
rm "$tree/usr/share/doc/oncpu/LICENSE" # up to the GPL's own text, which every Debian system has
sed '/GNU GENERAL PUBLIC LICENSE/,$d' LICENSE >"$tree/usr/share/doc/oncpu/copyright"
mkdir -p "$tree/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)" # where Debian has libraries
mv "$tree/usr/lib/liboncpu-runtime.so" "$tree/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)/"
mkdir -p "$tree/usr/share/zsh/vendor-completions" "$tree/lib/systemd"
mv "$tree/usr/share/zsh/site-functions/_oncpu" "$tree/usr/share/zsh/vendor-completions/"
mv "$tree/usr/lib/systemd/system" "$tree/lib/systemd/system"
rmdir "$tree/usr/share/zsh/site-functions" "$tree/usr/lib/systemd"
strip --strip-unneeded "$tree/usr/bin/oncpu" "$tree/usr/lib/"*/liboncpu-runtime.so
find "$tree/usr/share/man" -type f -exec gzip -9n {} +
printf 'oncpu (%s) unstable; urgency=medium\n\n  * See README.md.\n\n -- oncpu <root@localhost>  %s\n' "$VERSION" \
	"$(date -u -R -d "$(sed -n 's/^#define ONCPU_RELEASE_DATE "\(.*\)".*/\1/p' agent/daemon/agent.h)")" |
	gzip -9n >"$tree/usr/share/doc/oncpu/changelog.gz"

# the libraries it needs, from the binary itself
mkdir -p "$work/debian" "$tree/DEBIAN"
printf 'Source: oncpu\n\nPackage: oncpu\nArchitecture: %s\n' "$arch" >"$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "$tree/usr/bin/oncpu" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
[ -n "$depends" ] || { echo "deb: the libraries' packages are not found" >&2; exit 1; }
cat >"$tree/DEBIAN/control" <<CONTROL
Package: oncpu
Version: $VERSION
Architecture: $arch
Maintainer: oncpu <root@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Depends: $depends, passwd
Section: admin
Priority: optional
Description: exact on-CPU time of function invocations
 Programs in the kernel count every nanosecond that the scheduler charges to a
 function's processes; the agent splits it at the invocations' boundaries,
 stores it, and compares it with what platforms would bill.
CONTROL
echo 'activate-noawait ldconfig' >"$tree/DEBIAN/triggers"
echo /etc/oncpu/oncpu.conf >"$tree/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$packaging/deb/$script" "$tree/DEBIAN/$script"; done
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
dpkg-deb --root-owner-group --build "$tree" "$deb"
