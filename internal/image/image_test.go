package image_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/closure"
	"bootstrap/internal/image"
	"bootstrap/internal/packed"
	"bootstrap/internal/prefix"
	"bootstrap/internal/storetest"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const store = "/p/store"

// write makes an image of a closure; change may set options.
func write(t *testing.T, c *closure.Closure, change func(*image.Options)) ([]byte, image.Result) {
	t.Helper()
	root, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	links, err := image.Links(c, root, c.Wanted)
	if err != nil {
		t.Fatal(err)
	}
	o := image.Options{
		Closure: c, Root: root, Scratch: t.TempDir(), Name: "app:1", Architecture: "arm64",
		Entrypoint: []string{"/bin/app", "-x"}, Env: []string{"A=b"}, User: "7:8", WorkingDir: "/w",
		Labels: map[string]string{"k": "v"}, Files: links,
	}
	if change != nil {
		change(&o)
	}
	var b bytes.Buffer
	made, err := image.Write(context.Background(), &b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), made
}

// unpack writes a tarball below a directory, and returns the names in it.
func unpack(t *testing.T, data []byte, dir string) []string {
	t.Helper()
	var names []string
	r := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else if text, rerr := io.ReadAll(r); rerr != nil {
			err = rerr
		} else {
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// entry is a file of a layer, as far as tests look at it.
type entry struct {
	Kind     byte
	Mode     int64
	UID, GID int
	Target   string
}

// entries returns the files of an image, a later layer's in place of an earlier's.
func entries(t *testing.T, img v1.Image) map[string]entry {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]entry{}
	for _, l := range layers {
		from, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		r := tar.NewReader(from)
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !h.ModTime.Equal(time.Unix(1, 0)) || h.Uname != "" || h.Gname != "" {
				t.Errorf("%s: of %q at %s", h.Name, h.Uname, h.ModTime)
			}
			all["/"+strings.TrimSuffix(h.Name, "/")] = entry{h.Typeflag, h.Mode, h.Uid, h.Gid, h.Linkname}
		}
		if err := from.Close(); err != nil {
			t.Error(err)
		}
	}
	return all
}

