{ system, toolchain }:

derivation {
  name = "runtime";
  inherit system toolchain;
  inherit (toolchain) triplet loader;
  builder = "${toolchain}/usr/bin/bash";
  args = [
    "-eu"
    ./builders/runtime.sh
  ];
  PATH = "${toolchain}/usr/bin";

  # What programs are linked with by name; the libraries those need follow from their ELF headers.
  libraries = [
    "archive"
    "boost_container"
    "boost_context"
    "boost_coroutine"
    "boost_thread"
    "brotlicommon"
    "brotlidec"
    "brotlienc"
    "crypto"
    "curl-gnutls"
    "gc"
    "git2"
    "history"
    "lowdown"
    "readline"
    "seccomp"
    "sodium"
    "sqlite3"
    "ssl"
    "z"
  ]
  ++ (if system == "x86_64-linux" then [ "cpuid" ] else [ ]);

  # What some versions of Nix, or of the libraries above, are linked with, where the toolchain has it.
  optional = [
    "blake3"
    "boost_iostreams"
    "boost_regex"
    "boost_system"
    "boost_url"
  ];

  # What every program needs.
  sonames = [
    "libc.so.6"
    "libm.so.6"
    "libgcc_s.so.1"
    "libnss_dns.so.2" # opened by name, to resolve the names of hosts
    "libstdc++.so.6"
  ];

  disallowedReferences = [ toolchain ];
}
