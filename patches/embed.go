// Package patches holds the changes that Nix's source gets before it is built
// for a prefix: which there are, why, and for which versions of Nix.
//
// A patch is a file <version>/NNNN-<slug>.patch. It begins with a header of
// five fields, in this order, whose values may go on in lines that begin with
// a space:
//
//	Subject:  what it does, in one line
//	Why:      what goes wrong without it
//	Upstream: the issue or change it is related to, or "none known"
//	Range:    the versions of Nix it is for, such as ">= 2.26.3, < 2.27"
//	Until:    when it can go
//
// An empty line, a line "---" and a diff in git's format follow. The diffs of
// one directory apply in the order of their numbers, with patch -p1 --fuzz=0.
// Series are for one minor version each, since the context of a diff is; a
// change that later versions need as well is a file of its own there.
//
// The package writes nothing: [Check] applies patches in memory, to say whether they apply.
package patches

import "embed"

// FS holds the patch files, as <version>/NNNN-<slug>.patch.
//
//go:embed */*.patch
var FS embed.FS
