package run

import (
	"maps"
	"slices"
)

// Env is the whole environment of a child. Nil is an empty one.
type Env map[string]string

// BaseEnv returns the environment every child starts from: the directories given,
// the C locale and UTC, so that no child's output depends on who runs it.
// path is a list as PATH has it.
func BaseEnv(home, tmp, path string) Env {
	return Env{
		"HOME":   home,
		"LC_ALL": "C",
		"PATH":   path,
		"TMPDIR": tmp,
		"TZ":     "UTC",
	}
}

// With returns a copy of e in which the variables of more are set.
func (e Env) With(more Env) Env {
	out := Env{}
	maps.Copy(out, e)
	maps.Copy(out, more)
	return out
}

// WithUser returns a copy of e with USER and LOGNAME set,
// for programs that ask for a name where the uid has no passwd entry.
func (e Env) WithUser(name string) Env {
	return e.With(Env{"USER": name, "LOGNAME": name})
}

// list returns e in the order of its names. It is never nil,
// because os/exec takes nil for the parent's environment.
func (e Env) list() []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(e)) {
		out = append(out, name+"="+e[name])
	}
	return out
}
