package patches

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hashicorp/go-version"
)

// Patch is one change to Nix's source.
type Patch struct {
	File     string              // path in [FS], "2.26/0001-slug.patch"
	Subject  string              // what it does, one line
	Why      string              // what goes wrong without it
	Upstream string              // related issue or change, or "none known"
	Until    string              // when it can go
	Range    version.Constraints // versions of Nix it is for
	Body     []byte              // the diff, without the header
}

// Digest returns the SHA-256 of the diff, in hexadecimal. A change of the
// header alone leaves it as it is, and with it everything that was built.
func (p Patch) Digest() string {
	sum := sha256.Sum256(p.Body)
	return hex.EncodeToString(sum[:])
}

// fields returns the names of a header's fields, in order.
func fields() []string { return []string{"Subject", "Why", "Upstream", "Range", "Until"} }

// separator is what stands between a header and its diff.
const separator = "\n\n---\n"

// Parse reads the patch file of the given name. It is strict: a field that is
// missing, unknown, empty or out of order, and a diff that is not well formed,
// are errors that name the file and the line.
func Parse(file string, data []byte) (Patch, error) {
	head, body, found := bytes.Cut(data, []byte(separator))
	if !found {
		return Patch{}, fmt.Errorf("parse patch %q: no line %q after the header", file, "---")
	}
	values, err := parseHeader(string(head))
	if err != nil {
		return Patch{}, fmt.Errorf("parse patch %q: %w", file, err)
	}
	constraints, err := version.NewConstraint(values["Range"])
	if err != nil {
		return Patch{}, fmt.Errorf("parse patch %q: Range: %w", file, err)
	}
	if err := checkDiff(string(body)); err != nil {
		offset := bytes.Count(head, []byte("\n")) + strings.Count(separator, "\n")
		return Patch{}, fmt.Errorf("parse patch %q: diff, which begins after line %d: %w", file, offset, err)
	}
	return Patch{
		File:     file,
		Subject:  values["Subject"],
		Why:      values["Why"],
		Upstream: values["Upstream"],
		Until:    values["Until"],
		Range:    constraints,
		Body:     body,
	}, nil
}

// parseHeader returns a header's values by field, each on one line.
func parseHeader(head string) (map[string]string, error) {
	values := make(map[string]string)
	want := fields()
	current := ""
	for i, line := range strings.Split(head, "\n") {
		if strings.HasPrefix(line, " ") && current != "" {
			values[current] += " " + strings.TrimSpace(line)
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if !found {
			return nil, fmt.Errorf("line %d: %q is neither a field nor the continuation of one", i+1, line)
		}
		if len(want) == 0 || name != want[0] {
			return nil, fmt.Errorf("line %d: field %q, where %s", i+1, name, expected(want))
		}
		current, want = name, want[1:]
		values[current] = strings.TrimSpace(value)
	}
	if len(want) > 0 {
		return nil, fmt.Errorf("header ends where %s", expected(want))
	}
	for _, name := range fields() {
		if strings.TrimSpace(values[name]) == "" {
			return nil, fmt.Errorf("field %q is empty", name)
		}
	}
	return values, nil
}

// expected says which field should come next.
func expected(want []string) string {
	if len(want) == 0 {
		return "the header should end"
	}
	return fmt.Sprintf("field %q should be", want[0])
}
