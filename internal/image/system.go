package image

import (
	"fmt"
	"path"
	"strings"

	"bootstrap/internal/packed"
	"bootstrap/internal/prefix"
)

// System is what an image needs besides the closure so that its Nix works and can build.
type System struct {
	Layout   prefix.Layout
	Store    string       // the store directory as Nix knows it
	Owner    packed.Owner // who works with it
	Conf     []byte       // nix.conf
	Database []byte       // with all paths registered
	Schema   []byte       // the file beside it: the version of its schema
	Bundle   string       // of certificates, a path in the store
	Keep     []string     // store paths that a garbage collection keeps
}

// userName is what somebody without root is called there.
const userName = "nix"

// Home returns the home directory of whoever works with the image, and the name.
func (s System) Home() (dir, name string) {
	if s.Owner.UID == 0 {
		return "/root", "root"
	}
	return "/home/" + userName, userName
}

// Files returns the files of the system: those that Nix would make, owned by whoever is to work
// with them; accounts; and directories for temporary files.
func (s System) Files() []File {
	l := s.Layout
	home, name := s.Home()
	passwd := "root:x:0:0:root:/root:/bin/sh\n"
	group := "root:x:0:\n"
	if s.Owner.UID != 0 {
		passwd += fmt.Sprintf("%s:x:%d:%d:Nix:%s:/bin/sh\n", name, s.Owner.UID, s.Owner.GID, home)
	}
	if s.Owner.GID != 0 {
		group += fmt.Sprintf("%s:x:%d:\n", name, s.Owner.GID)
	}
	f := &fileList{owner: s.Owner, root: path.Dir(s.Store), seen: map[string]bool{}}
	f.directory("/etc")
	f.directory("/tmp", 0o1777)
	f.directory("/var")
	f.directory("/var/tmp", 0o1777)
	f.file("/etc/passwd", passwd)
	f.file("/etc/group", group)
	f.above(home)
	f.own(home)
	f.own(s.Store)
	gcroots := path.Dir(l.GCRoots())
	for _, dir := range []string{
		l.State, l.Database(), gcroots, l.GCRoots(), l.Profiles(), path.Join(l.Profiles(), "per-user"),
		path.Join(l.State, "temproots"), path.Join(l.State, "users"), l.BuildDir(), l.Log, l.Conf,
	} {
		f.own(dir)
	}
	f.ownFile(path.Join(l.Database(), "db.sqlite"), s.Database)
	f.ownFile(path.Join(l.Database(), "schema"), s.Schema)
	f.ownFile(l.NixConf(), s.Conf)
	f.ownLink(l.Certificates(), s.Bundle)
	f.ownLink(path.Join(gcroots, "profiles"), l.Profiles())
	for _, p := range s.Keep {
		f.ownLink(path.Join(l.GCRoots(), path.Base(p)), p)
	}
	return f.files
}

// fileList gathers files, each directory once and before what is in it.
type fileList struct {
	owner packed.Owner
	root  string // what lies below belongs to the owner
	seen  map[string]bool
	files []File
}

func (l *fileList) add(f File) { l.files = append(l.files, f) }

func (l *fileList) directory(name string, mode ...int64) {
	f := File{Name: name, Kind: Directory, Mode: 0o755}
	if len(mode) > 0 {
		f.Mode = mode[0]
	}
	if !l.seen[name] {
		l.seen[name] = true
		l.add(f)
	}
}

// above makes the directories that a file is in: the owner's below the root of the prefix.
func (l *fileList) above(name string) {
	for _, dir := range Parents(path.Dir(name)) {
		switch {
		case dir == "/" || l.seen[dir]:
		case dir == l.root || strings.HasPrefix(dir, l.root+"/"):
			l.seen[dir] = true
			l.add(File{Name: dir, Kind: Directory, Mode: 0o755, Owner: l.owner})
		default:
			l.directory(dir)
		}
	}
}

func (l *fileList) own(dir string) {
	l.above(dir)
	if !l.seen[dir] {
		l.seen[dir] = true
		l.add(File{Name: dir, Kind: Directory, Mode: 0o755, Owner: l.owner})
	}
}

func (l *fileList) file(name, text string) {
	l.above(name)
	l.add(File{Name: name, Mode: 0o644, Data: []byte(text)})
}

func (l *fileList) ownFile(name string, data []byte) {
	l.above(name)
	l.add(File{Name: name, Mode: 0o644, Data: data, Owner: l.owner})
}

func (l *fileList) ownLink(name, target string) {
	l.above(name)
	l.add(File{Name: name, Kind: Link, Target: target, Owner: l.owner})
}
