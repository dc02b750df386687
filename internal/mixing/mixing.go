// Package mixing finds out whether an environment speaks of one store, or of several.
//
// A Nix takes its directories from variables where they are set, one by one, and every nix-shell
// sets NIX_STORE. Where they lead to another store than the nix in PATH belongs to, that nix works
// on the other store, or on half of each.
//
// The package looks at nothing: all it knows it is given. It never changes anything.
package mixing

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/prefix"
)

// Store is a store that is known, with the directories of its Nix.
type Store struct {
	Name   string        // how to speak of it: `the prefix "/opt/store"`
	Layout prefix.Layout // its directories; of a classic Nix only those that it has
	// Knows is the store directory its Nix knows, where the files lie elsewhere.
	Knows string
}

// Prefix returns the store of a prefix.
func Prefix(l prefix.Layout, diverted string) Store {
	return Store{Name: fmt.Sprintf("the prefix %q", l.Store), Layout: l, Knows: diverted}
}

// Classic returns the store of a classic Nix.
func Classic(l prefix.Layout) Store {
	return Store{Name: fmt.Sprintf("the Nix in %q", l.Root), Layout: l}
}

func (s Store) same(o Store) bool { return s.Layout.Store == o.Layout.Store }

// has reports whether a path is in one of the directories of the store.
func (s Store) has(path string) bool {
	l := s.Layout
	for _, dir := range []string{s.Knows, l.Store, l.State, l.Log, l.Conf, l.Work, l.RunLog, l.Share, l.ProfileD} {
		if dir != "" && (path == dir || strings.HasPrefix(path, dir+"/")) {
			return true
		}
	}
	return false
}

// Options are an environment, and what is known about this machine.
type Options struct {
	Env map[string]string
	// Nix is the store that the nix in PATH belongs to. It is nil where there is no nix, or one
	// of no store that is known.
	Nix *Store
	// Program is the path of that nix; "" where there is none.
	Program string
	Known   []Store
}

// Finding is something in an environment that speaks of another store.
type Finding struct {
	Variable string `json:"variable"`
	What     string `json:"what"`
	Why      string `json:"why"` // it matters
	Remedy   string `json:"remedy"`
}

// rootVariable has the root of the prefix that the env files have put into an environment.
const rootVariable = "BOOTSTRAP_PREFIX"

// directories are the variables each of which moves one directory of a Nix.
func directories() []string {
	return []string{"NIX_STORE", "NIX_STORE_DIR", "NIX_STATE_DIR", "NIX_LOG_DIR", "NIX_CONF_DIR"}
}

// lists are the variables with one path or several, of files that a Nix reads or writes besides.
func lists() []string {
	return []string{
		"NIX_STATE_HOME", "NIX_CACHE_HOME", "NIX_CONFIG_HOME", "NIX_DATA_HOME", "NIX_USER_CONF_FILES",
		"NIX_PROFILES", "NIX_PROFILE", "NIX_PATH", "NIX_BIN_DIR", "NIX_SSL_CERT_FILE",
	}
}

// Check returns what in the environment speaks of another store than the nix in PATH belongs to;
// where that is not known, than the prefix of the environment; and else, than the first variable.
func Check(o Options) []Finding {
	c := &checker{Options: o}
	c.root()
	for _, name := range directories() {
		c.directory(name)
	}
	c.half()
	c.remote()
	c.config()
	for _, name := range append([]string{"NIX_DAEMON_SOCKET_PATH"}, lists()...) {
		c.list(name)
	}
	return c.findings
}

// checker goes through the variables.
type checker struct {
	Options
	base     *Store // the store that everything should speak of; nil while none is known
	by       string // what says so
	told     *Store // whose env file is known to be out of place
	findings []Finding
}

func (c *checker) find(variable, what, why, remedy string) {
	c.findings = append(c.findings, Finding{Variable: variable, What: what, Why: why, Remedy: remedy})
}

// store returns the known store that a path is in, the innermost where one is inside the other.
func (c *checker) store(path string) *Store {
	var best *Store
	for i, s := range c.Known {
		if s.has(path) && (best == nil || len(s.Layout.Root) > len(best.Layout.Root)) {
			best = &c.Known[i]
		}
	}
	return best
}

// takes makes a store the one that everything should speak of, if there is none yet.
func (c *checker) takes(s *Store, by string) {
	if c.base == nil && s != nil {
		c.base, c.by = s, by
	}
}

// root compares the prefix in the environment with the nix in PATH.
func (c *checker) root() {
	if c.Nix != nil {
		c.takes(c.Nix, fmt.Sprintf("nix in PATH, %q, belongs to", c.Program))
	}
	root := c.Env[rootVariable]
	if root == "" {
		return
	}
	i := slices.IndexFunc(c.Known, func(s Store) bool { return s.Layout.Root == filepath.Clean(root) && s.Layout.Work != "" })
	if i < 0 {
		c.find(rootVariable, fmt.Sprintf("%s is %q, where no prefix is", rootVariable, root),
			"what the env file has set leads nowhere", "bootstrap_deactivate, or start a new shell")
		return
	}
	own := c.Known[i]
	remedy := "source " + own.Layout.EnvFile("sh") + " once more, or use `bootstrap shell`, which has the last word in PATH"
	switch {
	case c.Nix != nil && !c.Nix.same(own):
		c.told = &own
		c.find(rootVariable, fmt.Sprintf("the environment is that of %s, but nix in PATH, %q, belongs to %s", own.Name, c.Program, c.Nix.Name),
			"its caches, profiles and configuration are those of the one store, what it builds is in the other", remedy)
	case c.Nix == nil && c.Program != "":
		c.find(rootVariable, fmt.Sprintf("the environment is that of %s, but nix in PATH, %q, is not its own", own.Name, c.Program),
			"what it builds is not in the prefix", remedy)
	case c.Program == "":
		c.find(rootVariable, fmt.Sprintf("the environment is that of %s, but there is no nix in PATH", own.Name),
			"something has changed PATH since", remedy)
	}
	c.takes(&own, rootVariable+" names")
}
