// Package nixbundle owns the file that carries a Nix to a prefix it was not built for.
//
// The file is a head, and a tarball compressed with zstd. The head is a frame that zstd passes over
// (RFC 8878, 3.1.2, number 11), so `tar --zstd -xf` unpacks the whole file; the result is a binary
// cache, as Nix's file:// has them:
//
//	nix-cache-info      the store directory
//	<digest>.narinfo    of every path: what Nix knows of it, with its signatures
//	nar/<digest>.nar    the recipe first: .drv files and sources; then what they make
//
// The head is a line of JSON, [Head], and a line `Sig: <name>:<base64>` for each signature of it. It
// has the digest of all that follows it, so a signature on the head is one on the file.
//
// The package reads and writes, and trusts nothing that it reads before a digest or a signature that
// the caller has was found right. What becomes of the contents is for internal/transplant.
package nixbundle
