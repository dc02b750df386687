// Package control reads Debian control data: the paragraphs of package and source indexes,
// the relations between packages, and the order of versions.
//
// It parses and compares, and never fetches, trusts or installs anything:
// whether the text it is given deserves belief is the business of its caller.
//
// The formats are those of deb822(5), deb-control(5), deb-version(7)
// and of the Debian Policy Manual 4.7, chapters 5 and 7.
package control

// Package is one binary package as an index describes it.
type Package struct {
	Name         string
	Version      string
	Architecture string // "amd64", "arm64", …, or "all"
	Source       string // name of the source package; the version in parentheses is cut off
	Filename     string // relative to the archive's base, "pool/main/…"; as found, not checked
	Size         int64  // bytes of the file
	SHA256       string // lower-case hexadecimal
	Essential    bool
	MultiArch    string // "", "same", "foreign" or "allowed"
	PreDepends   []Dependency
	Depends      []Dependency
	Provides     []Relation
}

// Source is one source package as an index describes it.
type Source struct {
	Name      string
	Version   string
	Directory string // relative to the archive's base, "pool/main/…"; as found, not checked
	Files     []File // those listed with a SHA-256, in the order of the index
}

// File is one file of a source package.
type File struct {
	Name   string // inside [Source.Directory]
	Size   int64  // bytes
	SHA256 string // lower-case hexadecimal
}

// Dependency is a list of alternatives, the preferred one first. Any one satisfies it.
type Dependency []Relation

// Relation names a package, and may narrow which versions of it will do.
type Relation struct {
	Name    string
	Arch    string   // qualifier after the name: ":any", ":native", ":amd64", or ""
	Op      string   // "<<", "<=", "=", ">=", ">>", or "" when any version will do
	Version string   // "" exactly when Op is
	Archs   []string // of "[amd64 !i386]": the architectures the relation counts on; nil is all
}
