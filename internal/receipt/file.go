package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"bootstrap/internal/fault"
)

// Write replaces the receipt at path, as a whole or not at all, with mode 0644.
// It fills in the version. The directory must exist.
func Write(path string, r Receipt) error {
	r.Version = 1
	if len(r.Borrowed) > 0 {
		r.Version = borrowedVersion
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("write receipt: %w", err)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write receipt: %w", err)
	}
	if err := replace(path, append(data, '\n')); err != nil {
		return fmt.Errorf("write receipt: %w", err)
	}
	return nil
}

// replace puts data at path, on the disk, as a whole or not at all.
func replace(path string, data []byte) error {
	// What a link leads to is replaced, and not the link.
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	dir := filepath.Dir(path)
	// Without a directory given, renameio asks the environment for one.
	// Its WriteFile would keep the mode of the file that is there.
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer file.Cleanup()
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return err
	}
	return syncDir(dir)
}

// Load reads the receipt at path. Where there is none the error is [io/fs.ErrNotExist].
// Where it is damaged the error is [ErrDamaged], where it is newer than [Version] it is [ErrNewer];
// either is a [fault.Error] with a remedy.
func Load(path string) (*Receipt, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	r, err := Parse(data)
	if err != nil {
		if errors.Is(err, ErrNewer) {
			return nil, fault.New(fault.General, fmt.Errorf("read receipt %q: %w", path, err),
				"use a newer bootstrap, at least the one that wrote it")
		}
		return nil, fault.New(fault.General, fmt.Errorf("read receipt %q: %w: %w", path, ErrDamaged, err),
			"run the same install command again: it writes a new one")
	}
	return r, nil
}

// ErrDamaged is the cause where [Load] finds a receipt that makes no sense.
var ErrDamaged = errors.New("damaged")

// ErrNewer is the cause where a receipt has a version above [Version].
var ErrNewer = errors.New("written by a newer bootstrap")

// Parse reads the text of a receipt: exactly one JSON object, with no field that is not known.
func Parse(data []byte) (*Receipt, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, explain(err, len(data))
	}
	if head.Version > Version {
		return nil, fmt.Errorf("format version %d, and this one knows up to %d: %w", head.Version, Version, ErrNewer)
	}
	if head.Version < 1 {
		return nil, fmt.Errorf("format version %d does not exist", head.Version)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	r := new(Receipt)
	if err := dec.Decode(r); err != nil {
		return nil, explain(err, len(data))
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// explain says where a file stops making sense.
func explain(err error, size int) error {
	var syntax *json.SyntaxError
	switch {
	case size == 0:
		return errors.New("the file is empty")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &syntax) && syntax.Offset >= int64(size):
		return fmt.Errorf("the file is cut off after %d bytes: %w", size, err)
	case errors.As(err, &syntax):
		return fmt.Errorf("at byte %d: %w", syntax.Offset, err)
	}
	return err
}

// syncDir makes a rename in a directory outlive a power cut.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
