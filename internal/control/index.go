package control

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

// Packages reads a Packages index. Equal dependencies of several packages share memory:
// they are not to be changed.
// It ends after the first error, which comes with the zero Package.
func Packages(r io.Reader) iter.Seq2[Package, error] {
	return func(yield func(Package, error) bool) {
		cache := make(dependencyCache)
		parse(r, "Packages", cache.parsePackage)(yield)
	}
}

// Sources reads a Sources index.
// It ends after the first error, which comes with the zero Source.
func Sources(r io.Reader) iter.Seq2[Source, error] {
	return parse(r, "Sources", parseSource)
}

func parse[T any](r io.Reader, what string, one func(Paragraph) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for p, err := range Paragraphs(r) {
			if err != nil {
				yield(zero, fmt.Errorf("%s: %w", what, err))
				return
			}
			v, err := one(p)
			if err != nil {
				yield(zero, fmt.Errorf("%s: package %q: %w", what, p.Get("Package"), err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (c dependencyCache) parsePackage(p Paragraph) (Package, error) {
	pkg := Package{
		Name:         p.Get("Package"),
		Version:      p.Get("Version"),
		Architecture: p.Get("Architecture"),
		Filename:     p.Get("Filename"),
		Essential:    p.Get("Essential") == "yes",
		MultiArch:    p.Get("Multi-Arch"),
	}
	if err := checkName(pkg.Name, pkg.Version); err != nil {
		return pkg, err
	}
	if pkg.Source, _, _ = strings.Cut(p.Get("Source"), " "); pkg.Source == "" {
		pkg.Source = pkg.Name
	}
	if pkg.Architecture == "" || pkg.Filename == "" {
		return pkg, errors.New("field Architecture or Filename is missing")
	}
	var err error
	if pkg.Size, err = parseSize(p.Get("Size")); err != nil {
		return pkg, err
	}
	if pkg.SHA256, err = parseDigest(p.Get("SHA256")); err != nil {
		return pkg, err
	}
	if pkg.PreDepends, err = c.parse(p.Get("Pre-Depends")); err != nil {
		return pkg, fmt.Errorf("field Pre-Depends: %w", err)
	}
	if pkg.Depends, err = c.parse(p.Get("Depends")); err != nil {
		return pkg, fmt.Errorf("field Depends: %w", err)
	}
	if pkg.Provides, err = c.parseProvides(p.Get("Provides")); err != nil {
		return pkg, fmt.Errorf("field Provides: %w", err)
	}
	return pkg, nil
}

func parseSource(p Paragraph) (Source, error) {
	src := Source{Name: p.Get("Package"), Version: p.Get("Version"), Directory: p.Get("Directory")}
	if err := checkName(src.Name, src.Version); err != nil {
		return src, err
	}
	for line := range strings.Lines(p.Get("Checksums-Sha256")) {
		if isBlank(line) {
			continue
		}
		words := strings.Fields(line)
		if len(words) != 3 {
			return src, fmt.Errorf("field Checksums-Sha256: %q is not digest, size and name", line)
		}
		size, err := parseSize(words[1])
		if err != nil {
			return src, fmt.Errorf("field Checksums-Sha256: %w", err)
		}
		digest, err := parseDigest(words[0])
		if err != nil {
			return src, fmt.Errorf("field Checksums-Sha256: %w", err)
		}
		src.Files = append(src.Files, File{Name: words[2], Size: size, SHA256: digest})
	}
	return src, nil
}

func checkName(name, version string) error {
	if name == "" || !all(name, isNameByte) {
		return errors.New("name is missing or illegal")
	}
	if err := CheckVersion(version); err != nil {
		return fmt.Errorf("version %q: %w", version, err)
	}
	return nil
}

func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("size %q is not a number of bytes", s)
	}
	return n, nil
}

func parseDigest(s string) (string, error) {
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 {
		return "", fmt.Errorf("digest %q is not a SHA-256 in hexadecimal", s)
	}
	return strings.ToLower(s), nil
}
