package mixing

import (
	"fmt"
	"path/filepath"
	"strings"
)

// whyDirectory says what becomes of a directory that is another store's.
func whyDirectory(name string) string {
	switch name {
	case "NIX_STORE":
		return "every nix-shell sets it, and a Nix without the patches of bootstrap takes it for its store directory: " +
			"its garbage collector, knowing none of the paths there, deletes them"
	case "NIX_CONF_DIR":
		return "a nix reads the other's nix.conf, with its substituters, keys and sandbox"
	}
	return "a nix that is given one directory of another store works on half of each: it deletes what it does not know"
}

// directory looks at a variable that moves one directory of a Nix.
func (c *checker) directory(name string) {
	value := c.Env[name]
	if value == "" {
		return
	}
	path := filepath.Clean(value)
	other := c.store(path)
	c.takes(other, name+" names")
	switch {
	case other == nil && c.base == nil:
	case other == nil:
		c.find(name, fmt.Sprintf("%s is %q, which is no directory of %s, as %s it", name, value, c.base.Name, c.by),
			whyDirectory(name), c.remedy(name))
	case !other.same(*c.base):
		c.find(name, fmt.Sprintf("%s is %q, of %s; %s %s", name, value, other.Name, c.by, c.base.Name),
			whyDirectory(name), c.remedy(name))
	}
}

func (c *checker) remedy(name string) string {
	if name == "NIX_STORE" {
		return "leave the nix-shell that has set it, or: unset NIX_STORE"
	}
	return "unset " + name
}

// half looks for a store directory without its state directory, and the other way round. It does
// no harm to a nix whose own they are.
func (c *checker) half() {
	has := map[bool][]string{}
	for _, name := range []string{"NIX_STORE_DIR", "NIX_STATE_DIR"} {
		has[c.Env[name] != ""] = append(has[c.Env[name] != ""], name)
	}
	if len(has[true]) != 1 || c.Nix != nil {
		return
	}
	set, unset := has[true][0], has[false][0]
	c.find(set, fmt.Sprintf("%s is set and %s is not", set, unset), whyDirectory(set), "unset "+set+", or set both, and NIX_LOG_DIR")
}

// remote looks at the variable by which a nix asks a daemon, or opens a store at another place.
func (c *checker) remote() {
	const name = "NIX_REMOTE"
	value := c.Env[name]
	scheme, rest, _ := strings.Cut(value, "://")
	socket := filepath.Clean("/" + strings.TrimPrefix(rest, "/"))
	switch {
	case value == "", value == "auto", value == "local", c.base == nil:
		return
	case value == "daemon":
		if c.base.Layout.Work == "" {
			return // a classic one, whose daemon it means
		}
	case scheme == "unix" && c.base.has(socket):
		return // its own, as in a build of Nix itself
	case strings.HasPrefix(value, "local?") && c.own(value):
		return
	}
	c.find(name, fmt.Sprintf("%s is %q; %s %s", name, value, c.by, c.base.Name),
		"a nix asks the store behind it in place of its own", "unset "+name)
}

// own reports whether the parameters of a local store name no other directory than those of the base.
func (c *checker) own(uri string) bool {
	_, query, _ := strings.Cut(uri, "?")
	for param := range strings.SplitSeq(query, "&") {
		if _, value, _ := strings.Cut(param, "="); strings.HasPrefix(value, "/") && !c.base.has(filepath.Clean(value)) {
			return false
		}
	}
	return true
}

// config looks for a store in the settings that the environment has.
func (c *checker) config() {
	const name = "NIX_CONFIG"
	for line := range strings.Lines(c.Env[name]) {
		key, value, _ := strings.Cut(line, "=")
		if value = strings.TrimSpace(value); strings.TrimSpace(key) != "store" || value == "local" || value == "auto" {
			continue
		}
		c.find(name, fmt.Sprintf("%s says: %s", name, strings.TrimSpace(line)),
			"a nix works on that store, whatever its nix.conf says", "unset "+name+", or take the line out")
	}
}

// list looks at a variable that has one path or several. What is in no store is nobody's business.
func (c *checker) list(name string) {
	for _, path := range paths(c.Env[name]) {
		other := c.store(path)
		c.takes(other, name+" names")
		if other == nil || c.base == nil || other.same(*c.base) || c.told != nil && other.same(*c.told) {
			continue
		}
		c.find(name, fmt.Sprintf("%s has %q, of %s; %s %s", name, path, other.Name, c.by, c.base.Name),
			"profiles, caches and expressions of the other store get into this one, and are gone when the other is removed",
			"leave the other's env file or nix-shell, or: unset "+name)
		return // one of them says enough
	}
}

// paths returns the absolute paths in a variable: of a list by colons or blanks, and behind the
// name and the equals sign of an element of NIX_PATH.
func paths(value string) []string {
	var found []string
	for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == ' ' || r == '\n' }) {
		if _, after, ok := strings.Cut(word, "="); ok {
			word = after
		}
		if filepath.IsAbs(word) {
			found = append(found, filepath.Clean(word))
		}
	}
	return found
}
