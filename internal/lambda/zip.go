package lambda

import (
	"archive/zip"
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"time"

	"bootstrap/internal/closure"
	"bootstrap/internal/tree"
)

// epoch is the time of all entries: the first that a zip file has a number for.
var epoch = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

// Options say what is in a zip file.
type Options struct {
	Closure *closure.Closure
	Root    *os.Root // its store directory, open
	Form    Form
	// Bootstrap is the program that a custom runtime begins with, as an absolute path; none if empty.
	// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html
	Bootstrap string
	Links     []closure.Merged // besides; their names are relative to where it is unpacked
	Done      func(bytes int64)
}

// Write writes a zip file: the same bytes for the same closure. What it has of a file is what a
// store has of it, the right to be executed, and symbolic links are links.
func Write(ctx context.Context, to io.Writer, o Options) error {
	w := &writer{z: zip.NewWriter(to), buf: make([]byte, 256<<10), done: o.Done}
	for _, name := range above(o.Form.Inner) {
		if err := w.directory(name); err != nil {
			return err
		}
	}
	for _, p := range o.Closure.Paths {
		err := tree.Walk(o.Root, p.Base(), func(n tree.Node) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.node(o.Root, path.Join(o.Form.Inner, n.Name), n)
		})
		if err != nil {
			return err
		}
	}
	links := slices.Clone(o.Links)
	if o.Bootstrap != "" {
		links = append(links, closure.Merged{Name: "bootstrap", Target: o.Bootstrap})
	}
	for _, l := range links {
		var err error
		if l.Target == "" {
			err = w.directory(l.Name)
		} else {
			err = w.link(l.Name, l.Target)
		}
		if err != nil {
			return err
		}
	}
	return w.z.Close()
}

// above returns a relative directory with those above it, from the outermost on.
func above(dir string) []string {
	if dir == "." || dir == "" {
		return nil
	}
	return append(above(path.Dir(dir)), dir)
}

type writer struct {
	z    *zip.Writer
	buf  []byte
	done func(int64)
}

func (w *writer) node(root *os.Root, name string, n tree.Node) error {
	switch n.Kind {
	case tree.Directory:
		return w.directory(name)
	case tree.Link:
		return w.link(name, n.Target)
	}
	f, err := root.Open(n.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	// Lambda runs functions as another user than it unpacks them as; nobody has to write to a file.
	mode := fs.FileMode(0o644)
	if n.Executable {
		mode = 0o755
	}
	to, err := w.create(name, mode, zip.Deflate)
	if err != nil {
		return err
	}
	written, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{f}, w.buf)
	if w.done != nil {
		w.done(written)
	}
	return err
}

func (w *writer) directory(name string) error {
	_, err := w.create(name+"/", fs.ModeDir|0o755, zip.Store)
	return err
}

// link writes a symbolic link as Info-ZIP does: its content is the target.
func (w *writer) link(name, target string) error {
	to, err := w.create(name, fs.ModeSymlink|0o777, zip.Store)
	if err == nil {
		_, err = io.WriteString(to, target)
	}
	return err
}

func (w *writer) create(name string, mode fs.FileMode, method uint16) (io.Writer, error) {
	h := &zip.FileHeader{Name: name, Method: method, Modified: epoch}
	h.SetMode(mode)
	return w.z.CreateHeader(h)
}
