#!/bin/sh
# usage: namespace.sh COMMAND...   Runs it in private mount, network and process namespaces: loopback only, names from a DNS server that the
# test starts on 127.0.0.1, every process gone at the end. Works as root and, where user namespaces are allowed, as an ordinary user.
set -eu
scratch=$(mktemp -d "${TMPDIR:-/tmp}/postern-ns.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
printf 'nameserver 127.0.0.1\noptions timeout:2 attempts:1\n' >"$scratch/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$scratch/hosts"
export POSTERN_NS="$scratch"
user=
[ "$(id -u)" = 0 ] || user="--map-current-user --keep-caps"
unshare $user --mount --net --pid --fork --kill-child --mount-proc sh -c '
	ip link set lo up
	echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || :
	mount --bind "$POSTERN_NS/resolv.conf" /etc/resolv.conf
	mount --bind "$POSTERN_NS/hosts" /etc/hosts
	exec "$@"' namespace "$@"
