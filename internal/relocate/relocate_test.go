package relocate_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/relocate"
)

// units writes a text with so many bytes for each letter, the letter first or last.
func units(s string, size int, last bool) string {
	var b []byte
	for _, c := range utf16.Encode([]rune(s)) {
		u := make([]byte, size)
		if last {
			u[size-1], u[size-2] = byte(c), byte(c>>8)
		} else {
			u[0], u[1] = byte(c), byte(c>>8)
		}
		b = append(b, u...)
	}
	return string(b)
}

// TestRewrites: what becomes of a content, for every form of a path.
func TestRewrites(t *testing.T) {
	a, b := fromStore+"/"+fromA, toStore+"/"+toA
	for name, c := range map[string]struct{ in, want string }{
		"nothing":            {"hello\n", "hello\n"},
		"empty":              {"", ""},
		"path":               {"x " + a + "/bin y", "x " + b + "/bin y"},
		"path at both ends":  {a, b},
		"hash part alone":    {fromA[:32], toA[:32]},
		"hash part in a run": {"000" + fromA[:32] + "111", "000" + toA[:32] + "111"},
		"name runs on":       {a + "-more", b + "-more"},
		"two in a row":       {fromA[:32] + fromB[:32], toA[:32] + toB[:32]},
		"another directory":  {"/nix/store/" + fromA, "/nix/store/" + toA},
		"no mapped path":     {fromStore + "/" + foreign, fromStore + "/" + foreign},
		"bare":               {"-L" + fromStore + " " + fromStore + "/", "-L" + toStore + " " + toStore + "/"},
		"longer name":        {fromStore + "front " + fromStore + "-1", fromStore + "front " + fromStore + "-1"},
		"state directory":    {"/opt/var/nix/db", "/srv/var/nix/db"},
		"not the directory":  {"/opt/var/log", "/opt/var/log"},
		"interpreter":        {"#!" + a + "/bin/sh\n", "#!" + b + "/bin/sh\n"},
		"doubled separator":  {fromStore + "//" + fromA, toStore + "//" + toA},
		"UTF-16":             {units(a+" "+fromStore, 2, false), units(b+" "+toStore, 2, false)},
		"UTF-16, big endian": {"\xfe\xff" + units("ä"+a, 2, true), "\xfe\xff" + units("ä"+b, 2, true)},
		"UTF-16, odd place":  {"x" + units(a, 2, false), "x" + units(b, 2, false)},
		"UTF-32":             {units(a, 4, false), units(b, 4, false)},
		"UTF-32, big endian": {"abc" + units("/opt/var/nix/"+fromB, 4, true), "abc" + units("/srv/var/nix/"+toB, 4, true)},
		"UTF-16 bare":        {units(fromStore, 2, false), units(toStore, 2, false)},
		"backslashes":        {`s/\/opt\/store\/` + fromA + `/x/`, `s/\/srv\/store\/` + toA + `/x/`},
		"percent":            {"file:%2Fopt%2Fstore%2F" + fromA, "file:%2Fsrv%2Fstore%2F" + toA},
		"percent, bare":      {"%2fopt%2fvar%2fnix", "%2fsrv%2fvar%2fnix"},
	} {
		t.Run(name, func(t *testing.T) {
			got, report := must(t, relocate.Options{}, tree{"f": c.in})
			if diff := cmp.Diff(tree{"f": c.want}, got); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
			if changed := c.in != c.want; changed != (report.Counts[relocate.Rewritten] > 0) {
				t.Errorf("report: %v", report.Findings)
			}
		})
	}
}

