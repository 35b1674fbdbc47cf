#!/bin/sh
# Makes the accounts of the mail system where they are missing: user and group postern (runs the daemons, owns the queue; never log in as it, never
# give it a file that is not the mail system's) and group postdrop (of the commands that may put mail into the queue). Debian's postinst does this.
set -eu
[ "$(id -u)" = 0 ] || { echo "create-users.sh: must be run by root" >&2; exit 1; }
for group in postern postdrop; do
	getent group "$group" >/dev/null || groupadd --system "$group"
done
getent passwd postern >/dev/null ||
	useradd --system --gid postern --home-dir /var/spool/postern --no-create-home --shell /usr/sbin/nologin --comment "Postern mail system" postern
