#!/bin/sh
# Gets the program "bootstrap" and runs it: builds it with Go in a checkout, downloads it elsewhere.
#
#   scripts/install.sh --prefix /opt/store
#   curl -fsSL <releases>/install.sh | sh -s -- --prefix /opt/store
#
# Exit codes: 0 ok, 1 error, 2 usage, 3 host unfit, 4 verification failed, 130 interrupted;
# once bootstrap runs, its own.
#
# All of it is in one pair of braces: a shell runs nothing of it until it has read the last line,
# so a download that was cut off anywhere does nothing.
{
set -eu

# Where releases are, and which keys sign them, in the form of ssh-keygen's ALLOWED SIGNERS.
# scripts/release writes both lines.
release=''
signers=''

# A release is some 20 MB. More than this many blocks of 512 bytes is not one.
limit=524288

usage() {
	cat <<'END'
Usage: install.sh --prefix DIR [option...]

Installs Nix for a store directory of your choice, without root.
In a checkout of the source it builds the installer with Go; elsewhere it downloads
the installer, verifies it, and runs it. Every option is passed on to it:

  --prefix DIR   the store directory, such as /opt/store or $HOME/opt/store
  --yes          ask nothing
  --dry-run      show what would be done, and do nothing
  --help         show this; "install.sh help" shows everything the installer can do

Environment:
  BOOTSTRAP_RELEASES   where releases are downloaded from, in place of building or the default
  BOOTSTRAP_UNSIGNED   "yes" does without the signature where there is no ssh-keygen to check it
  XDG_CACHE_HOME       the installer is kept in $XDG_CACHE_HOME/bootstrap/bin (default: ~/.cache)

Exit codes: 0 ok, 1 error, 2 usage, 3 host unfit, 4 verification failed, 5 locked by another run,
130 interrupted.
END
}

# fail CODE WHAT [HINT]
fail() {
	printf 'bootstrap: %s\n' "$2" >&2
	[ -z "${3-}" ] || printf 'hint: %s\n' "$3" >&2
	exit "$1"
}

say() {
	printf 'bootstrap: %s\n' "$1" >&2
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# Sets root to the top of the checkout this script is in, or to nothing.
find_checkout() {
	root=''
	case ${0##*/} in
	install.sh) ;;
	*) return 0 ;; # read from a pipe
	esac
	case $0 in
	*/*) root=$(CDPATH='' cd -- "${0%/*}/.." && pwd) || root='' ;;
	*) [ ! -f "$0" ] || root=$(CDPATH='' cd -- .. && pwd) || root='' ;;
	esac
	if [ -z "$root" ] || ! grep -q '^module bootstrap$' "$root/go.mod" 2>/dev/null; then
		root=''
	fi
}

# Sets cache to a directory that programs can run from, which /tmp need not be,
# and tmp to a new directory in it.
make_cache() {
	base=${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}
	case $base in
	/*) ;;
	*) fail 3 "no place for the installer: HOME and XDG_CACHE_HOME are not absolute paths" "set XDG_CACHE_HOME to a directory of yours" ;;
	esac
	cache=$base/bootstrap/bin
	umask 077
	if ! mkdir -p "$cache" || ! chmod 700 "$cache" || ! tmp=$(mktemp -d "$cache/tmp.XXXXXX"); then
		fail 3 "cache \"$cache\": cannot be written to" "set XDG_CACHE_HOME to a directory of yours"
	fi
	trap 'rm -rf "$tmp"' EXIT
	trap 'exit 130' HUP INT TERM
	printf '#!/bin/sh\nexit 0\n' >"$tmp/probe"
	chmod 700 "$tmp/probe"
	"$tmp/probe" 2>/dev/null ||
		fail 3 "cache \"$cache\": programs cannot run from it" "set XDG_CACHE_HOME to a directory that is not mounted noexec"
}

# run_program ARGUMENTS...: moves the program to where it stays, and becomes it.
run_program() {
	mv -f "$tmp/program" "$cache/$keep"
	become "$@"
}

become() {
	rm -rf "$tmp"
	trap - EXIT HUP INT TERM
	umask "$mask"
	if [ "$ask" = terminal ]; then
		exec "$cache/$keep" "$@" </dev/tty
	fi
	exec "$cache/$keep" "$@"
}

# --- In a checkout

# number VERSION: prints a number that grows with it, for "go1.26.3" and "1.26.3"; else nothing.
number() {
	printf '%s.0\n' "$1" | sed -n 's/^\(go\)\{0,1\}1\.\([0-9]\{1,\}\)[^.]*\.\([0-9]\{1,\}\).*/\2 \3/p' |
		while read -r minor patch; do
			echo $((minor * 1000 + patch))
		done
}

find_go() {
	needed=$(sed -n 's/^go //p' "$root/go.mod")
	hint="install Go $needed or later from https://go.dev/dl, or set BOOTSTRAP_RELEASES to download the installer"
	go=go
	if ! have go; then
		go=/usr/local/go/bin/go
		[ -x "$go" ] || fail 3 "Go is not installed; it builds the installer in a checkout" "$hint"
	fi
	# In the checkout, a Go of 1.21 or later first gets itself the version that is needed, if it may.
	if ! version=$(cd "$root" && "$go" env GOVERSION 2>"$tmp/go"); then
		cat "$tmp/go" >&2
		fail 3 "Go $needed or later is needed, and the one here cannot get it" "$hint"
	fi
	found=$(number "$version")
	if [ -n "$found" ] && [ "$found" -lt "$(number "$needed")" ]; then
		fail 3 "Go $needed or later is needed, and \"$go\" is $version" "$hint"
	fi
}

build() {
	keep=bootstrap-checkout
	make_cache
	find_go
	say "building the installer in $root"
	# The version control system is not asked: it refuses a checkout that belongs to another user.
	(
		umask "$mask"
		cd "$root"
		# Without inlining the program is a tenth smaller; without HTTP/2, which no server insists on, a bit more.
		CGO_ENABLED=0 exec "$go" build -trimpath -buildvcs=false -tags nethttpomithttp2 \
			-gcflags=all=-l -gcflags=bootstrap/internal/relocate= \
			-ldflags='-s -w' -o "$tmp/program" ./cmd/bootstrap
	) || fail 1 "the installer does not build" "the lines above say why"
	run_program "$@"
}

# --- Elsewhere

# download NAME: gets the file of the release into $tmp.
download() {
	url=$release/$1
	status=0
	if have curl; then
		case $url in
		https://*) allowed='=https' ;;
		*) allowed='=http,https' ;;
		esac
		(
			ulimit -f "$limit" 2>/dev/null || : # it may be lower already
			exec curl --proto "$allowed" -fsSL --retry 3 --connect-timeout 30 --speed-limit 1 --speed-time 60 -o "$tmp/$1" "$url"
		) || status=$?
	elif have wget; then
		(
			ulimit -f "$limit" 2>/dev/null || : # it may be lower already
			exec wget -q -O "$tmp/$1" "$url"
		) || status=$?
	else
		fail 3 "neither curl nor wget is installed" "install one of them"
	fi
	[ "$status" = 0 ] ||
		fail 1 "download \"$url\": failed (exit code $status)" "check the network and, if it is set, BOOTSTRAP_RELEASES; then run this again"
}

