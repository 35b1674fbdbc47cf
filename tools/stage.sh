#!/bin/sh
# usage: tools/stage.sh BUILD   Links every program of a build into BUILD/bin (commands) and BUILD/libexec (daemons), from where they run uninstalled.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
mkdir -p "$build/bin" "$build/libexec"
meson introspect --installed "$build" | python3 -c '
import json, sys
for source, target in sorted(json.load(sys.stdin).items()):
    folder, name = target.rsplit("/", 1)
    if folder.endswith(("/sbin", "/bin")):
        print("daemon" if "/lib" in folder else "command", name, source)
' | while read -r kind name source; do
	case $kind in
	daemon) ln -sfn "$source" "$build/libexec/$name" ;;
	command) ln -sfn "$source" "$build/bin/$name" ;;
	esac
done
grep -v '^#' "$here/links.txt" | while read -r kind name program; do
	case $kind in
	daemon) folder=$build/libexec ;;
	command) folder=$build/bin ;;
	*) continue ;;
	esac
	[ ! -e "$folder/$program" ] || ln -sfn "$program" "$folder/$name"
done
