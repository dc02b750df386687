# The package set of this prefix: nixpkgs, or one in its shape, with the Nix that is made for the prefix.
#
#   nix build -f . hello
#
# Everything below depends on this directory and on the set: on source.json, which names it, on the
# patches, and on the store directory that the evaluating Nix was made for. The installer's own binary
# is not an input.
{
  system ? builtins.currentSystem,
  config ? { },
  ...
}@arguments:

let
  source = builtins.fromJSON (builtins.readFile ./source.json);
  directories = import ./directories.nix;
  nixpkgs = import (/. + builtins.unsafeDiscardStringContext source.path) (
    arguments
    // {
      inherit system;
      # Some of nixpkgs's other packages ask here where the store is.
      config = {
        nix = {
          inherit (import ./nixpkgs.nix directories) storeDir stateDir confDir;
        };
      }
      // config;
    }
  );
in
nixpkgs
// {
  # The files of the set, as this prefix has them in its store.
  packages = builtins.storePath source.path;

  # A shell for build sandboxes, which comes from the seed.
  inherit (import ./busybox.nix { inherit system; }) busybox;

  # The Nix of the prefix.
  nix = import ./nix.nix {
    inherit directories;
    nix = builtins.foldl' (set: name: set.${name}) nixpkgs source.nix;
    patches = map (name: ./patches + "/${name}") (builtins.attrNames (builtins.readDir ./patches));
  };

  # What the installer chooses by: the version of the set, and of each Nix that is in it.
  bootstrap = {
    version = nixpkgs.lib.version or "unknown";
    nixes = import ./nixes.nix nixpkgs;
  };
}
