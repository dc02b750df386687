package shellrc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// fishPrefix begins the name of every file of ours in fish's conf.d.
const fishPrefix = "bootstrap-"

// wanted is a file that should hold a block, and the block's command.
type wanted struct {
	path    string
	command string
}

// files returns the files [Add] changes, each once.
//
// Which file a shell reads when: bash(1) and zshall(1) and tcsh(1), "Startup and shutdown" or
// "Invocation"; fish, "Configuration files". A login bash reads the first of .bash_profile,
// .bash_login and .profile; an interactive one that is not a login shell reads .bashrc.
// tcsh reads .cshrc only where there is no .tcshrc.
func (o *Options) files() []wanted {
	var out []wanted
	add := func(path, command string) {
		w := wanted{path, command}
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	posix := posixCommand(o.EnvSh)
	for _, shell := range o.Shells {
		switch shell {
		case Sh:
			add(o.home(".profile"), posix)
		case Bash:
			add(o.home(".bashrc"), posix)
			add(o.firstOf(".bash_profile", ".bash_login", ".profile"), posix)
		case Zsh:
			add(filepath.Join(o.ZDotDir, ".zshenv"), posix)
		case Fish:
			add(o.fishFile(), fishCommand(o.EnvFish))
		case Csh:
			csh := cshCommand(o.EnvCsh)
			add(o.firstOf(".tcshrc", ".cshrc"), csh)
			if exists(o.home(".cshrc")) {
				add(o.home(".cshrc"), csh)
			}
		}
	}
	return out
}

// everyFile returns every file [Add] may ever have changed.
func (o *Options) everyFile() []string {
	out := []string{filepath.Join(o.ZDotDir, ".zshenv"), o.fishFile()}
	for _, name := range []string{".profile", ".bashrc", ".bash_profile", ".bash_login", ".zshenv", ".tcshrc", ".cshrc"} {
		out = append(out, o.home(name))
	}
	return out
}

func (o *Options) home(name string) string { return filepath.Join(o.Home, name) }

// firstOf returns the first of the names that exists, or the last.
func (o *Options) firstOf(names ...string) string {
	for _, name := range names {
		if exists(o.home(name)) {
			return o.home(name)
		}
	}
	return o.home(names[len(names)-1])
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// fishFile returns a file of the prefix's own: fish reads everything in conf.d.
// The digest keeps apart prefixes whose names differ only in what a file name should not hold.
func (o *Options) fishFile() string {
	sum := sha256.Sum256([]byte(o.Root))
	base := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '-'
	}, filepath.Base(o.Root))
	base = base[:min(len(base), 40)]
	name := fmt.Sprintf("%s%s-%s.fish", fishPrefix, base, hex.EncodeToString(sum[:4]))
	return filepath.Join(o.ConfigHome, "fish", "conf.d", name)
}

func posixCommand(env string) string {
	q := QuotePOSIX(env)
	return "if [ -r " + q + " ]; then . " + q + "; fi"
}

func fishCommand(env string) string {
	q := QuoteFish(env)
	return "if test -r " + q + "; source " + q + "; end"
}

// cshCommand takes three lines, because csh expands and parses the command of a
// one-line "if" even where it is not run.
func cshCommand(env string) string {
	q := QuoteCsh(env)
	return "if ( -r " + q + " ) then\n  source " + q + "\nendif"
}
