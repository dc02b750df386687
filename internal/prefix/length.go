package prefix

import (
	"fmt"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
)

// Limits of the kernel that a path of the prefix runs into.
const (
	// shebangLimit is how much of a #! line counts, `#!` included:
	// BINPRM_BUF_SIZE less its NUL, linux/include/uapi/linux/binfmts.h before 5.1.
	// It is 255 since; but what is installed here may be carried to an older kernel.
	shebangLimit = 127
	// socketLimit is sizeof(sun_path) less its NUL, unix(7).
	socketLimit = 107
	// nameLimit is NAME_MAX, linux/include/uapi/linux/limits.h.
	nameLimit = 255
)

const (
	// hashLen is how many characters the digest of a store path has.
	hashLen = 32
	// interpreter is the longest interpreter of a script in the package set:
	// templates/packages/builders/toolchain.sh leaves no longer one.
	interpreter = "toolchain/usr/bin/python3"
	// buildDir is the last element of [Layout.BuildDir].
	buildDir = "builds"
	// buildSocket is a socket that an unsandboxed build makes in its directory;
	// a sandboxed one sees it below /build, where there is room enough.
	buildSocket = "nix-build-package.drv-0/socket"
)

// Budget is one limit of the kernel, and the longest path of a prefix that runs into it.
type Budget struct {
	What  string // "#! line", "socket"
	Worst string // the text that counts
	Limit int    // bytes that Worst may have
}

// Over returns by how many bytes Worst is too long; it is negative where there is room.
func (b Budget) Over() int { return len(b.Worst) - b.Limit }

// Budgets returns what l needs of each limit of the kernel.
func (l Layout) Budgets() []Budget {
	return []Budget{
		{"#! line", "#!" + l.StorePath(strings.Repeat("0", hashLen)+"-"+interpreter), shebangLimit},
		{"socket", filepath.Join(l.State, "daemon-socket", "socket"), socketLimit},
		{"socket", filepath.Join(l.State, "gc-socket", "socket"), socketLimit},
		{"socket", filepath.Join(l.BuildDir(), buildSocket), socketLimit},
	}
}

// checkLength refuses a layout that is over one of its budgets, naming the worst.
func checkLength(l Layout) error {
	var worst Budget
	for _, b := range l.Budgets() {
		if b.Over() > worst.Over() {
			worst = b
		}
	}
	if worst.Over() <= 0 {
		return nil
	}
	noun, name, flag := "prefix", l.Store, "--prefix"
	if !strings.HasPrefix(worst.Worst, "#!") && l.State != layout(l.Store).State {
		noun, name, flag = "state directory", l.State, "--state-dir"
	}
	return fault.New(fault.Usage,
		fmt.Errorf("%s %q: path too long: a %s would have %d bytes and the limit is %d",
			noun, name, worst.What, len(worst.Worst), worst.Limit),
		fmt.Sprintf("make %s %s shorter", flag, count(worst.Over(), "byte")))
}

// hasLongName reports whether an element of the path is longer than any file name may be.
func hasLongName(path string) bool {
	for elem := range strings.SplitSeq(path, "/") {
		if len(elem) > nameLimit {
			return true
		}
	}
	return false
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
