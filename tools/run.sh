#!/bin/sh
# usage: tools/run.sh BUILD   Serves mail on 127.0.0.1:2525 (or $PORT) in the foreground, everything below BUILD/run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/instance.sh"
port=${PORT:-2525}
prepare "$1" run "$port" /dev/stdout
me=$(id -un)
cat <<E_O_T
Postern listens on 127.0.0.1 port $port. Ctrl-C stops it. Send yourself a message from another terminal:

  printf 'Subject: hello\n\nIt works.\n' | curl -sS smtp://127.0.0.1:$port --mail-from $me@localhost --mail-rcpt $me@localhost --upload-file -

It arrives in     $run/mail/$me/new/
The queue:        MAIL_CONFIG=$run/conf $build/bin/mailq
Configuration:    $run/conf (a change is taken up at once)

E_O_T
exec "$build/bin/postern" -c "$run/conf" start-fg
