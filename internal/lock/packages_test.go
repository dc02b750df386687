package lock_test

import (
	"strings"
	"testing"

	"bootstrap/internal/lock"

	"github.com/google/go-cmp/cmp"
)

// added is a lock of packages of a newer suite: one that is new, and one that the first lock has.
func added() *lock.Lock {
	entry := func(name, arch, version string, roles ...lock.Role) lock.Entry {
		return lock.Entry{
			Name: name, Version: version, Architecture: arch, Suite: "forky", Path: "pool/main/" + name + "_" + version + "_" + arch + ".deb",
			Size: 10, SHA256: strings.Repeat("b", 64), Roles: roles, For: []string{arch},
		}
	}
	return &lock.Lock{
		Version: 1, Timestamp: "20261030T080801Z",
		Suites: []lock.Suite{{
			Name: "forky", Codename: "forky", Date: "20261030T080801Z",
			InReleaseSHA256: strings.Repeat("d", 64), SignedBy: strings.Repeat("AB", 20),
		}},
		Entries: []lock.Entry{
			entry("libblake3-dev", "amd64", "1.8.2-1", lock.Toolchain), entry("libblake3-dev", "arm64", "1.8.2-1", lock.Toolchain),
			entry("libblake3-dev", "riscv64", "1.8.2-1", lock.Toolchain),
			entry("libc6", "amd64", "2.43-7", lock.Host, lock.Toolchain), entry("libc6", "arm64", "2.43-7", lock.Toolchain),
		},
	}
}

func TestWithPackages(t *testing.T) {
	l, err := lock.Parse([]byte(canonical))
	if err != nil {
		t.Fatal(err)
	}
	more := added()
	before, moreBefore := l.Digest(), more.Digest()
	made, err := l.WithPackages(lock.Toolchain, more, []string{"mes*"})
	if err != nil {
		t.Fatal(err)
	}
	if l.Digest() != before || more.Digest() != moreBefore {
		t.Error("one of the two locks was changed")
	}
	got := map[string][]string{}
	for _, arch := range []string{"amd64", "arm64", "riscv64"} {
		for _, role := range lock.Roles() {
			for _, e := range made.For(arch, role) {
				key := arch + " " + string(role)
				got[key] = append(got[key], e.Name+" "+e.Version)
			}
		}
	}
	want := map[string][]string{
		"amd64 host":       {"libc6 2.41-12", "nix-bin 2.26.3+dfsg-1"},
		"amd64 toolchain":  {"libblake3-dev 1.8.2-1", "libc6 2.43-7"},
		"amd64 nix-source": {"nix 2.26.3+dfsg-1"},
		"arm64 toolchain":  {"libblake3-dev 1.8.2-1", "libc6 2.43-7"},
		"arm64 nix-source": {"nix 2.26.3+dfsg-1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if made.Timestamp != l.Timestamp || len(made.Suites) != 2 {
		t.Errorf("the lock is of %s, of the suites %v", made.Timestamp, made.Suites)
	}
	for _, e := range made.Entries {
		want := "20260912T075541Z"
		if e.Suite == "forky" {
			want = "20261030T080801Z"
		}
		if got := made.TimeOf(e); got != want {
			t.Errorf("%s is asked for as of %s, not %s", e.Path, got, want)
		}
	}
	again, err := lock.Parse(made.Marshal())
	if err != nil || again.Digest() != made.Digest() {
		t.Errorf("it is another lock once it was read: %v", err)
	}
	// The same once more is no change.
	twice, err := made.WithPackages(lock.Toolchain, more, nil)
	if err != nil || twice.Digest() != made.Digest() {
		t.Errorf("it is another lock once it was added again: %v", err)
	}
}
