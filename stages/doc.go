// Package stages takes a host without a Nix to a Nix that lives in a prefix.
//
// The whole story, as algebra; each line is one stage and one file of this package:
//
//	facts     = probe(host, prefix)                     what is here, and whether it can work
//	seed      = fetch(lock)                             every file verified by its sha256
//	host      = relink(unpack(seed: nix-bin and the libraries it needs))
//	toolchain = host.build(packages.toolchain)          in the prefix: compiler, meson, libraries
//	bootstrap = host.build(packages.nix, fast)          the prefix's directories compiled in
//	native    = bootstrap.build(packages.nix, full)     refers to no toolchain and to no file of the host
//	config    = configure(native, prefix)               nix.conf, files for the shells, GC roots
//	profile   = install(native)                         a generation with nix in it
//	proof     = native.build(a small derivation)        in every shell that is there
//
// A cache may have what toolchain or native would be. What made them is then left out:
//
//	toolchain = host.substitute(packages.toolchain)     signed by the key of the cache
//	native    = host.substitute(packages.nix)           no bootstrap nix, no compiler, no source
//
// Runtime mode ends early, with a Nix that is told of the prefix each time it is run:
//
//	runtime   = (host, options)                         programs that run the host nix on the prefix
//	proof     = runtime.build(a small derivation)
//
// Its store is the same one, so the whole pipeline may be run on it later.
//
// Why two Nixes are compiled: the host nix is whatever Debian has, or the user; it reaches the
// prefix only by environment variables that are easily lost. The bootstrap nix needs none of
// them, so the native nix is built by a Nix of its own version and with its own directories
// compiled in: it shows that the result can build itself.
//
// A stage has a key, the digest of everything it depends on: its part of the lock, the package
// set, the patches, the directories, and the keys of the stages before it. It has outputs. It is
// skipped where the journal says that it ended well with the same key and its outputs are still
// there. The journal has a record before and after each stage, on the disk before the next step,
// so that a run which was killed goes on where it was.
//
// Nothing here prints, reads the environment, or knows about flags; see [Options].
package stages
