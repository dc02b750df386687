package main

import (
	"runtime/debug"
	"strings"
)

// release is set by scripts/release: -ldflags "-X main.release=…".
var release = ""

// programVersion returns the version of this program: the release, or the commit it was built
// from where Go knows it.
func programVersion() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}

func hasUTF8(locale string) bool {
	l := strings.ToLower(locale)
	return strings.Contains(l, "utf-8") || strings.Contains(l, "utf8")
}
