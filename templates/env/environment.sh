# Prints the commands that put a prefix into a shell's environment, or take it out again.
#
#   /bin/sh environment.sh activate|deactivate sh|fish|csh
#
# nix.sh, nix.fish and nix.csh evaluate what it prints. It is run and never sourced, so that every
# shell gets the same, whatever its options are, and nothing of what follows stays behind in it.
# Here, the environment is changed as the shell's shall be; then the differences are printed.
#
# What a variable was before is kept in BOOTSTRAP_SAVED_<name>, exported, so that any shell
# below this one, and any other prefix, can put it back.

set -eu

prefix={{sh .Root}}
state={{sh .State}}
certificates={{sh .Certificates}}

# They lead any Nix to another store, or half way there, which is worse: NIX_STORE, which every
# nix-shell exports, with this state directory makes the garbage collector empty the other store.
unwanted='NIX_STORE NIX_STORE_DIR NIX_STATE_DIR NIX_LOG_DIR NIX_CONF_DIR NIX_REMOTE
NIX_DAEMON_SOCKET_PATH NIX_BIN_DIR NIX_PATH NIX_CONFIG NIX_PROFILE NIX_BUILD_SHELL NIX_REMOTE_SYSTEMS'
wanted='NIX_CACHE_HOME NIX_CONFIG_HOME NIX_DATA_HOME NIX_STATE_HOME NIX_USER_CONF_FILES NIX_PROFILES'
lists='PATH XDG_DATA_DIRS MANPATH'
changed="$unwanted $wanted NIX_SSL_CERT_FILE $lists"
system_data=/usr/local/share:/usr/share

fail() {
	printf 'bootstrap: %s\n' "$1" >&2
	exit 1
}

# get NAME: sets value to the value of the variable, and present to "set" or nothing.
get() {
	eval "value=\${$1-} present=\${$1+set}"
}

# save NAME: remembers the variable, or that there is none.
save() {
	get "$1"
	unset "BOOTSTRAP_SAVED_$1"
	[ -z "$present" ] || eval "BOOTSTRAP_SAVED_$1=\$value"
}

# restore NAME: makes the variable what it was when it was saved.
restore() {
	get "BOOTSTRAP_SAVED_$1"
	unset "$1" "BOOTSTRAP_SAVED_$1"
	[ -z "$present" ] || eval "$1=\$value"
}

# without LIST A B: sets value to the list less the elements A and B. Empty elements stay:
# in PATH they are the working directory, in MANPATH the system's pages.
without() {
	value='' separator='' rest=$1:
	while [ -n "$rest" ]; do
		element=${rest%%:*}
		rest=${rest#*:}
		if [ "$element" != "$2" ] && [ "$element" != "$3" ]; then
			value=$value$separator$element
			separator=:
		fi
	done
}

# split NAME LIST: sets value to the list less the two profiles,
# and first and second to what stands for them in a list of that name.
split() {
	case $1 in
	PATH) first=$mine/bin second=$common/bin ;;
	XDG_DATA_DIRS) first=$mine/share second=$common/share ;;
	MANPATH) first=$mine/share/man second=$common/share/man ;;
	esac
	without "$2" "$first" "$second"
}

# join NAME LIST: sets value to the list with the two profiles in front.
join() {
	split "$1" "$2"
	case $1 in
	XDG_DATA_DIRS) value=${value:-$system_data} ;;
	MANPATH)
		# Without a MANPATH, man looks beside every directory in PATH, and finds the system's
		# pages as well as ours; with one, only there.
		[ -n "$2" ] || return 0
		;;
	esac
	value=$first:$second${value:+:$value}
}

