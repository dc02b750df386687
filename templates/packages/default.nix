# The package set that `bootstrap` builds a Nix from: a compiler made of Debian packages,
# the libraries a Nix needs while it runs, Nix itself, and GNU hello to try it with.
#
#   nix build -f . hello
#
# Everything below depends on this directory alone: on the lock (what is downloaded, each file
# by its sha256), the expressions and builder scripts, the patches, and the store directory that
# the evaluating Nix was made for. The installer's own binary is not an input.
{
  system ? builtins.currentSystem,
}:

let
  lock = import ./lock.nix { inherit system; };
  directories = import ./directories.nix;
  shell = import ./busybox.nix { inherit system; };

  nixWith =
    how:
    import ./nix.nix (
      {
        inherit system lock directories;
        inherit (packages)
          busybox
          toolchain
          runtime
          compiler
          cacert
          ;
      }
      // how
    );

  packages = rec {
    inherit (shell) busybox;

    # The compiler: Debian's packages, unpacked and relinked into the store.
    toolchain = import ./toolchain.nix { inherit system lock shell; };

    # The shared libraries of the toolchain that programs built with it need to run, and no others.
    runtime = import ./runtime.nix { inherit system toolchain; };

    # The certificates of the public certificate authorities, in one file.
    cacert = import ./cacert.nix { inherit system lock shell; };

    # Its compilers, told to link for the runtime.
    compiler = import ./compiler.nix { inherit system toolchain runtime; };

    # Nix, quick to build and thrown away later.
    nix-bootstrap = nixWith { fast = true; };

    # Nix, to keep.
    nix = nixWith { };

    # The same built in the usual way, to compare with. Nothing else uses it.
    nix-naive = nixWith { unity = false; };

    # GNU hello.
    hello = import ./hello.nix {
      inherit
        system
        lock
        toolchain
        runtime
        compiler
        ;
    };
  };
in
packages
