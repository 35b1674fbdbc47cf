#!/bin/sh
# usage: DESTDIR=DIR tools/install.sh BUILD PREFIX   Installs a build: commands, daemons, manual pages, sample configuration, systemd unit. An existing
# configuration is never touched. Users and groups are made by packaging/create-users.sh, here when DESTDIR is empty, else on the target.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
prefix=${2:-/usr}
dest=${DESTDIR:-}
meson configure "$build" -Dprefix="$prefix" >/dev/null
DESTDIR="$dest" meson install -C "$build" --quiet
sbin=$prefix/sbin
daemons=$prefix/$(meson introspect --buildoptions "$build" | python3 -c 'import json, sys; print([o["value"] for o in json.load(sys.stdin) if o["name"] == "libdir_daemons"][0])')
etc=$(meson introspect --buildoptions "$build" | python3 -c 'import json, sys; print([o["value"] for o in json.load(sys.stdin) if o["name"] == "config_dir"][0])')

# The names under which the world calls these commands.
mkdir -p "$dest$prefix/bin" "$dest$prefix/lib"
grep -v '^#' "$here/tools/links.txt" | while read -r kind name program; do
	case $kind in
	daemon) ln -sfn "$program" "$dest$daemons/$name" ;;
	command) ln -sfn "../sbin/$program" "$dest$prefix/bin/$name" ;;
	esac
done
ln -sfn ../sbin/sendmail "$dest$prefix/lib/sendmail"

if [ -z "$dest" ] && [ "$(id -u)" = 0 ]; then
	"$here/packaging/create-users.sh"
fi

# Their group lets these put mail into the queue and talk to the queue manager.
for program in postdrop postqueue; do
	[ -e "$dest$sbin/$program" ] || continue
	if [ "$(id -u)" = 0 ] && getent group postdrop >/dev/null; then
		chgrp postdrop "$dest$sbin/$program"
		chmod 2755 "$dest$sbin/$program"
	else
		echo "note: on the target, packaging/create-users.sh and then \"postern set-permissions\" give $sbin/$program its group"
	fi
done

"$here/tools/manpages" "$dest$prefix/share/man"

mkdir -p "$dest$etc"
for name in main.cf master.cf; do
	target=$dest$etc/$name
	[ ! -e "$target" ] || target=$target.dist
	sed -e "s|@daemon_directory@|$daemons|g" -e "s|@command_directory@|$sbin|g" "$here/conf/$name" >"$target"
	chmod 0644 "$target"
done

units=$dest/lib/systemd/system
mkdir -p "$units"
sed -e "s|@sbindir@|$sbin|g" -e "s|@sysconfdir@/postern|$etc|g" "$here/packaging/postern.service" >"$units/postern.service"
chmod 0644 "$units/postern.service"
