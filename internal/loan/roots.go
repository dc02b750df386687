package loan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
)

// Keep makes the GC roots of a loan in the lender, those that are not there yet, and notes them in
// it. unkept is why some could not be made; the loan is as good as any for builds then. A path that
// is not there any more is an error.
//
// They are links in the lender's state directory and lead into its store, so its collector need not
// be able to follow them to the borrower.
func Keep(borrower string, lender Lender, l *receipt.Loan) (unkept, err error) {
	dir := prefix.Layout{State: l.State}.LentTo(borrower)
	unkept = keep(dir, l)
	for _, p := range l.Paths {
		// Looked for once it is kept: a collector that was at work before does not delete it after.
		if _, err := os.Lstat(lender.file(p.Path)); err != nil {
			return unkept, fault.New(fault.Usage, fmt.Errorf("store path %q: %w", p.Path, cause(err)),
				"build it there again; or `bootstrap return` the store, and borrow what is there")
		}
	}
	return unkept, nil
}

func keep(dir string, l *receipt.Loan) error {
	if len(l.Paths) == 0 {
		return nil
	}
	for i := range l.Paths {
		l.Paths[i].Root = ""
	}
	top, name := filepath.Dir(filepath.Dir(dir)), filepath.Join(filepath.Base(filepath.Dir(dir)), filepath.Base(dir))
	root, err := os.OpenRoot(top)
	if err != nil {
		return fmt.Errorf("GC roots in %q: %w", top, cause(err))
	}
	defer root.Close()
	if err := root.MkdirAll(name, 0o755); err != nil {
		return fmt.Errorf("GC roots in %q: %w", top, cause(err))
	}
	for i, p := range l.Paths {
		link := filepath.Join(name, filepath.Base(p.Path))
		if target, err := root.Readlink(link); err != nil || target != p.Path {
			if err := root.Symlink(p.Path, link); err != nil {
				return fmt.Errorf("GC root %q: %w", filepath.Join(top, link), cause(err))
			}
		}
		l.Paths[i].Root = filepath.Join(top, link)
	}
	return nil
}

// Roots returns the GC roots in the lender of a loan that are there: whatever is recorded, links of
// that name that lead where they say.
func Roots(borrower string, l receipt.Loan) ([]string, error) {
	dir := prefix.Layout{State: l.State}.LentTo(borrower)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, missingIsFine(err)
	}
	var links []string
	for _, e := range entries {
		link := filepath.Join(dir, e.Name())
		if target, err := os.Readlink(link); err == nil && target == filepath.Join(l.Store, e.Name()) {
			links = append(links, link)
		}
	}
	return links, nil
}

// Drop removes the GC roots of a loan, and the directories they were in if nothing else is in them.
// It returns those that it has removed. Where the lender is not there, there is nothing to remove.
func Drop(borrower string, l receipt.Loan) (removed []string, err error) {
	dir := prefix.Layout{State: l.State}.LentTo(borrower)
	links, err := Roots(borrower, l)
	if err != nil {
		return nil, fmt.Errorf("GC roots in %q: %w", dir, cause(err))
	}
	top := filepath.Dir(filepath.Dir(dir))
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, missingIsFine(err)
	}
	defer root.Close()
	for _, link := range links {
		if err := missingIsFine(root.Remove(strings.TrimPrefix(link, top+"/"))); err != nil {
			return removed, fmt.Errorf("GC root %q: %w", link, cause(err))
		}
		removed = append(removed, link)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		// Other borrowers' are in there; whatever else there is, is not ours.
		if err := root.Remove(strings.TrimPrefix(d, top+"/")); err != nil {
			break
		}
	}
	return removed, nil
}

// cause takes off what [os.Root] says of a path: only its last element.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}

func missingIsFine(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
