package transplant_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"bootstrap/internal/bundletest"
	"bootstrap/internal/nixbundle"
	"bootstrap/internal/transplant"

	"github.com/klauspost/compress/zstd"
)

// TestOtherContents: an archive that is not the one that is registered is refused, whoever has put it there:
// somebody who could sign, too. Part of what makes the others, or made; moved, or at the place itself.
func TestOtherContents(t *testing.T) {
	t.Parallel()
	a, b, _ := roots(t)
	_, file, head := bundle(t, a, nil)
	o, err := (&nixbundle.Source{Location: file, Shown: file, Key: bundletest.Key(t, "k").Public()}).Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	z, err := zstd.NewReader(o.Body())
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	body, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	whole := func(at int) []byte {
		changed := bytes.Clone(body)
		if at >= 0 {
			changed[at] ^= 1
		}
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		return w.EncodeAll(changed, nil)
	}
	for name, at := range map[string]int{
		"as it is": -1,
		"a source": bytes.Index(body, []byte("#!/bin/sh\n")) + 5,
		"made":     bytes.LastIndex(body, []byte("#!/bin/sh\n")) + 5,
	} {
		for _, to := range []string{a, b} {
			s, err := transplant.Stage(context.Background(), transplant.Options{
				Head: *head, Body: bytes.NewReader(whole(at)), Layout: layoutAt(to), Tmp: t.TempDir(),
			})
			if at < 0 {
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
				continue
			}
			var wrong *nixbundle.FormatError
			if !errors.As(err, &wrong) || !strings.Contains(wrong.Error(), "other contents than are registered") {
				t.Errorf("%s, at %s: %v", name, to, err)
			}
		}
		if _, err := transplant.Verify(*head, bytes.NewReader(whole(at))); (err == nil) != (at < 0) {
			t.Errorf("%s: verified: %v", name, err)
		}
	}
	for _, root := range []string{a, b} {
		entries, err := os.ReadDir(root + "/store")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), ".import-") {
				t.Errorf("%s has a name", e.Name())
			}
		}
	}
}
