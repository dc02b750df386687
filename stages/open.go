package stages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/uninstall"
)

// fresh marks a directory in the making, beside the place it will have.
const fresh = ".bootstrap-new"

// open makes the work directory, with a journal in it that knows of every directory made on the
// way, all in one step: what a killed run leaves behind is either nothing that uninstall would
// have to know of, or known to it.
func (r *installation) open() error {
	top, missing := r.firstMissing(r.layout.Work)
	if len(missing) == 0 {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(top), "."+filepath.Base(top)+fresh)
	if err := os.RemoveAll(tmp); err != nil {
		return fmt.Errorf("prefix %q: %w", r.layout.Root, err)
	}
	inner := filepath.Join(tmp, strings.TrimPrefix(r.layout.Work, top))
	if err := os.MkdirAll(inner, 0o755); err != nil {
		return fault.New(fault.Unfit, fmt.Errorf("prefix %q: %w", r.layout.Root, err),
			"choose a prefix in a directory that you may write to")
	}
	j, err := journal.Open(journal.Options{
		Path: filepath.Join(inner, filepath.Base(r.layout.Journal())), Run: r.Run, Now: r.Now,
	})
	if err != nil {
		return err
	}
	for _, dir := range missing {
		kind := journal.Directory
		if dir == r.layout.Work {
			kind = journal.Tree
		}
		if err := j.Create("", kind, dir); err != nil {
			return errors.Join(err, j.Close())
		}
	}
	if err := j.Close(); err != nil {
		return err
	}
	err = os.Rename(tmp, top)
	if errors.Is(err, fs.ErrExist) || isNotEmpty(err) {
		// Another run was quicker. The lock in the work directory decides who goes on.
		return os.RemoveAll(tmp)
	}
	return err
}

// firstMissing returns the outermost directory on the way to path that does not exist, and all
// of them from there on.
func (r *installation) firstMissing(path string) (top string, missing []string) {
	for dir := path; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil || dir == filepath.Dir(dir) {
			break
		}
		missing = append([]string{dir}, missing...)
	}
	if len(missing) == 0 {
		return "", nil
	}
	return missing[0], missing
}

// prepare makes the directories that stages write to.
func (r *installation) prepare() error {
	l := r.layout
	for _, d := range []struct {
		path string
		kind journal.Kind
		mode fs.FileMode
	}{
		{l.Store, journal.Directory, 0o755},
		{l.State, journal.Directory, 0o755},
		{l.Log, journal.Directory, 0o755},
		// Nix would make these itself; then nothing would say that they are ours.
		{l.Database(), journal.Directory, 0o755},
		{uninstall.LogsOf(l), journal.Directory, 0o755},
		{l.RunLog, journal.Tree, 0o755},
		{l.TmpDir(), journal.Directory, 0o700},
		{l.HomeDir(), journal.Directory, 0o700},
	} {
		if err := r.mkdir("", d.kind, d.path, d.mode); err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes a directory and its parents, each after a record of it in the journal.
// The mode is that of the directory itself, whatever the umask.
func (r *installation) mkdir(stage string, kind journal.Kind, path string, mode fs.FileMode) error {
	_, missing := r.firstMissing(path)
	for _, dir := range missing {
		k, m := journal.Directory, fs.FileMode(0o755)
		if dir == path {
			k, m = kind, mode
		}
		if err := r.creates(stage, k, dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, m); err != nil && !errors.Is(err, fs.ErrExist) {
			return fault.New(fault.Unfit, fmt.Errorf("directory %q: %w", dir, err),
				"choose a prefix in a directory that you may write to")
		}
		if err := os.Chmod(dir, m); err != nil {
			return fmt.Errorf("directory %q: %w", dir, err)
		}
	}
	return nil
}

// creates records that something is about to be made, if it is not there yet.
// What is inside a tree goes with the tree and needs no record.
func (r *installation) creates(stage string, kind journal.Kind, path string) error {
	if exists(path) {
		return nil
	}
	for _, tree := range []string{r.layout.Work, r.layout.RunLog, r.layout.Packages} {
		if strings.HasPrefix(path, tree+"/") {
			return nil
		}
	}
	return r.record("create", r.journal.Create(stage, kind, path))
}
