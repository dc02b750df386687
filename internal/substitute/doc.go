// Package substitute makes a binary cache of one store directory into one of another: it finds out which path of the
// other store directory a path here would be, fetches that one, relocates it, and offers the result to the Nix here.
//
// The names come from [bootstrap/internal/drv], by the derivations that are in the store already: what the other cache
// has under such a name is that very recipe, or nothing. The bytes come from [bootstrap/internal/relocate], after the
// other cache's signature and digest were found right. What cannot be proven or has to be refused is not offered, and
// Nix builds it.
//
// The package writes to no store and runs no Nix. What it makes is in a directory of its own, a [Cache].
package substitute
