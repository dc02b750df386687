# Puts the Nix of {{.Root}} into the environment of sh, dash, bash, zsh or busybox sh:
#
#   . {{sh .Self}}
#
# Doing it twice changes nothing. bootstrap_deactivate puts back what was there before.
# $BOOTSTRAP_PREFIX says which prefix is in the environment, for a prompt.

if [ -r {{sh .Program}} ]; then
	bootstrap_deactivate() {
		eval "$(/bin/sh {{sh .Program}} deactivate sh || echo false)"
		unset -f bootstrap_deactivate
	}
	eval "$(/bin/sh {{sh .Program}} activate sh || echo false)"
fi
