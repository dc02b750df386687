package nixsource_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixsource"
)

// FuzzRead: whatever a file has, it is a source with a version and nothing but the files that were asked
// for, or it is refused as none.
func FuzzRead(f *testing.F) {
	plain := pack(f, reg("nix/.version", "2.28.5\n"), reg("nix/a.cc", "a\n"))
	f.Add(plain)
	f.Add(plain[:len(plain)/2])
	f.Add(compress(f, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, plain))
	f.Add([]byte("\xfd7zXZ\x00"))
	f.Add([]byte{0x1f, 0x8b})
	file := write(f, nil)
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := nixsource.Read(t.Context(), file, []string{"a.cc"})
		if err != nil {
			if fault.KindOf(err) != fault.Usage {
				t.Errorf("refused otherwise: %v", err)
			}
			return
		}
		if s.Version == nil || s.Ending == "" {
			t.Errorf("version %v, ending %q", s.Version, s.Ending)
		}
		for name, text := range s.Files {
			if name != "a.cc" || s.Ending == ".tar" && !bytes.Contains(data, text) {
				t.Errorf("file %q has %q", name, text)
			}
		}
	})
}