// open reads a tarball as both of the things that it is, and returns the image.
func open(t *testing.T, data []byte) v1.Image {
	t.Helper()
	dir := t.TempDir()
	unpack(t, data, dir)
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Errorf("as an OCI layout: %v", err)
	}
	docker, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(docker); err != nil {
		t.Errorf("as docker's archive: %v", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 {
		t.Fatalf("%d images in the index", len(manifest.Manifests))
	}
	d := manifest.Manifests[0]
	if d.Platform == nil || d.Platform.OS != "linux" || d.Platform.Architecture != "arm64" ||
		d.Annotations["org.opencontainers.image.ref.name"] != "app:1" {
		t.Errorf("in the index: %+v %v", d.Platform, d.Annotations)
	}
	img, err := index.Image(d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestWrite(t *testing.T) {
	t.Parallel()
	c := storetest.Sample(t, t.TempDir(), store)
	data, made := write(t, c, nil)
	img := open(t, data)
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	want := v1.Config{
		Entrypoint: []string{"/bin/app", "-x"}, Env: []string{"A=b"}, User: "7:8", WorkingDir: "/w", Labels: map[string]string{"k": "v"},
	}
	if diff := cmp.Diff(want, config.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if config.Architecture != "arm64" || config.OS != "linux" || !config.Created.Time.Equal(time.Unix(1, 0)) {
		t.Errorf("for %s/%s at %s", config.OS, config.Architecture, config.Created)
	}
	if digest, err := img.Digest(); err != nil || digest.String() != made.Digest || made.Layers != 4 {
		t.Errorf("%s, %v: not %+v", digest, err, made)
	}
	got := entries(t, img)
	app := "/p/store/" + c.Paths[1].Base()
	for name, want := range map[string]entry{
		"/p":                      {tar.TypeDir, 0o755, 0, 0, ""},
		"/p/store":                {tar.TypeDir, 0o755, 0, 0, ""},
		app:                       {tar.TypeDir, 0o555, 0, 0, ""},
		app + "/bin/app":          {tar.TypeReg, 0o555, 0, 0, ""},
		app + "/share/man/app.1":  {tar.TypeReg, 0o444, 0, 0, ""},
		app + "/bin/lib":          {tar.TypeSymlink, 0o777, 0, 0, c.Paths[0].Path + "/lib/libx.so"},
		"/bin":                    {tar.TypeSymlink, 0o777, 0, 0, app + "/bin"},
		"/share":                  {tar.TypeSymlink, 0o777, 0, 0, app + "/share"},
		"/etc":                    {tar.TypeDir, 0o755, 0, 0, ""},
		"/etc/app.conf":           {tar.TypeSymlink, 0o777, 0, 0, app + "/etc/app.conf"},
		"/" + c.Paths[2].Path[1:]: {tar.TypeReg, 0o444, 0, 0, ""},
	} {
		if got[name] != want {
			t.Errorf("%s is %+v, not %+v", name, got[name], want)
		}
	}
	for name := range got {
		if top := strings.Split(name, "/")[1]; !slices.Contains([]string{"p", "bin", "share", "etc"}, top) {
			t.Errorf("%s belongs to nothing", name)
		}
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	first, _ := write(t, storetest.Sample(t, t.TempDir(), store), nil)
	time.Sleep(10 * time.Millisecond)
	second, _ := write(t, storetest.Sample(t, t.TempDir(), store), nil)
	if !bytes.Equal(first, second) {
		t.Error("the same closure, made elsewhere and later, has other bytes")
	}
}

// TestSharesLayers makes sure that what two images have in common is stored once by who has both.
func TestSharesLayers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := storetest.Sample(t, dir, store)
	other := storetest.Path(t, dir, store, storetest.Digest("d")+"-other", storetest.Tree{"bin/other": "+x other"}, c.Paths[0].Base())
	d := storetest.Closure(dir, store, []closure.Path{c.Paths[0], other}, 1)
	digests := func(c *closure.Closure) map[string]bool {
		data, _ := write(t, c, nil)
		layers, err := open(t, data).Layers()
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]bool{}
		for _, l := range layers {
			digest, err := l.Digest()
			if err != nil {
				t.Fatal(err)
			}
			all[digest.String()] = true
		}
		return all
	}
	common := 0
	second := digests(d)
	for digest := range digests(c) {
		if second[digest] {
			common++
		}
	}
	if common != 1 {
		t.Errorf("they have %d layers in common, not the one of the library", common)
	}
}

// TestManyPaths has more store paths than an image may have layers.
func TestManyPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var paths []closure.Path
	for i := range 100 {
		base := storetest.Digest(string("0123456789"[i/10])+string("0123456789"[i%10])) + "-x"
		var references []string
		if i > 0 {
			references = []string{paths[i-1].Base()}
		}
		paths = append(paths, storetest.Path(t, dir, store, base, storetest.Tree{"": base}, references...))
	}
	data, made := write(t, storetest.Closure(dir, store, paths, 99), nil)
	if made.Layers != 64 {
		t.Errorf("%d layers", made.Layers)
	}
	got := entries(t, open(t, data))
	for _, p := range paths {
		if got[p.Path].Kind != tar.TypeReg {
			t.Errorf("%s is not there", p.Path)
		}
	}
}

func TestMergeTakesTheLater(t *testing.T) {
	t.Parallel()
	merged := image.Merge(
		[]image.File{{Name: "/etc", Kind: image.Directory}, {Name: "/etc/passwd", Kind: image.Link, Target: "x"}},
		[]image.File{{Name: "/etc", Kind: image.Directory, Mode: 1}, {Name: "/etc/passwd", Data: []byte("root")}, {Name: "/tmp"}},
	)
	want := []image.File{{Name: "/etc", Kind: image.Directory, Mode: 1}, {Name: "/etc/passwd", Data: []byte("root")}, {Name: "/tmp"}}
	if diff := cmp.Diff(want, merged); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// row is a row of Nix's database as far as it matters here.
func row(digest string, when uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte("/p/store/x"+"sha256:"+digest), when)
}

func TestTimeless(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0a", 32)
	// The bytes of a time may happen to be those of letters.
	from, to := time.Unix(0x6bc3a9c3, 0), time.Unix(0x6bc3a9c5, 0)
	data := slices.Concat(row(digest, 0x6bc3a9c3), []byte("\xa9"), row(digest, 0x6bc3a9c5))
	want := slices.Concat(row(digest, 1), []byte("\xa9"), row(digest, 1))
	if err := image.Timeless(data, 2, from, to); err != nil || !bytes.Equal(data, want) {
		t.Errorf("%v\n%q", err, data)
	}
	from = time.Unix(1_800_000_000, 500_000_000)
	to = from.Add(2 * time.Second)
	data = slices.Concat([]byte("SQLite"), row(digest, 1_800_000_000), []byte("between"), row(digest, 1_800_000_002), []byte("end"))
	want = slices.Concat([]byte("SQLite"), row(digest, 1), []byte("between"), row(digest, 1), []byte("end"))
	if err := image.Timeless(data, 2, from, to); err != nil || !bytes.Equal(data, want) {
		t.Errorf("%v\n%q", err, data)
	}
	for name, bad := range map[string][]byte{
		"earlier":   slices.Concat(row(digest, 1_799_999_999), row(digest, 1_800_000_000)),
		"later":     slices.Concat(row(digest, 1_800_000_003), row(digest, 1_800_000_000)),
		"one alone": row(digest, 1_800_000_000),
		"three":     slices.Concat(row(digest, 1_800_000_000), row(digest, 1_800_000_000), row(digest, 1_800_000_000)),
		"nothing":   nil,
		"cut":       slices.Concat(row(digest, 1_800_000_000), row(digest, 1_800_000_000)[:83]),
	} {
		if err := image.Timeless(bad, 2, from, to); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSystem(t *testing.T) {
	t.Parallel()
	l := layoutAt(t, "/p")
	s := image.System{
		Layout: l, Store: store, Owner: packed.Owner{UID: 1000, GID: 100},
		Conf: []byte("conf"), Database: []byte("db"), Schema: []byte("10\n"), Bundle: store + "/x/ca", Keep: []string{store + "/x"},
	}
	c := storetest.Sample(t, t.TempDir(), store)
	data, _ := write(t, c, func(o *image.Options) { o.Owner, o.Files = s.Owner, image.Merge(o.Files, s.Files()) })
	got := entries(t, open(t, data))
	for name, want := range map[string]entry{
		"/p":                             {tar.TypeDir, 0o755, 1000, 100, ""},
		store:                            {tar.TypeDir, 0o755, 1000, 100, ""},
		c.Paths[1].Path + "/bin/app":     {tar.TypeReg, 0o555, 1000, 100, ""},
		"/p/var/nix/db/db.sqlite":        {tar.TypeReg, 0o644, 1000, 100, ""},
		"/p/var/nix/db/schema":           {tar.TypeReg, 0o644, 1000, 100, ""},
		"/p/var/nix/builds":              {tar.TypeDir, 0o755, 1000, 100, ""},
		"/p/var/nix/gcroots/bootstrap/x": {tar.TypeSymlink, 0o777, 1000, 100, store + "/x"},
		"/p/var/nix/gcroots/profiles":    {tar.TypeSymlink, 0o777, 1000, 100, "/p/var/nix/profiles"},
		"/p/etc/nix/nix.conf":            {tar.TypeReg, 0o644, 1000, 100, ""},
		"/p/etc/nix/ca-bundle.crt":       {tar.TypeSymlink, 0o777, 1000, 100, store + "/x/ca"},
		"/home":                          {tar.TypeDir, 0o755, 0, 0, ""},
		"/home/nix":                      {tar.TypeDir, 0o755, 1000, 100, ""},
		"/tmp":                           {tar.TypeDir, 0o1777, 0, 0, ""},
		"/etc/passwd":                    {tar.TypeReg, 0o644, 0, 0, ""},
		"/etc/group":                     {tar.TypeReg, 0o644, 0, 0, ""},
		"/p/var/nix/profiles/per-user":   {tar.TypeDir, 0o755, 1000, 100, ""},
		"/p/var/log/nix":                 {tar.TypeDir, 0o755, 1000, 100, ""},
		"/etc/app.conf":                  {tar.TypeSymlink, 0o777, 0, 0, c.Paths[1].Path + "/etc/app.conf"},
	} {
		if got[name] != want {
			t.Errorf("%s is %+v, not %+v", name, got[name], want)
		}
	}
	if home, name := (image.System{}).Home(); home != "/root" || name != "root" {
		t.Errorf("root is %s in %s", name, home)
	}
}

// TestDockerArchive looks at what `docker load` of old versions goes by.
func TestDockerArchive(t *testing.T) {
	t.Parallel()
	c := storetest.Sample(t, t.TempDir(), store)
	data, made := write(t, c, nil)
	dir := t.TempDir()
	names := unpack(t, data, dir)
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(text, &manifest); err != nil || len(manifest) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	if diff := cmp.Diff([]string{"app:1"}, manifest[0].RepoTags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	for _, name := range append(manifest[0].Layers, manifest[0].Config, "blobs/sha256/"+strings.TrimPrefix(made.Digest, "sha256:"), "oci-layout") {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing among %q", name, names)
		}
	}
}

// layoutAt returns the directories of a prefix whose root is no directory of this machine.
func layoutAt(t *testing.T, root string) prefix.Layout {
	t.Helper()
	dir := t.TempDir()
	l, err := prefix.Resolve(prefix.Options{Path: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	real := filepath.Dir(l.Store)
	for _, d := range []*string{&l.Root, &l.Store, &l.State, &l.Log, &l.Conf, &l.Work, &l.RunLog, &l.Share, &l.Packages, &l.ProfileD} {
		*d = root + strings.TrimPrefix(*d, real)
	}
	return l
}
