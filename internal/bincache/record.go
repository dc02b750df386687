package bincache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/fault"

	"github.com/google/renameio/v2"
	"zombiezen.com/go/nix"
)

// Record says which store paths a stage of an installation ends with. The key of the stage is the
// digest of all that they depend on, so who wants them knows it before there is any Nix.
//
// Nobody signs it and nobody has to believe it: the paths are signed each for itself, and that they
// are the right ones is known once the package set was evaluated.
type Record struct {
	Version int               `json:"version"`
	Store   string            `json:"store"`
	Stage   string            `json:"stage"`
	Key     string            `json:"key"`
	Outputs map[string]string `json:"outputs"` // store paths by attribute
}

// recordVersion is that of the form above.
const recordVersion = 1

// recordName returns the name of a record in a cache.
func recordName(stage, key string) string { return "bootstrap/" + stage + "-" + key + ".json" }

// Record returns the record of a stage; it wraps [ErrMissing] if the cache has none.
func (c *Cache) Record(ctx context.Context, stage, key string) (*Record, error) {
	text, err := c.get(ctx, recordName(stage, key))
	if err != nil {
		return nil, err
	}
	r := &Record{}
	bad := func(what string) (*Record, error) {
		return nil, fault.New(fault.Verify, fmt.Errorf("cache %q: its record of stage %s cannot be used: %s", c.URL, stage, what),
			"whoever fills the cache has to push it again")
	}
	if err := json.Unmarshal(text, r); err != nil {
		return bad(err.Error())
	}
	switch {
	case r.Version != recordVersion:
		return bad(fmt.Sprintf("it has the form %d, and this program knows %d", r.Version, recordVersion))
	case r.Store != c.Store || r.Stage != stage || r.Key != key:
		return bad("it is of something else")
	}
	for name, out := range r.Outputs {
		if base, ok := strings.CutPrefix(out, c.Store+"/"); !ok || closure.CheckBase(base) != nil {
			return bad(fmt.Sprintf("its %q is no store path", name))
		}
	}
	return r, nil
}

// PutRecord puts a record into the cache, unless it is there already.
func (c *Cache) PutRecord(ctx context.Context, stage, key string, outputs map[string]string) error {
	name := recordName(stage, key)
	text, err := json.MarshalIndent(Record{recordVersion, c.Store, stage, key, outputs}, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if old, err := c.get(ctx, name); err == nil && bytes.Equal(old, text) {
		return nil
	} else if err != nil && !errors.Is(err, ErrMissing) {
		return err
	}
	return c.put(ctx, name, text)
}

// Create makes the cache, where there is none yet.
func (c *Cache) Create(ctx context.Context) error {
	if !c.New {
		return nil
	}
	text, err := (&nix.CacheInfo{StoreDirectory: nix.StoreDirectory(c.Store), WantMassQuery: true}).MarshalText()
	if err != nil {
		return err
	}
	return c.put(ctx, nix.CacheInfoName, text)
}

// put writes a file of the cache, as a whole.
func (c *Cache) put(ctx context.Context, name string, text []byte) error {
	dir := c.Directory()
	if dir == "" {
		return c.exchange(ctx, http.MethodPut, name, text, func(*http.Response) error { return nil })
	}
	file := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fault.New(fault.General, fmt.Errorf("cache %q: %w", c.URL, err), "give a directory that you may write to")
	}
	return renameio.WriteFile(file, text, 0o644, renameio.WithTempDir(filepath.Dir(file)), renameio.WithStaticPermissions(0o644))
}

// Copy makes a cache of a few objects in a directory, from the files that were fetched for them,
// by link or by copy. Nix takes from there what it was told to trust.
func Copy(dir, store string, objects []Object, place func(o Object, file string) error) error {
	info, err := (&nix.CacheInfo{StoreDirectory: nix.StoreDirectory(store)}).MarshalText()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, nix.CacheInfoName), info, 0o644); err != nil {
		return err
	}
	for _, o := range objects {
		file := filepath.Join(dir, filepath.FromSlash(o.FileName))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		// Two paths of the same contents have one file.
		if _, err := os.Lstat(file); errors.Is(err, os.ErrNotExist) {
			err = place(o, file)
			if err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, path.Base(o.InfoName)), o.Info, 0o644); err != nil {
			return err
		}
	}
	return nil
}
