# The one program that is not built here: a static busybox, unpacked by the installer from a
# package of the lock. It runs the first builders, and is /bin/sh in the build sandbox.
{ system }:

let
  busybox = builtins.path {
    name = "busybox";
    path = ./seed;
  };
in
{
  inherit busybox;

  # A derivation whose builder is a busybox shell script.
  run =
    {
      name,
      script,
      ...
    }@attributes:
    derivation (
      {
        inherit system;
        builder = "${busybox}/bin/sh";
        args = [
          "-eu"
          script
        ];
        PATH = "${busybox}/bin";
      }
      // removeAttrs attributes [ "script" ]
    );
}