# Sets hash to the command that prints a sha256.
find_hash() {
	if have sha256sum; then
		hash='sha256sum'
	elif have shasum; then
		hash='shasum -a 256'
	elif have openssl; then
		hash='openssl dgst -sha256 -r'
	else
		fail 3 "none of sha256sum, shasum and openssl is installed" "install one of them; nothing is run that was not verified"
	fi
}

# digest FILE: prints its sha256.
digest() {
	# shellcheck disable=SC2086 # a command and its options
	$hash <"$1" | sed 's/[^0-9a-f].*//'
}

# The signature is required where this script knows who signs: leaving it out would be too easy.
check_signature() {
	[ -n "$signers" ] || return 0
	download SHA256SUMS.sig
	if ! have ssh-keygen; then
		[ "${BOOTSTRAP_UNSIGNED-}" = yes ] ||
			fail 3 "the signature of the release cannot be checked: ssh-keygen is not installed" "install OpenSSH's client, or set BOOTSTRAP_UNSIGNED=yes to trust the server alone"
		say "the signature of the release is not checked: BOOTSTRAP_UNSIGNED is set"
		return 0
	fi
	printf '%s\n' "$signers" >"$tmp/signers"
	ssh-keygen -Y verify -f "$tmp/signers" -I bootstrap -n bootstrap -s "$tmp/SHA256SUMS.sig" <"$tmp/SHA256SUMS" >/dev/null 2>&1 ||
		fail 4 "\"$release/SHA256SUMS\": bad signature" "do not trust this server; get the release from elsewhere"
}

fetch() {
	[ -n "$release" ] ||
		fail 1 "this script does not know where releases are" "set BOOTSTRAP_RELEASES to their URL, or run scripts/install.sh in a checkout"
	case $release in
	http://* | https://*) ;;
	*) fail 2 "BOOTSTRAP_RELEASES \"$release\": is not an http or https URL" "give the URL of the directory that SHA256SUMS is in" ;;
	esac
	release=${release%/}
	[ "$(uname -s)" = Linux ] || fail 3 "$(uname -s): is not supported" "use a Linux machine"
	case $(uname -m) in
	x86_64 | amd64) name=bootstrap-linux-amd64 ;;
	aarch64 | arm64) name=bootstrap-linux-arm64 ;;
	*) fail 3 "$(uname -m): there is no release for this processor" "x86_64 and aarch64 are supported" ;;
	esac
	keep=bootstrap
	find_hash
	make_cache
	download SHA256SUMS
	check_signature
	wanted=$(sed -n "s/^\([0-9a-f]\{64\}\) [ *]$name\$/\1/p" "$tmp/SHA256SUMS")
	[ "${#wanted}" = 64 ] || fail 4 "\"$release/SHA256SUMS\": does not name $name once" "try again later, or report it"
	if [ -f "$cache/$keep" ] && [ -x "$cache/$keep" ] && [ "$(digest "$cache/$keep")" = "$wanted" ]; then
		become "$@"
	fi
	say "downloading $release/$name"
	download "$name"
	found=$(digest "$tmp/$name")
	[ "$found" = "$wanted" ] ||
		fail 4 "\"$release/$name\": sha256 is ${found:-unknown}, not $wanted" "nothing was run; try again, and report it if it stays"
	mv "$tmp/$name" "$tmp/program"
	chmod 700 "$tmp/program"
	run_program "$@"
}

main() {
	mask=$(umask)
	[ $# -gt 0 ] || fail 2 "no prefix is given" "name the store directory, as in: install.sh --prefix /opt/store"
	yes=''
	for argument; do
		case $argument in
		--help | -h)
			usage
			exit 0
			;;
		--yes | -y) yes=yes ;;
		--) break ;;
		esac
	done
	ask=''
	find_checkout
	if [ -n "$root" ] && [ -z "${BOOTSTRAP_RELEASES-}" ]; then
		build "$@"
	fi
	release=${BOOTSTRAP_RELEASES:-$release}
	# Standard input is this script, so questions are answered on the terminal, if there is one.
	if [ -z "$yes" ] && [ ! -t 0 ] && (: </dev/tty) 2>/dev/null; then
		ask=terminal
	fi
	fetch "$@"
}

main "$@"
exit
}
