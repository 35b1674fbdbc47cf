#!/bin/sh
# usage: namespace.sh COMMAND...   Runs it in private mount, network and process namespaces: loopback only, names from a DNS server that the
# test starts on 127.0.0.1, every process gone at the end. Works as root and, where user namespaces are allowed, as an ordinary user.
set -eu
scratch=$(mktemp -d "${TMPDIR:-/tmp}/postern-ns.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
printf 'nameserver 127.0.0.1\noptions timeout:10 attempts:2\n' >"$scratch/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$scratch/hosts"
mkdir "$scratch/etc" "$scratch/checkout"

# As root, tests become other users, who may have no way into the checkout (/root): the topmost directory that is closed to them.
checkout=$(cd "$(dirname "$0")/.." && pwd -P)
closed=
path=$(dirname "$checkout")
while [ "$(id -u)" = 0 ] && [ "$path" != / ]; do
	case $(stat -c %A "$path") in
	*[xt]) ;;
	*) closed=$path ;;
	esac
	path=$(dirname "$path")
done

export POSTERN_NS="$scratch" POSTERN_CHECKOUT="$checkout" POSTERN_CLOSED="$closed"
user=
[ "$(id -u)" = 0 ] || user="--map-current-user --keep-caps"
unshare $user --mount --net --pid --fork --kill-child --mount-proc sh -euc '
	ip link set lo up
	echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || :
	if [ ! -e /etc/resolv.conf ] || [ ! -e /etc/hosts ]; then
		mount -t tmpfs none "$POSTERN_NS/etc"
		mkdir "$POSTERN_NS/etc/upper" "$POSTERN_NS/etc/work"
		touch "$POSTERN_NS/etc/upper/resolv.conf" "$POSTERN_NS/etc/upper/hosts"
		mount -t overlay -o "lowerdir=/etc,upperdir=$POSTERN_NS/etc/upper,workdir=$POSTERN_NS/etc/work" none /etc
	fi
	mount --bind "$POSTERN_NS/resolv.conf" /etc/resolv.conf
	mount --bind "$POSTERN_NS/hosts" /etc/hosts
	if [ -n "$POSTERN_CLOSED" ]; then
		here=$(pwd)
		mount --bind "$POSTERN_CHECKOUT" "$POSTERN_NS/checkout"
		mount -t tmpfs -o mode=755 none "$POSTERN_CLOSED"
		mkdir -p "$POSTERN_CHECKOUT"
		mount --bind "$POSTERN_NS/checkout" "$POSTERN_CHECKOUT"
		cd "$here"
	fi
	exec "$@"' namespace "$@"
