# Puts the Nix of {{.Root}} into the environment of csh or tcsh:
#
#   source {{csh .Self}}
#
# Doing it twice changes nothing. bootstrap_deactivate puts back what was there before.
# $BOOTSTRAP_PREFIX says which prefix is in the environment, for a prompt.

if ( -r {{csh .Program}} ) then
  alias bootstrap_deactivate {{csh .Deactivate}}
  eval "`/bin/sh {{csh .Program}} activate csh`"
endif
