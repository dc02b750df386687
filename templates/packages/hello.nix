{
  system,
  lock,
  toolchain,
  runtime,
  compiler,
}:

derivation {
  name = "hello-${lock.version "hello-source"}";
  inherit system toolchain;
  builder = "${toolchain}/usr/bin/bash";
  args = [
    "-eu"
    ./builders/hello.sh
  ];
  PATH = "${compiler}/bin:${toolchain}/usr/bin";
  source = lock.file "hello-source";
  disallowedReferences = [ toolchain ];
}
