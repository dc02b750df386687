// Package drv moves derivations from one store directory to another without evaluating them again.
//
// The hash in a store path is computed from the inputs and from the store directory, so that the same expression
// has other names at another prefix. [Transport] reads the closure of a .drv file that was made at a distinctive
// prefix, and computes the files, sources and outputs that evaluation would have given at the other one.
//
// The formats and rules are those of Nix 2.26.3: src/libstore/derivations.cc (ATerm, hashDerivationModulo),
// src/libstore/store-api.cc and store-dir-config.hh (store paths), and the manual's chapter "Store Path Specification",
// https://nix.dev/manual/nix/2.26/protocols/store-path.
//
// The package never builds, never evaluates, and writes nothing to a store. What it cannot prove, it refuses,
// with a [RefusedError]; what it cannot see, such as a digest of a path, gives names that nobody has. Directories
// beside the store directory, such as Nix itself has compiled in, move along where [Options] names them.
package drv
