#!/bin/sh
# usage: tools/demo.sh BUILD   Starts an instance, sends one message through it, shows what it logged and what arrived, and stops it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/instance.sh"
port=${PORT:-2526}
prepare "$1" demo "$port" "@run@/mail.log"
sed -i "s|@run@|$run|g" "$run/conf/main.cf"
me=$(id -un)
rm -rf "$run/mail/$me" "$run/mail.log"

"$build/bin/postern" -c "$run/conf" start
trap '"$build/bin/postern" -c "$run/conf" stop' EXIT
echo "--- a message from demo@example.com to $me@localhost:"
printf 'From: demo@example.com\nTo: %s@localhost\nSubject: demonstration\n\nHello from the demonstration.\n' "$me" |
	curl -sS "smtp://127.0.0.1:$port" --mail-from demo@example.com --mail-rcpt "$me@localhost" --upload-file -
tries=0
while ! grep -q ': removed$' "$run/mail.log"; do
	tries=$((tries + 1))
	[ $tries -lt 600 ] || { cat "$run/mail.log"; echo "the message did not arrive" >&2; exit 1; }
	sleep 0.1
done
echo "--- the log:"
cat "$run/mail.log"
echo "--- delivered to $run/mail/$me/new:"
cat "$run/mail/$me"/new/*
echo "---"
