# Puts the Nix of {{.Root}} into the environment of fish:
#
#   source {{fish .Self}}
#
# Doing it twice changes nothing. bootstrap_deactivate puts back what was there before.
# $BOOTSTRAP_PREFIX says which prefix is in the environment, for a prompt.

if test -r {{fish .Program}}
    function bootstrap_deactivate --description 'Leave the Nix environment'
        /bin/sh {{fish .Program}} deactivate fish | source
        functions --erase bootstrap_deactivate
    end
    /bin/sh {{fish .Program}} activate fish | source
end
