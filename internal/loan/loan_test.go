package loan_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/journal"
	"bootstrap/internal/loan"
	"bootstrap/internal/prefix"
	"bootstrap/internal/receipt"
)

const (
	borrower = "/a/store"
	digest   = "0123456789abcdfghijklmnpqrsvwxyz"
)

func now() time.Time { return time.Date(2026, 11, 25, 8, 0, 0, 5, time.UTC) }

// lender makes a store with some paths in it.
func lender(t *testing.T, names ...string) (loan.Lender, []string) {
	t.Helper()
	top := t.TempDir()
	l := loan.Lender{Store: filepath.Join(top, "store"), Files: filepath.Join(top, "store"), State: filepath.Join(top, "var/nix")}
	if err := os.MkdirAll(filepath.Join(l.State, "gcroots"), 0o755); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, name := range names {
		path := filepath.Join(l.Store, digest+"-"+name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return l, paths
}

// links returns all links below a directory, with what they lead to.
func links(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, dir)
		if d.Type()&os.ModeSymlink != 0 {
			found[name], err = os.Readlink(path)
		} else {
			found[name] = d.Type().String()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestNew(t *testing.T) {
	l := loan.Lender{Store: "/b/store", Files: "/b/store", State: "/b/var/nix"}
	first := loan.New(l, nil, []string{"/b/store/x"}, now())
	want := receipt.Loan{
		Store: "/b/store", State: "/b/var/nix", Since: now().Truncate(time.Second),
		Sandbox: []string{"/b/store?", "/b/var/nix/profiles?"}, Paths: []receipt.Lent{{Path: "/b/store/x"}},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	first.Paths[0].Root = "/root"
	second := loan.New(l, &first, []string{"/b/store/y", "/b/store/x"}, now().Add(time.Hour))
	want.Paths = []receipt.Lent{{Path: "/b/store/x", Root: "/root"}, {Path: "/b/store/y"}}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Errorf("more (-want +got)\n%s", diff)
	}
	l.Files = "/image/b/store"
	diverted := loan.New(l, nil, nil, now())
	if diff := cmp.Diff([]string{"/b/store=/image/b/store?", "/b/var/nix/profiles?"}, diverted.Sandbox); diff != "" || diverted.Files != l.Files {
		t.Errorf("files %q, sandbox (-want +got)\n%s", diverted.Files, diff)
	}
}

func TestOpen(t *testing.T) {
	one := receipt.Loan{Store: "/b/store", State: "/b/var/nix", Since: now().Truncate(time.Second), Sandbox: []string{"/b/store?"}, Paths: []receipt.Lent{}}
	with := one
	with.Paths = []receipt.Lent{{Path: "/b/store/x"}}
	rooted := one
	rooted.Paths = []receipt.Lent{{Path: "/b/store/x", Root: "/b/var/nix/gcroots/x"}}
	two := receipt.Loan{Store: "/c/store", Files: "/i/c/store", State: "/i/c/var/nix", Since: one.Since, Sandbox: []string{"/c/store=/i/c/store?", "/p?"}, Paths: []receipt.Lent{{Path: "/c/store/y"}, {Path: "/c/store/z"}}}
	forged := loan.Borrowing(one)
	forged.Output["state"] = "relative"
	foreign := loan.Borrowing(with)
	foreign.Output["paths"] = "/etc/passwd"
	for name, tt := range map[string]struct {
		records  []journal.Record
		borrowed []receipt.Loan
		want     []receipt.Loan
	}{
		"nothing":             {want: []receipt.Loan{}},
		"begun":               {records: []journal.Record{loan.Borrowing(two)}, want: []receipt.Loan{two}},
		"sorted":              {records: []journal.Record{loan.Borrowing(two), loan.Borrowing(one)}, want: []receipt.Loan{one, two}},
		"returned":            {records: []journal.Record{loan.Borrowing(one), loan.Borrowing(two), loan.Returning("/b/store")}, want: []receipt.Loan{two}},
		"borrowed once more":  {records: []journal.Record{loan.Borrowing(one), loan.Returning("/b/store"), loan.Borrowing(with)}, want: []receipt.Loan{with}},
		"added to":            {records: []journal.Record{loan.Borrowing(one), loan.Borrowing(with)}, want: []receipt.Loan{with}},
		"the journal is lost": {borrowed: []receipt.Loan{rooted}, want: []receipt.Loan{rooted}},
		"done":                {records: []journal.Record{loan.Borrowing(with)}, borrowed: []receipt.Loan{rooted}, want: []receipt.Loan{rooted}},
		"added to and not done": {
			records: []journal.Record{loan.Borrowing(one), loan.Borrowing(with)}, borrowed: []receipt.Loan{one}, want: []receipt.Loan{with},
		},
		"not to be believed": {records: []journal.Record{forged, foreign, {Event: journal.Note, Text: "borrow"}}, want: []receipt.Loan{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := loan.Open(&journal.History{Records: tt.records}, &receipt.Receipt{Borrowed: tt.borrowed})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if got := loan.Open(nil, nil); len(got) != 0 {
		t.Errorf("of no record: %v", got)
	}
}

func TestFind(t *testing.T) {
	loans := []receipt.Loan{{Store: "/b/store"}, {Store: "/c/store", Files: "/i/c/store"}}
	for store, want := range map[string]int{"/b/store": 0, "/c/store": 1, "/i/c/store": 1, "/d/store": -1, "": -1} {
		if got := loan.Find(loans, store); got != want {
			t.Errorf("Find(%q) = %d, want %d", store, got, want)
		}
	}
}

// Whatever was made before it was cut short, the same steps end in the same state, and giving back
// leaves the lender as it was.
func TestKeepAndDrop(t *testing.T) {
	l, paths := lender(t, "x", "y")
	before := links(t, l.State)
	dir := filepath.Base(prefix.Layout{State: l.State}.LentTo(borrower))
	want := links(t, l.State)
	want["/gcroots/bootstrap-lent"], want["/gcroots/bootstrap-lent/"+dir] = "d---------", "d---------"
	for _, p := range paths {
		want["/gcroots/bootstrap-lent/"+dir+"/"+filepath.Base(p)] = p
	}
	for name, earlier := range map[string]func() error{
		"nothing": func() error { return nil },
		"a directory": func() error {
			return os.Mkdir(filepath.Join(l.State, "gcroots/bootstrap-lent"), 0o755)
		},
		"one link": func() error {
			made := prefix.Layout{State: l.State}.LentTo(borrower)
			if err := os.MkdirAll(made, 0o755); err != nil {
				return err
			}
			return os.Symlink(paths[0], filepath.Join(made, filepath.Base(paths[0])))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := earlier(); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				made := loan.New(l, nil, paths, now())
				if unkept, err := loan.Keep(borrower, l, &made); unkept != nil || err != nil {
					t.Fatal(unkept, err)
				}
				for _, p := range made.Paths {
					if target, err := os.Readlink(p.Root); err != nil || target != p.Path {
						t.Errorf("root %q of %q leads to %q, %v", p.Root, p.Path, target, err)
					}
				}
				if diff := cmp.Diff(want, links(t, l.State)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			}
			made := loan.New(l, nil, paths, now())
			roots, err := loan.Roots(borrower, made)
			if err != nil || len(roots) != len(paths) {
				t.Errorf("roots %q, %v", roots, err)
			}
			for i := range 2 {
				removed, err := loan.Drop(borrower, made)
				if err != nil || i == 0 && !cmp.Equal(roots, removed) || i > 0 && len(removed) > 0 {
					t.Errorf("removed %q, %v", removed, err)
				}
			}
			if diff := cmp.Diff(before, links(t, l.State)); diff != "" {
				t.Errorf("(-before +after)\n%s", diff)
			}
		})
	}
}

// What somebody else has put there stays, and so do the roots of other borrowers.
func TestDropTakesItsOwnOnly(t *testing.T) {
	l, paths := lender(t, "x")
	mine, other := loan.New(l, nil, paths, now()), loan.New(l, nil, paths, now())
	for name, made := range map[string]*receipt.Loan{borrower: &mine, "/c/store": &other} {
		if unkept, err := loan.Keep(name, l, made); unkept != nil || err != nil {
			t.Fatal(unkept, err)
		}
	}
	dir := filepath.Dir(mine.Paths[0].Root)
	foreign := map[string]string{"theirs": "/elsewhere", digest + "-z": paths[0], digest + "-w": "/nix/store/" + digest + "-w"}
	for name, target := range foreign {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if removed, err := loan.Drop(borrower, mine); err != nil || len(removed) != 1 {
		t.Errorf("removed %q, %v", removed, err)
	}
	for name := range foreign {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(other.Paths[0].Root); err != nil {
		t.Error(err)
	}
}

func TestKeepWhereItCannot(t *testing.T) {
	l, paths := lender(t, "x")
	made := loan.New(l, nil, paths, now())
	outside := t.TempDir()
	bad := filepath.Join(l.State, "gcroots/bootstrap-lent")
	if err := os.Symlink(outside, bad); err != nil {
		t.Fatal(err)
	}
	unkept, err := loan.Keep(borrower, l, &made)
	if unkept == nil || err != nil || made.Paths[0].Root != "" {
		t.Errorf("by a link that leads out: %v, %v, root %q", unkept, err, made.Paths[0].Root)
	}
	if left := links(t, outside); len(left) != 1 {
		t.Errorf("written outside: %v", left)
	}
	if err := os.RemoveAll(l.State); err != nil {
		t.Fatal(err)
	}
	unkept, err = loan.Keep(borrower, l, &made)
	if unkept == nil || err != nil || made.Paths[0].Root != "" {
		t.Errorf("without a state directory: %v, %v", unkept, err)
	}
	if removed, err := loan.Drop(borrower, made); err != nil || len(removed) > 0 {
		t.Errorf("dropped %q, %v", removed, err)
	}
}

func TestKeepOfWhatIsGone(t *testing.T) {
	l, paths := lender(t, "x")
	if err := os.RemoveAll(paths[0]); err != nil {
		t.Fatal(err)
	}
	made := loan.New(l, nil, paths, now())
	_, err := loan.Keep(borrower, l, &made)
	if err == nil || fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" {
		t.Errorf("error %v", err)
	}
}

// The files of a diverted lender are looked for where they are.
func TestKeepDiverted(t *testing.T) {
	l, _ := lender(t, "x")
	l.Store = "/not/there/store"
	path := l.Store + "/" + digest + "-x"
	made := loan.New(l, nil, []string{path}, now())
	if unkept, err := loan.Keep(borrower, l, &made); unkept != nil || err != nil {
		t.Fatal(unkept, err)
	}
	if target, err := os.Readlink(made.Paths[0].Root); err != nil || target != path {
		t.Errorf("leads to %q, %v", target, err)
	}
}

func TestConfigure(t *testing.T) {
	l := prefix.Layout{Conf: t.TempDir()}
	loans := []receipt.Loan{{Store: "/b/store", Sandbox: []string{"/b/store?"}}}
	if !loan.Configured(l, nil) || loan.Configured(l, loans) {
		t.Error("an empty directory is taken for another")
	}
	for range 2 {
		if err := loan.Configure(l, loans); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(l.BorrowedConf())
	if err != nil || info.Mode() != 0o644 {
		t.Fatalf("%v, %v", info, err)
	}
	if loan.Configured(l, nil) || !loan.Configured(l, loans) {
		t.Error("what was written is not recognised")
	}
	if err := loan.Configure(l, []receipt.Loan{{Store: "/b/store", Sandbox: []string{"/b store"}}}); err == nil {
		t.Error("a path with a blank is written")
	}
	for range 2 {
		if err := loan.Configure(l, nil); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir(l.Conf); err != nil || len(entries) > 0 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestIncluded(t *testing.T) {
	l := prefix.Layout{Conf: t.TempDir()}
	for text, want := range map[string]bool{
		"": false, "# !include nix.borrowed.conf\n": false, "!include nix.custom.conf\n": false,
		"a = b\n!include  nix.borrowed.conf\n": true, "!include nix.borrowed.conf": true,
	} {
		if err := os.WriteFile(l.NixConf(), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		err := loan.Included(l)
		if (err == nil) != want || err != nil && (fault.KindOf(err) != fault.Unfit || fault.HintOf(err) == "") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The record survives the form that journals have.
func TestBorrowingIsRead(t *testing.T) {
	l := loan.New(loan.Lender{Store: "/c/store", Files: "/i/c/store", State: "/i/c/var/nix"}, nil, []string{"/c/store/y", "/c/store/z"}, now())
	text, err := json.Marshal(loan.Borrowing(l))
	if err != nil {
		t.Fatal(err)
	}
	var record journal.Record
	if err := json.Unmarshal(text, &record); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]receipt.Loan{l}, loan.Open(&journal.History{Records: []journal.Record{record}}, nil)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
