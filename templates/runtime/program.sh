#!{{.Shell}}
# {{.Program}} of the host nix, on the store {{.Store}}.
#
# The store is said on the command line and not in the environment: another Nix that is started
# below this one, in a nix-shell for example, is not led to this store by it.

unset NIX_STORE NIX_STORE_DIR NIX_STATE_DIR NIX_LOG_DIR NIX_REMOTE NIX_DAEMON_SOCKET_PATH NIX_BIN_DIR NIX_CONFIG

# The directories that the file for shells sets, for when it was not sourced.
user=$(PATH=${PATH-}:/usr/bin:/bin id -un 2>/dev/null) || user=${USER-}
case $user in
'' | .* | */*)
	while read -r key user _; do
		[ "$key" != Uid: ] || break
	done </proc/self/status
	;;
esac
state={{sh .State}}
export NIX_CONF_DIR={{sh .Conf}}
export NIX_CACHE_HOME=$state/users/$user/cache NIX_CONFIG_HOME=$state/users/$user/config
export NIX_DATA_HOME=$state/users/$user/data NIX_STATE_HOME=$state/profiles/per-user/$user
export NIX_USER_CONF_FILES=$NIX_CONFIG_HOME/nix.conf
{{- if .Bin}}
# It runs nix-env, and has to find the one beside it.
export NIX_BIN_DIR={{sh .Bin}}
{{- end}}

exec -a {{.Program}} {{sh .Nix}} --store {{sh .URI}} "$@"
