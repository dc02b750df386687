# A Nix of nixpkgs, made for this prefix: its directories, and our patches.
#
# nixpkgs has two kinds. One is a single derivation whose function takes the directories; the other is made
# of a derivation for each library, which take them as options of Meson only.
{
  nix,
  directories,
  patches,
}:

let
  wanted = import ./nixpkgs.nix directories;

  # The tests of Nix itself are of the unpatched one, and of /nix/store.
  untested = package: package.overrideAttrs (_: {
    doCheck = false;
    doInstallCheck = false;
  });

  # The options by the library that has them.
  options = {
    libutil."isolated-state-dir" = directories.state; # one of our patches has it
    libstore."store-dir" = directories.store;
    libstore."log-dir" = directories.log;
  };
  general = {
    localstatedir = wanted.stateDir;
    sysconfdir = wanted.confDir;
  };
  flags =
    prefix: set: map (name: "-D${prefix}${name}=${set.${name}}") (builtins.attrNames set);

  component =
    old:
    {
      "nix-util" = flags "" options.libutil;
      "nix-store" = flags "" options.libstore;
    }
    .${old.pname or ""} or [ ];

  modular =
    (nix.appendPatches patches).overrideAllMesonComponents (
      _: old: {
        mesonFlags = (old.mesonFlags or [ ]) ++ flags "" general ++ component old;
      }
    );

  single =
    (nix.override (builtins.intersectAttrs nix.override.__functionArgs wanted)).overrideAttrs (old: {
      patches = (old.patches or [ ]) ++ patches;
      mesonFlags =
        (old.mesonFlags or [ ])
        ++ flags "" general
        ++ flags "libutil:" options.libutil
        ++ flags "libstore:" options.libstore;
    });
in
untested { inherit modular single; }.${import ./kind.nix nix}
