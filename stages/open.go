package stages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/prefix"
	"bootstrap/internal/uninstall"
)

// fresh marks a directory in the making, beside the place it will have.
const fresh = ".bootstrap-new-"

// open makes the work directory, with a journal in it that knows of every directory made on the
// way, all in one step: what a killed run leaves behind is either nothing that uninstall would
// have to know of, or known to it.
func (r *installation) open() (err error) {
	files := r.layout.Below(r.Below)
	top, missing := firstMissing(files.Work)
	if len(missing) == 0 {
		return nil
	}
	sweep(top)
	tmp, err := os.MkdirTemp(filepath.Dir(top), "."+filepath.Base(top)+fresh)
	if err != nil {
		return fault.New(fault.Unfit, fmt.Errorf("prefix %q: %w", files.Root, err),
			"choose a prefix in a directory that you may write to")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	for _, dir := range missing {
		made := filepath.Join(tmp, strings.TrimPrefix(dir, top))
		if err := os.MkdirAll(made, 0o755); err != nil {
			return err
		}
		if err := r.open755(made); err != nil {
			return err
		}
	}
	inner := filepath.Join(tmp, strings.TrimPrefix(files.Work, top))
	if err := r.firstRecords(filepath.Join(inner, filepath.Base(r.layout.Journal())), missing); err != nil {
		return err
	}
	err = os.Rename(tmp, top)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		return nil // another run was quicker; the lock decides who goes on
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(top))
}

// firstRecords writes the journal that a prefix begins with: the directories of the layout, and
// those that have to be made for the work directory.
func (r *installation) firstRecords(path string, missing []string) (err error) {
	j, err := journal.Open(journal.Options{Path: path, Run: r.Run, Now: r.Now})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	l := r.layout
	err = j.Append(journal.Record{
		Event: journal.Note, Text: layoutNote,
		Output: map[string]string{"store": l.Store, "state": l.State, "log": l.Log, "conf": l.Conf},
	})
	if r.onTheWay(missing[0]) {
		err = errors.Join(err, j.Append(journal.Record{
			Event: journal.Note, Text: belowNote, Output: map[string]string{"made": missing[0]},
		}))
	}
	for _, dir := range missing {
		if r.onTheWay(dir) {
			continue
		}
		kind := journal.Directory
		dir = strings.TrimPrefix(dir, r.Below)
		if dir == l.Work {
			kind = journal.Tree
		}
		err = errors.Join(err, j.Create("", kind, dir))
	}
	return err
}

// layoutNote is the text of the record that has the directories of a prefix.
const layoutNote = "layout"

// Recorded returns the layout that an earlier run has recorded in the journal of a prefix.
// Its work directory is found by the store directory alone.
func Recorded(l prefix.Layout) (prefix.Layout, bool) {
	history, err := journal.Load(l.Journal())
	if err != nil {
		return l, false
	}
	for _, record := range history.Records {
		if record.Event == journal.Note && record.Text == layoutNote && record.Output["store"] == l.Store {
			l.State, l.Log, l.Conf = record.Output["state"], record.Output["log"], record.Output["conf"]
			return l, true
		}
	}
	return l, false
}

// sweep removes what runs that were killed have left beside top. It can only be what this user
// has made; what another run is making right now is young.
func sweep(top string) {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(top), "."+filepath.Base(top)+fresh+"*"))
	for _, dir := range left {
		info, err := os.Lstat(dir)
		if err == nil && info.IsDir() && time.Since(info.ModTime()) > time.Hour {
			_ = os.RemoveAll(dir) // not being able to is no reason not to go on
		}
	}
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// firstMissing returns the outermost directory on the way to path that does not exist, and all
// of them from there on.
func firstMissing(path string) (top string, missing []string) {
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
	if err := r.admitReaders(); err != nil {
		return err
	}
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
	_, missing := firstMissing(path)
	for _, dir := range missing {
		k, m := journal.Directory, fs.FileMode(0o755)
		if dir == path {
			k, m = kind, mode
		}
		if err := r.creates(stage, k, dir); err != nil {
			return err
		}
		err := os.Mkdir(dir, m)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fault.New(fault.Unfit, fmt.Errorf("directory %q: %w", dir, err),
				"choose a prefix in a directory that you may write to")
		}
		if m == 0o755 {
			err = r.open755(dir)
		} else {
			err = os.Chmod(dir, m)
		}
		if err != nil {
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
	if r.inTree(path) {
		return nil
	}
	r.made[path] = true
	return r.record("create", r.journal.Create(stage, kind, path))
}

// inTree reports whether path is in a directory that is wholly the installer's.
func (r *installation) inTree(path string) bool {
	for _, tree := range []string{r.layout.Work, r.layout.RunLog, r.layout.Packages} {
		if strings.HasPrefix(path, tree+"/") {
			return true
		}
	}
	return false
}
