# For run.sh and demo.sh: makes the configuration of conf/run/ below a directory. Usage: prepare BUILD NAME PORT LOG; sets run, user.

# As root the daemons give up root for another user, who must reach the directory.
choose_user() {
	user=$(id -un)
	group=$(id -gn)
	[ "$(id -u)" = 0 ] || return 0
	user=nobody
	group=$(id -gn nobody)
	for name in postern; do
		if id "$name" >/dev/null 2>&1 && getent group postdrop >/dev/null; then
			user=$name
			group=postdrop
		fi
	done
	chmod a+x "$run"
	setpriv --reuid="$user" --clear-groups test -x "$run" || run=$(mktemp -d "${TMPDIR:-/tmp}/postern-$1.XXXXXX")
}

prepare() {
	build=$(cd "$1" && pwd)
	run=$build/$2
	log=$4
	mkdir -p "$run"
	choose_user "$2"
	mkdir -p "$run/conf" "$run/mail" "$run/data"
	chmod 0755 "$run" "$run/conf"
	if [ "$(id -u)" = 0 ]; then
		chmod 1777 "$run/mail"
		chown "$user" "$run/data"
	fi
	for name in main.cf master.cf; do
		sed -e "s|@run@|$run|g" -e "s|@build@|$build|g" -e "s|@user@|$user|g" -e "s|@group@|$group|g" \
			-e "s|@log@|$log|g" -e "s|@port@|127.0.0.1:$3|g" "$here/../conf/run/$name" >"$run/conf/$name.new"
		mv "$run/conf/$name.new" "$run/conf/$name"
	done
}
