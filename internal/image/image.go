// Package image makes container images of closures, without a container engine.
//
// What it writes is one tarball that is two things at once, as `docker save` has it since version
// 25: an OCI image layout, https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md,
// and an archive that `docker load` of any version reads, by its manifest.json.
package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"time"

	"bootstrap/internal/closure"
	"bootstrap/internal/packed"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// Options say what is in an image, and how it is run.
type Options struct {
	Closure *closure.Closure
	Root    *os.Root // its store directory, open
	Scratch string   // a directory for the layers while they are made

	Name         string // with a tag: "hello-2.10:<digest>"
	Architecture string // "amd64", "arm64"
	Entrypoint   []string
	Env          []string // NAME=value
	User         string   // numbers: "1000" or "1000:1000"
	WorkingDir   string
	Labels       map[string]string

	Owner packed.Owner // of all files but those of the system
	Files []File       // that are in no package, in the order of their names, directories first

	Done func(bytes int64) // told of what was written of store paths; may be nil
}

// File is a file of the image that is in no package.
type File struct {
	Name   string // absolute
	Mode   int64
	Owner  packed.Owner
	Data   []byte // of a file
	Target string // of a symbolic link
	Kind   Kind
}

// Kind is what a [File] is.
type Kind int

// The kinds of files.
const (
	Regular Kind = iota
	Directory
	Link
)

// Result is what was made.
type Result struct {
	Digest string `json:"digest"` // of the manifest: what a registry and an engine call the image
	Layers int    `json:"layers"`
}

// created is when every image was made: it must not depend on when it was.
var created = v1.Time{Time: time.Unix(1, 0).UTC()}

// Write makes an image and writes it.
func Write(ctx context.Context, w io.Writer, o Options) (Result, error) {
	img, err := o.image(ctx)
	if err != nil {
		return Result{}, err
	}
	digest, err := img.Digest()
	if err != nil {
		return Result{}, err
	}
	layers, err := img.Layers()
	if err != nil {
		return Result{}, err
	}
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: img,
		Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "linux", Architecture: o.Architecture},
			Annotations: map[string]string{"org.opencontainers.image.ref.name": o.Name},
		},
	})
	return Result{Digest: digest.String(), Layers: len(layers)}, o.write(ctx, w, img, index)
}

// image makes the layers, what changes least first, and the configuration.
func (o Options) image(ctx context.Context) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	add := func(what string, l *layer) (err error) {
		img, err = mutate.Append(img, mutate.Addendum{
			Layer: l, MediaType: types.OCILayer,
			History: v1.History{Created: created, CreatedBy: "bootstrap export container", Comment: what},
		})
		return err
	}
	groups := split(o.Closure.Paths, mostLayers)
	layers, err := o.layers(ctx, groups)
	if err != nil {
		return nil, err
	}
	for i, paths := range groups {
		what := paths[0].Path
		if len(paths) > 1 {
			what = fmt.Sprintf("%d store paths", len(paths))
		}
		if err := add(what, layers[i]); err != nil {
			return nil, err
		}
	}
	if len(o.Files) > 0 {
		l, err := newLayer(o.Scratch, o.files)
		if err != nil {
			return nil, err
		}
		if err := add("links and configuration", l); err != nil {
			return nil, err
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS, config.Created = o.Architecture, "linux", created
	config.Config = v1.Config{
		Entrypoint: o.Entrypoint, Env: o.Env, User: o.User, WorkingDir: o.WorkingDir, Labels: o.Labels,
	}
	return mutate.ConfigFile(img, config)
}

// layers makes the layers of store paths, as many at a time as there are processors: compressing
// takes most of the time.
func (o Options) layers(ctx context.Context, groups [][]closure.Path) ([]*layer, error) {
	layers := make([]*layer, len(groups))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	if done := o.Done; done != nil {
		var mu sync.Mutex
		o.Done = func(bytes int64) {
			mu.Lock()
			defer mu.Unlock()
			done(bytes)
		}
	}
	for i, paths := range groups {
		group.Go(func() (err error) {
			layers[i], err = newLayer(o.Scratch, func(t *tar.Writer) error { return o.store(ctx, t, paths) })
			return err
		})
	}
	return layers, group.Wait()
}

// store writes store paths with the directories above them, so that those are the same in every layer.
func (o Options) store(ctx context.Context, t *tar.Writer, paths []closure.Path) error {
	w := packed.Writer{Tar: t, Owner: o.Owner, Done: o.Done}
	if err := o.above(t, o.Closure.Store); err != nil {
		return err
	}
	for _, p := range paths {
		if err := w.Store(ctx, o.Root, o.Closure.Store, p.Base()); err != nil {
			return err
		}
	}
	return nil
}

// above writes a store directory and those above it. The outermost are root's.
func (o Options) above(t *tar.Writer, store string) error {
	parents := Parents(store)
	for _, dir := range parents {
		w := packed.Writer{Tar: t}
		if dir == store {
			w.Owner = o.Owner
		}
		if err := w.Directory(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// Parents returns a directory with those above it, from the outermost on, without "/".
func Parents(dir string) []string {
	var all []string
	for i, c := range dir {
		if c == '/' && i > 0 {
			all = append(all, dir[:i])
		}
	}
	return append(all, dir)
}

// files writes what is in no package.
func (o Options) files(t *tar.Writer) error {
	for _, f := range o.Files {
		w := packed.Writer{Tar: t, Owner: f.Owner}
		var err error
		switch f.Kind {
		case Directory:
			err = w.Directory(f.Name, f.Mode)
		case Link:
			err = w.Link(f.Name, f.Target)
		case Regular:
			err = w.File(f.Name, f.Mode, f.Data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dockerManifest is what `docker load` looks for: manifest.json, an array of these.
// https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format
type dockerManifest struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// write writes the tarball: blobs by their digests, and the files that lead to them.
func (o Options) write(ctx context.Context, to io.Writer, img v1.Image, index v1.ImageIndex) error {
	w := packed.Writer{Tar: tar.NewWriter(to)}
	config, err := img.ConfigName()
	if err != nil {
		return err
	}
	docker := dockerManifest{Config: blob(config), RepoTags: []string{o.Name}}
	for _, dir := range []string{"blobs", "blobs/sha256"} {
		if err := w.Directory(dir, 0o755); err != nil {
			return err
		}
	}
	written := map[string]bool{}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		name, err := o.layerBlob(ctx, &w, l, written)
		if err != nil {
			return err
		}
		docker.Layers = append(docker.Layers, name)
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]dockerManifest{docker})
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text func() ([]byte, error)
	}{
		{blob(config), img.RawConfigFile},
		{blob(digest), img.RawManifest},
		{"index.json", index.RawManifest},
		{"manifest.json", func() ([]byte, error) { return manifest, nil }},
		{"oci-layout", func() ([]byte, error) { return []byte(`{"imageLayoutVersion":"1.0.0"}`), nil }},
	} {
		data, err := f.text()
		if err != nil {
			return err
		}
		if err := w.File(f.name, 0o644, data); err != nil {
			return err
		}
	}
	return w.Tar.Close()
}

func (o Options) layerBlob(ctx context.Context, w *packed.Writer, l v1.Layer, written map[string]bool) (name string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	digest, err := l.Digest()
	if err != nil {
		return "", err
	}
	size, err := l.Size()
	if err != nil {
		return "", err
	}
	name = blob(digest)
	if written[name] {
		return name, nil
	}
	written[name] = true
	from, err := l.Compressed()
	if err != nil {
		return "", err
	}
	defer from.Close()
	return name, w.Reader(name, 0o644, size, from)
}

func blob(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
