// Package transplant makes store paths of another prefix out of those in a bundle: it computes the
// names that evaluation gives them there, rewrites the contents, and puts them into the store
// directory.
//
// [Fit] says beforehand whether it can be. [Stage] writes everything under names that no store path
// has; [Staged.Commit] gives them theirs, and [Staged.Discard] takes it away. Nothing is registered here: that is for the Nix that has
// arrived. Whoever calls it has found the bundle to be the one that was meant.
package transplant
