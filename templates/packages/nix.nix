{
  system,
  lock,
  directories,
  busybox,
  toolchain,
  runtime,
  compiler,
  cacert,
  fast ? false,
  unity ? true,
}:

let
  version = lock.version "nix-source";
in
derivation {
  name = "nix-${version}${if fast then "-bootstrap" else ""}${if unity then "" else "-naive"}";
  inherit
    system
    toolchain
    cacert
    ;
  inherit (toolchain) triplet;
  inherit (directories)
    store
    state
    log
    conf
    ;
  builder = "${toolchain}/usr/bin/bash";
  args = [
    "-eu"
    ./builders/nix.sh
  ];
  PATH = "${compiler}/bin:${toolchain}/usr/bin";
  source = lock.file "nix-source";
  # The installer chose them for this version; their names begin with their order.
  patches = map (name: ./patches + "/${name}") (builtins.attrNames (builtins.readDir ./patches));
  options = import ./meson.nix { inherit version directories busybox; };
  # Several sources in one compilation: a fraction of the work.
  unity = if unity then "on" else "off";
  optimization = if fast then "0" else "2";
  # The one to keep refers to what it needs while it runs, and to nothing that built it.
  disallowedReferences = if fast then [ ] else [
    toolchain
    compiler
  ];
}
