package bincache_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzObject: of what a cache says of a path, nothing is taken that was not signed for it, and no name of
// a file that is not one of the cache's.
func FuzzObject(f *testing.F) {
	dir, key, secret := fixture(f)
	file := filepath.Join(dir, infoName(hello))
	good := signed(f, secret, hello, hello, libc)
	f.Add(good)
	f.Add([]byte(strings.Replace(string(good), "NarSize: 120", "NarSize: 121", 1)))
	f.Add([]byte(strings.Replace(string(good), "URL: nar/", "URL: ../nar/", 1)))
	f.Add(signed(f, secret, libc))
	c := open(f, options("file://"+dir, key))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		o, err := c.Object(t.Context(), hello)
		if err != nil {
			return
		}
		if o.NarSize != 120 || len(o.References) != 1 || o.References[0] != libc {
			t.Errorf("taken: %s", text)
		}
		if !filepath.IsLocal(o.FileName) || !strings.HasPrefix(o.FileName, "nar/") {
			t.Errorf("its file is %q", o.FileName)
		}
	})
}

// FuzzRecord: a record is of the stage and the key that were asked for, and names store paths.
func FuzzRecord(f *testing.F) {
	dir, key, _ := fixture(f)
	put(f, dir, "bootstrap/native-k.json", "")
	file := filepath.Join(dir, "bootstrap", "native-k.json")
	f.Add([]byte(`{"version":1,"store":"/opt/store","stage":"native","key":"k","outputs":{"nix":"` + hello + `"}}`))
	f.Add([]byte(`{"version":1,"store":"/opt/store","stage":"native","key":"k","outputs":{"nix":"/opt/store/../x"}}`))
	c := open(f, options("file://"+dir, key))
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := c.Record(t.Context(), "native", "k")
		if err != nil {
			return
		}
		for name, path := range r.Outputs {
			if filepath.Dir(path) != store || filepath.Clean(path) != path {
				t.Errorf("%q is %q", name, path)
			}
		}
	})
}
