package stages

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestProved: a Nix is believed only if what it says it has built is in this store, and is what it was to build.
func TestProved(t *testing.T) {
	o := options(t, t.TempDir())
	r := newRun(t, o)
	store := o.Layout.Store
	path := filepath.Join(store, strings.Repeat("0", 32)+"-"+proofName)
	for name, tt := range map[string]struct {
		said, text string
		want       string // in the error
	}{
		"right":                   {path + "\n", "run-1-sh " + store + "\n", ""},
		"of another run":          {path + "\n", "run-0-sh " + store + "\n", "what it has built has the text"},
		"another store directory": {path + "\n", "run-1-sh /nix/store\n", "what it has built has the text"},
		"in another store":        {"/nix/store/" + filepath.Base(path) + "\n", "run-1-sh " + store + "\n", "not in the store directory"},
		"says nothing":            {"", "run-1-sh " + store + "\n", "not in the store directory"},
		"says more":               {"hello\n" + path + "\n", "run-1-sh " + store + "\n", "not in the store directory"},
		"is not there":            {path + "x\n", "run-1-sh " + store + "\n", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			put(t, path, tt.text)
			err := r.proved([]byte(tt.said), r.proofText("sh"))
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, not %q", err, tt.want)
			}
		})
	}
}