# The environment without the prefix that is in it, this one or another.
undo() {
	[ -n "${BOOTSTRAP_PREFIX-}" ] || return 0
	mine=${NIX_STATE_HOME-}/profile
	common=${NIX_STATE_HOME-}
	common=${common%/per-user/*}/default
	for name in $lists; do
		undo_list "$name"
	done
	for name in $wanted; do
		restore "$name"
	done
	for name in $unwanted; do
		get "$name"
		if [ -n "$value" ]; then
			unset "BOOTSTRAP_SAVED_$name" # it came later; what it hides is older
		else
			restore "$name"
		fi
	done
	case ${NIX_SSL_CERT_FILE-} in
	'' | "$certificates" | "$BOOTSTRAP_PREFIX"/*) restore NIX_SSL_CERT_FILE ;;
	*) unset BOOTSTRAP_SAVED_NIX_SSL_CERT_FILE ;; # it is not ours
	esac
	unset BOOTSTRAP_PREFIX
}

# undo_list NAME: restores the list; where it has been changed since, takes out what is ours.
undo_list() {
	get "$1"
	current=$value
	get "BOOTSTRAP_SAVED_$1"
	was_there=$present
	join "$1" "$value"
	if [ "$value" = "$current" ]; then
		restore "$1"
		return
	fi
	split "$1" "$current"
	unset "$1" "BOOTSTRAP_SAVED_$1"
	case $was_there$value in
	'' | "$system_data") ;;
	*) eval "$1=\$value" ;;
	esac
}

# The environment with this prefix in it.
apply() {
	# As the patched Nix does it. The name is not taken from USER, which su leaves as it was.
	user=$(PATH=${PATH-}:/usr/bin:/bin id -un 2>/dev/null) || user=${USER-}
	case $user in
	'' | .* | */*) user=$(PATH=${PATH-}:/usr/bin:/bin id -u 2>/dev/null) || fail 'who are you? There is no id, and USER is not set' ;;
	esac
	for name in $changed; do
		save "$name"
	done
	for name in $unwanted; do
		unset "$name"
	done
	NIX_CACHE_HOME=$state/users/$user/cache
	NIX_CONFIG_HOME=$state/users/$user/config
	NIX_DATA_HOME=$state/users/$user/data
	NIX_STATE_HOME=$state/profiles/per-user/$user
	NIX_USER_CONF_FILES=$NIX_CONFIG_HOME/nix.conf
	mine=$NIX_STATE_HOME/profile
	common=$state/profiles/default
	NIX_PROFILES="$common $mine"
	for name in $lists; do
		get "$name"
		join "$name" "$value"
		[ -z "$present$value" ] || eval "$name=\$value"
	done
	# Certificates of one's own are left alone.
	if [ -z "${NIX_SSL_CERT_FILE-}${SSL_CERT_FILE-}" ] && [ -r "$certificates" ]; then
		NIX_SSL_CERT_FILE=$certificates
	fi
	BOOTSTRAP_PREFIX=$prefix
}

# replace TEXT FROM TO: sets value to the text with every FROM replaced.
replace() {
	value='' rest=$1
	while :; do
		case $rest in
		*"$2"*)
			value=$value${rest%%"$2"*}$3
			rest=${rest#*"$2"}
			;;
		*)
			value=$value$rest
			return
			;;
		esac
	done
}

newline='
'

# put NAME VALUE: prints the command that sets and exports the variable.
put() {
	case $shell in
	sh)
		replace "$2" "'" "'\\''"
		printf "export %s='%s'\n" "$1" "$value"
		;;
	fish)
		replace "$2" "\\" "\\\\"
		replace "$value" "'" "\\'"
		printf "set -gx %s '%s'\n" "$1" "$value"
		;;
	csh)
		# Its command substitution cannot return a line end within a word.
		case $2 in *"$newline"*) fail "$1 has more than one line, which csh cannot bear" ;; esac
		replace "$2" "'" "'\\''"
		replace "$value" "!" "\\!"
		printf "setenv %s '%s';\n" "$1" "$value"
		;;
	esac
}

# drop NAME: prints the command that removes the variable.
drop() {
	case $shell in
	sh) printf 'unset %s\n' "$1" ;;
	# A universal variable belongs to every fish of this user: it is hidden, not erased. Only a
	# variable that is exported hides one from children, so they see it empty, which Nix takes for unset
	# (save for NIX_PATH).
	fish) printf 'set -eg %s; set -q %s; and set -gx %s\n' "$1" "$1" "$1" ;;
	csh) printf 'unsetenv %s;\n' "$1" ;;
	esac
}

shell=${2-}
case $shell in
sh | fish | csh) ;;
*) fail "unknown shell \"$shell\": environment.sh is run by nix.sh, nix.fish and nix.csh" ;;
esac

all=BOOTSTRAP_PREFIX
for name in $changed; do
	all="$all $name BOOTSTRAP_SAVED_$name"
done
for name in $all; do
	eval "before_$name=\${$name-} there_$name=\${$name+set}"
done

case ${1-} in
activate)
	undo
	apply
	;;
deactivate) undo ;;
*) fail "unknown action \"${1-}\": environment.sh is run by nix.sh, nix.fish and nix.csh" ;;
esac

for name in $all; do
	get "$name"
	eval "before=\$before_$name there=\$there_$name"
	if [ -z "$present" ]; then
		[ -z "$there" ] || drop "$name"
	elif [ "$there$before" != "set$value" ]; then
		put "$name" "$value"
	fi
done
