package substitute

import (
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"zombiezen.com/go/nix"
)

// TestBzip2 reads what bzip2 1.0.8 made of "a library\n": nothing here writes it.
func TestBzip2(t *testing.T) {
	t.Parallel()
	const packed = "QlpoOTFBWSZTWSuXWUkAAAFRgAAQQAAwJBAgIAAxDAggDyjloid4u5IpwoSBXLrKSA=="
	r, err := unpack(nix.Bzip2, base64.NewDecoder(base64.StdEncoding, strings.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || string(text) != "a library\n" {
		t.Errorf("%q, %v", text, err)
	}
}