// TestReport: digests, references, and where what was.
func TestReport(t *testing.T) {
	files := tree{
		"bin/x":            "#!" + fromStore + "/" + fromA + "/bin/sh\n",
		"lib":              "-> " + fromStore + "/" + fromB + "/lib",
		"share/" + fromA:   "x",
		"share/other":      fromStore + "/" + foreign + " " + fromStore + "x",
		"share/wide":       units(fromB, 2, false),
		"share/\xc3\xa4.1": "",
	}
	data := pack(t, files)
	var out bytes.Buffer
	report, err := relocate.Relocate(&out, stream{bytes.NewReader(data), 7}, relocate.Options{
		Map: mapping(t), References: []string{fromB, fromA, foreign},
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Source.Sum != sha256.Sum256(data) || report.Source.Size != int64(len(data)) {
		t.Error("the source's digest is wrong")
	}
	if report.Result.Sum != sha256.Sum256(out.Bytes()) || report.Result.Size != int64(out.Len()) {
		t.Error("the result's digest is wrong")
	}
	if diff := cmp.Diff([]string{toB, toA}, report.References); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	if report.Entries != 9 {
		t.Errorf("%d entries", report.Entries)
	}
	var got []string
	for _, f := range report.Findings {
		got = append(got, fmt.Sprint(f.Verdict, "|", f.Hazard, "|", f.File, "|", f.Offset))
	}
	want := []string{
		"rewritten|path|bin/x|2", "rewritten|path|bin/x|13",
		"rewritten|link target|lib|-1", "rewritten|link target|lib|-1",
		"rewritten|file name|share/" + fromA + "|-1",
		"left|path that is not in the map|share/other|0", "left|directory inside a longer name|share/other|52",
		"rewritten|path in UTF-16 or UTF-32|share/wide|0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// TestReferences: what is found is held against what the caller knows.
func TestReferences(t *testing.T) {
	_, _, err := run(t, relocate.Options{References: []string{fromA, fromB}}, tree{"f": fromA})
	if diff := cmp.Diff([]string{"invariant "}, refused(err)); diff != "" {
		t.Error(diff)
	}
	_, _, err = run(t, relocate.Options{References: []string{}}, tree{"f": fromA})
	if diff := cmp.Diff([]string{"invariant "}, refused(err)); diff != "" {
		t.Error(diff)
	}
}

// TestTargetsThatWereThere leave no way back.
func TestTargetsThatWereThere(t *testing.T) {
	for name, content := range map[string]string{"hash part": toA[:32], "directory": toStore, "wide": units(toStore, 2, false)} {
		_, _, err := run(t, relocate.Options{}, tree{"f": content})
		if diff := cmp.Diff([]string{"target that was there before "}, refused(err)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, _, err := run(t, relocate.Options{TargetMayOccur: true}, tree{"f": toStore}); err != nil {
		t.Error(err)
	}
	if _, _, err := run(t, relocate.Options{TargetMayOccur: true}, tree{"f": toA}); err == nil {
		t.Error("a target's hash part was taken")
	}
}

// TestBare: the directory alone is replaced, or kept where it may be.
func TestBare(t *testing.T) {
	files := tree{"f": "in " + fromStore + ".", "g": fromStore + "/" + fromA}
	_, _, err := run(t, relocate.Options{KeepBare: true}, files)
	if diff := cmp.Diff([]string{"directory alone f"}, refused(err)); diff != "" {
		t.Error(diff)
	}
	got, report, err := run(t, relocate.Options{KeepBare: true, AllowBare: []string{"f"}}, files)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree{"f": files["f"], "g": toStore + "/" + toA}, got); diff != "" {
		t.Error(diff)
	}
	if report.Counts[relocate.Left] != 1 {
		t.Errorf("counts: %v", report.Counts)
	}
}

// TestLengths: what fits is said before anything is read.
func TestLengths(t *testing.T) {
	o := options()
	o.Dirs = nil
	for to, want := range map[string]string{
		"/srv/store/1":        "the target has 12 bytes; 10 bytes fit",
		"/s/store":            "the target has 8 bytes; 10 bytes fit",
		"/home/me/long/store": "the target has 19 bytes; 10 bytes fit",
	} {
		o.Store.To = to
		_, err := relocate.NewMap(o)
		var length *relocate.LengthError
		if !errors.As(err, &length) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", to, err)
		}
	}
	o.Shorter, o.Store.To = true, "/srv/store/1"
	if _, err := relocate.NewMap(o); err == nil || !strings.HasSuffix(err.Error(), "2 to 10 bytes fit") {
		t.Error(err)
	}
}

// TestShorter fills with separators, and refuses where they would have to be escaped.
func TestShorter(t *testing.T) {
	o := options()
	o.Dirs, o.Shorter, o.Store.To = nil, true, "/s/st"
	m, err := relocate.NewMap(o)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := run(t, relocate.Options{Map: m}, tree{"f": fromStore + "/" + fromA + " " + fromStore, "l": "-> " + fromStore + "/" + fromB})
	if err != nil {
		t.Fatal(err)
	}
	want := tree{"f": "/s/st//////" + toA + " /s/st/////", "l": "-> /s/st//////" + toB}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	_, _, err = run(t, relocate.Options{Map: m}, tree{"f": `\/opt\/store\/` + fromA})
	if diff := cmp.Diff([]string{"path with escaped separators f"}, refused(err)); diff != "" {
		t.Error(diff)
	}
}

// TestNewMapRefuses what is no map that can be undone.
func TestNewMapRefuses(t *testing.T) {
	for name, change := range map[string]func(o *relocate.MapOptions){
		"a space":                func(o *relocate.MapOptions) { o.Store.To = "/srv/s ore" },
		"a relative directory":   func(o *relocate.MapOptions) { o.Store.From = "opt/store/" },
		"a directory not clean":  func(o *relocate.MapOptions) { o.Store.To = "/srv//stor" },
		"a short directory":      func(o *relocate.MapOptions) { o.Store = relocate.Dir{From: "/nix", To: "/opt"} },
		"nested directories":     func(o *relocate.MapOptions) { o.Dirs = []relocate.Dir{{From: "/opt/store/var", To: "/srv/store/var"}} },
		"a directory twice":      func(o *relocate.MapOptions) { o.Dirs = []relocate.Dir{o.Store} },
		"no store path":          func(o *relocate.MapOptions) { o.Paths["hello"] = "hello" },
		"letters not in base 32": func(o *relocate.MapOptions) { o.Paths[strings.Repeat("e", 32)+"-x"] = toA },
		"different lengths":      func(o *relocate.MapOptions) { o.Paths[strings.Repeat("4", 32)+"-x"] = strings.Repeat("5", 32) + "-xx" },
		"another name":           func(o *relocate.MapOptions) { o.Paths[strings.Repeat("4", 32)+"-x"] = strings.Repeat("5", 32) + "-y" },
		"not injective":          func(o *relocate.MapOptions) { o.Paths[strings.Repeat("4", 32)+"-hello-1.0"] = toA },
		"a hash part twice":      func(o *relocate.MapOptions) { o.Paths[fromA+"x"] = strings.Repeat("5", 32) + "-hello-1.0x" },
		"source and target":      func(o *relocate.MapOptions) { o.Paths[strings.Repeat("4", 32)+"-b"] = fromB[:32] + "-b" },
	} {
		o := options()
		change(&o)
		if _, err := relocate.NewMap(o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestNamesInNames: the name of a path may have the hash part of another in it.
func TestNamesInNames(t *testing.T) {
	o := options()
	four, five := strings.Repeat("4", 32), strings.Repeat("5", 32)
	o.Paths[four+"-of-"+fromA] = five + "-of-" + toA
	m, err := relocate.NewMap(o)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := must(t, relocate.Options{Map: m}, tree{"f": fromStore + "/" + four + "-of-" + fromA})
	if want := toStore + "/" + five + "-of-" + toA; got["f"] != want {
		t.Errorf("got %s, want %s", got["f"], want)
	}
}

// TestChunksDoNotMatter: every chunk size and position gives the same bytes.
func TestChunksDoNotMatter(t *testing.T) {
	text := fromStore + "/" + fromA + " " + units(fromStore+"/"+fromB, 2, false) + units(fromA, 4, true) + `\/opt\/store ` + "/opt/var/nix\n"
	want := toStore + "/" + toA + " " + units(toStore+"/"+toB, 2, false) + units(toA, 4, true) + `\/srv\/store ` + "/srv/var/nix\n"
	m := mapping(t)
	// Around the place where a buffer ends.
	for _, n := range []int{0, 1, 1000, 254 << 10, 255<<10 + 500, 256<<10 - 100, 256<<10 - 1, 256 << 10, 300 << 10} {
		filler := strings.Repeat("x\n", n/2)
		data := pack(t, tree{"f": filler + text + filler + text})
		for _, piece := range []int{1 << 20, 4099} {
			var out bytes.Buffer
			if _, err := relocate.Relocate(&out, stream{bytes.NewReader(data), piece}, relocate.Options{Map: m}); err != nil {
				t.Fatal(err)
			}
			if got := unpack(t, out.Bytes())["f"]; got != filler+want+filler+want {
				t.Errorf("with %d bytes before it, in pieces of %d: another result", len(filler), piece)
			}
		}
	}
}
