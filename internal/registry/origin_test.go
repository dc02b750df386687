package registry_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/receipt"
	"bootstrap/internal/registry"
)

func TestFollow(t *testing.T) {
	t.Parallel()
	dir := temp(t)
	write(t, dir+"/store/x/bin/nix")
	link(t, "profile-1", dir+"/profiles/profile")
	link(t, dir+"/store/x", dir+"/profiles/profile-1")
	link(t, "../profiles/profile", dir+"/home/.nix-profile")
	link(t, "b", dir+"/a")
	link(t, "a", dir+"/b")
	link(t, "nowhere/..", dir+"/odd")
	for _, tt := range []struct {
		name, path string
		want       []string
		fails      string
	}{
		{"no link", "store/x", []string{"store/x"}, ""},
		{"links above", "home/.nix-profile/bin/nix", []string{
			"home/.nix-profile/bin/nix", "profiles/profile/bin/nix", "profiles/profile-1/bin/nix", "store/x/bin/nix",
		}, ""},
		{"nothing there", "profiles/profile/bin/git", []string{
			"profiles/profile/bin/git", "profiles/profile-1/bin/git", "store/x/bin/git",
		}, "no such file"},
		{"the way up is not taken where nothing is", "odd", []string{"odd", "nowhere/.."}, "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			way, err := registry.Follow(dir + "/" + tt.path)
			for i := range way {
				way[i] = strings.TrimPrefix(way[i], dir+"/")
			}
			if diff := cmp.Diff(tt.want, way); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("error %v, want %q", err, tt.fails)
			}
		})
	}
	if way, err := registry.Follow(dir + "/a"); err == nil || !strings.Contains(err.Error(), "too many") || len(way) > 50 {
		t.Errorf("a loop: %d steps, %v", len(way), err)
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	dir := temp(t)
	a := install(t, dir+"/a", "", "", dir+"/scratch")
	image := install(t, dir+"/image/far", receipt.Runtime, "/far/store", "")
	unlisted := install(t, dir+"/c", "", "", "")
	f := registry.Finder{
		Known:   []registry.Entry{registry.Look(a.Store), registry.Look(image.Store), registry.Look(dir + "/gone/store")},
		Classic: registry.ClassicAt(dir + "/nix"),
	}
	nix := hash + "-nix-2.26.3"
	write(t, dir+"/nix/store/"+nix)
	write(t, dir+"/a/other/file")
	type origin struct {
		Store, StorePath, Part, Prefix string
		There, Classic                 bool
	}
	for _, tt := range []struct {
		name, path string
		want       *origin
	}{
		{"a file in a store path", a.StorePath(nix) + "/bin/nix", &origin{a.Store, a.StorePath(nix), "store", a.Store, true, false}},
		{"a store path that is gone", a.StorePath(hash + "-x"), &origin{a.Store, a.StorePath(hash + "-x"), "store", a.Store, false, false}},
		{"the store itself", a.Store, &origin{a.Store, "", "store", a.Store, true, false}},
		{"a profile in a state directory elsewhere", a.Profiles() + "/default", &origin{a.Store, "", "profiles", a.Store, false, false}},
		{"a GC root", a.GCRoots() + "/nix", &origin{a.Store, "", "GC roots", a.Store, false, false}},
		{"the receipt", a.Receipt(), &origin{a.Store, "", "installer", a.Store, true, false}},
		{"in no list", unlisted.StorePath(nix), &origin{unlisted.Store, unlisted.StorePath(nix), "store", unlisted.Store, true, false}},
		{"as its nix knows it", "/far/store/" + nix, &origin{"/far/store", "/far/store/" + nix, "store", image.Store, true, false}},
		{"where its files lie", image.StorePath(nix), &origin{"/far/store", image.StorePath(nix), "store", image.Store, true, false}},
		{"as its nix knows it, gone", "/far/store/" + hash + "-x", &origin{"/far/store", "/far/store/" + hash + "-x", "store", image.Store, false, false}},
		{"classic", dir + "/nix/store/" + nix, &origin{dir + "/nix/store", dir + "/nix/store/" + nix, "store", "", true, true}},
		{"a classic profile", dir + "/nix/var/nix/profiles/default", &origin{dir + "/nix/store", "", "profiles", "", false, true}},
		{"a store of nobody", "/gnu/store/" + hash + "-x/bin/x", &origin{"/gnu/store", "/gnu/store/" + hash + "-x", "store", "", false, false}},
		{"beside a prefix", dir + "/a/other/file", nil},
		{"what merely looks like it", "/tmp/" + hash + "-x", nil},
		{"a store of other things", "/data/store/books", nil},
		{"the root", "/", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, ok := f.Of(tt.path)
			var got *origin
			if ok {
				got = &origin{Store: o.Store, StorePath: o.StorePath, Part: o.Part, There: o.There, Classic: o.Classic != nil}
				if o.Prefix != nil {
					got.Prefix = o.Prefix.Store
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if o, ok := f.Along([]string{"/x", a.Store, "/usr/bin/x"}); !ok || o.Store != a.Store {
		t.Errorf("along a way: %v, %v", o, ok)
	}
}

func TestFindClassic(t *testing.T) {
	t.Parallel()
	root, err := os.MkdirTemp("", "n") // a socket's path may have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if c := registry.FindClassic(t.Context(), root); c != nil {
		t.Errorf("nothing is there: %+v", c)
	}
	if err := os.Mkdir(root+"/store", 0o755); err != nil {
		t.Fatal(err)
	}
	if c := registry.FindClassic(t.Context(), root); c != nil {
		t.Errorf("a store without a database: %+v", c)
	}
	write(t, root+"/var/nix/db/db.sqlite")
	check := func(want registry.Daemon) {
		t.Helper()
		if c := registry.FindClassic(t.Context(), root); c == nil || c.Daemon != want || c.Store != root+"/store" {
			t.Errorf("got %+v, want daemon %q", c, want)
		}
	}
	check(registry.NoDaemon)
	socket := filepath.Join(root, "var/nix/daemon-socket/socket")
	write(t, socket)
	check(registry.Silent)
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	answers := make(chan uint64, 2)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := io.ReadFull(conn, make([]byte, 8)); err == nil {
				_ = binary.Write(conn, binary.LittleEndian, <-answers)
			}
			conn.Close()
		}
	}()
	answers <- 0x6478696f
	check(registry.Answers)
	answers <- 1
	check(registry.Silent)
}
