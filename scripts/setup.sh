#!/bin/sh
# Installs what a build of emukp needs and this machine lacks: the headers and
# the library of libunicorn 2, and a C compiler. Silent when nothing is
# missing. What is missing is found out by compiling a program, not by asking
# a package manager or pkg-config. It never waits for an answer, except that
# sudo may ask for a password on a terminal.
#
# CC, CGO_CFLAGS and CGO_LDFLAGS are honoured, as go build does.
set -u

say() { echo "setup: $*" >&2; }

tmp=$(mktemp -d "${TMPDIR:-/tmp}/emukp-setup.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# find_cc sets cc to the compiler that cgo would use; CC may be "ccache gcc".
find_cc() {
	cc=${CC:-}
	for c in gcc clang cc; do
		[ -z "$cc" ] && command -v "$c" >/dev/null 2>&1 && cc=$c
	done
	[ -n "$cc" ]
}

# builds FLAGS...: can $tmp/t.c be made into a program?
builds() {
	# shellcheck disable=SC2086 # lists of words
	find_cc && $cc ${CGO_CFLAGS:-} -o "$tmp/t" "$tmp/t.c" ${CGO_LDFLAGS:-} "$@" >"$tmp/log" 2>&1
}

have_cc() {
	printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' >"$tmp/t.c"
	builds
}

# uc_ctl came with libunicorn 2.
have_unicorn() {
	printf '#include <unicorn/unicorn.h>\nint main(void) { return uc_ctl_exits_enable((uc_engine *)0); }\n' >"$tmp/t.c"
	builds -lunicorn
}

# find_manager sets mgr, and the packages' names in it.
find_manager() {
	mgr=
	for m in apt-get dnf zypper pacman apk brew; do
		if command -v "$m" >/dev/null 2>&1; then
			mgr=$m
			break
		fi
	done
	case $mgr in
	apt-get) lib=libunicorn-dev compiler="gcc libc6-dev" ;;
	dnf) lib=unicorn-devel compiler=gcc ;;
	zypper) lib=unicorn-devel compiler=gcc ;;
	pacman) lib=unicorn compiler=gcc ;;
	apk) lib=unicorn-dev compiler="gcc musl-dev" ;;
	brew) lib=unicorn compiler=gcc ;;
	esac
}

# find_rights sets run to what commands of the package manager begin with.
find_rights() {
	run=
	if [ "$mgr" = brew ] || [ "$(id -u)" = 0 ]; then
		return 0
	fi
	command -v sudo >/dev/null 2>&1 || return 1
	run="sudo -n"
	if [ -t 0 ] && [ -t 2 ]; then
		run=sudo
	fi
}

# try COMMAND...: says what it does, then does it.
try() {
	say "running: ${run:+$run }$*"
	# shellcheck disable=SC2086 # "sudo -n" is two words, nothing is none
	$run "$@" </dev/null >&2
}

install() {
	case $mgr in
	apt-get)
		try apt-get update || { say "once more"; sleep 3; try apt-get update; } ||
			say "apt-get update failed; trying with the package lists as they are"
		try env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"
		;;
	dnf) try dnf install -y "$@" ;;
	zypper) try zypper --non-interactive install "$@" ;;
	pacman) try pacman -S --noconfirm --needed "$@" || try pacman -Sy --noconfirm --needed "$@" ;;
	apk) try apk add --no-cache "$@" ;;
	brew) try brew install "$@" ;;
	esac
}

# give_up WHY: names what to install, and stops.
give_up() {
	say "$1"
	if [ -n "$mgr" ]; then
		say "install by hand: $packages"
	else
		say "install by hand: the development package of libunicorn 2.0 or later (Debian: libunicorn-dev," \
			"Fedora and openSUSE: unicorn-devel, Arch: unicorn, Alpine: unicorn-dev, Homebrew: unicorn)${need_cc:+ and a C compiler}"
	fi
	exit 1
}

if ! command -v "${GO:-go}" >/dev/null 2>&1; then
	say "there is no '${GO:-go}' here: install Go 1.26 or later from https://go.dev/dl"
	exit 1
fi

need_cc= need_lib=
have_cc || need_cc=1
have_unicorn || need_lib=1
[ -n "$need_cc$need_lib" ] || exit 0

find_manager
packages=
if [ -n "$mgr" ]; then
	packages="${need_lib:+$lib}${need_cc:+ $compiler}"
	packages=${packages# }
fi
say "missing: ${need_lib:+libunicorn (headers and library)}${need_lib:+${need_cc:+, }}${need_cc:+a C compiler}"
[ -n "$mgr" ] || give_up "no package manager that this script knows"
find_rights || give_up "no rights to install packages: not root, and there is no sudo"
# shellcheck disable=SC2086 # a list of packages
install $packages || give_up "$mgr failed"
if ! have_cc || ! have_unicorn; then
	[ -f "$tmp/log" ] && cat "$tmp/log" >&2
	give_up "still missing after the installation (libunicorn must be 2.0 or later)"
fi
say "done"
