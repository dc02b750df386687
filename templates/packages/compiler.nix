{
  system,
  toolchain,
  runtime,
}:

derivation {
  name = "compiler";
  inherit system toolchain runtime;
  inherit (toolchain) triplet loader;
  builder = "${toolchain}/usr/bin/bash";
  args = [
    "-eu"
    ./builders/compiler.sh
  ];
  PATH = "${toolchain}/usr/bin";
}
