package drv_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/drv"
)

const whole = `Derive([("out","/s/o","","")],[("/s/a.drv",["dev","out"])],["/s/b"],"sys","/bin/sh",["-c","x"],[("a","1"),("out","/s/o")])`

func TestParse(t *testing.T) {
	got, err := drv.Parse("x", []byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	want := &drv.Derivation{
		Name:    "x",
		Outputs: []drv.Output{{Name: "out", Path: "/s/o"}},
		Inputs:  []drv.Input{{Path: "/s/a.drv", Outputs: []string{"dev", "out"}}},
		Sources: []string{"/s/b"},
		System:  "sys", Builder: "/bin/sh", Args: []string{"-c", "x"},
		Env: []drv.Variable{{Name: "a", Value: "1"}, {Name: "out", Value: "/s/o"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
}

func TestParseEscapes(t *testing.T) {
	const text = `Derive([],[],[],"s","b",["\"\\\n\r\t` + "\x00\xff" + `/${x}"],[])`
	d, err := drv.Parse("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := "\"\\\n\r\t\x00\xff/${x}"; d.Args[0] != want {
		t.Errorf("got %q, want %q", d.Args[0], want)
	}
	if got := string(d.Text()); got != text {
		t.Errorf("printed %q, want %q", got, text)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"a version":              {"Derive(", `DrvWithVersion("xp-dyn-drv",`},
		"another word":           {"Derive(", "Derived("},
		"an unknown escape":      {`"x"`, `"\x"`},
		"a raw newline":          {`"x"`, "\"\n\""},
		"no end":                 {`])`, ``},
		"an end within a string": {`"/s/o")])`, `"/s/o`},
		"an end in an escape":    {`"/s/o")])`, `"/s/o\`},
		"something after it":     {`"/s/o")])`, `"/s/o")]) `},
		"a comma too many":       {`"-c","x"`, `"-c","x",`},
		"no comma":               {`"-c","x"`, `"-c""x"`},
		"outputs out of order":   {`[("out","/s/o","","")]`, `[("out","/s/o","",""),("dev","","","")]`},
		"an output twice":        {`[("out","/s/o","","")]`, `[("out","/s/o","",""),("out","","","")]`},
		"inputs out of order":    {`[("/s/a.drv",`, `[("/s/b.drv",["out"]),("/s/a.drv",`},
		"input outputs":          {`["dev","out"]`, `["out","dev"]`},
		"sources out of order":   {`["/s/b"]`, `["/s/b","/s/a"]`},
		"variables out of order": {`("a","1"),`, `("z","1"),`},
		"a variable twice":       {`("a","1"),`, `("a","1"),("a","1"),`},
		"three fields":           {`("a","1")`, `("a","1","2")`},
	} {
		text := strings.Replace(whole, change[0], change[1], 1)
		if text == whole {
			t.Fatalf("%s: nothing was changed", name)
		}
		if name == "no end" {
			text = strings.TrimSuffix(whole, "])")
		}
		if _, err := drv.Parse("x", []byte(text)); err == nil {
			t.Errorf("%s: taken: %s", name, text)
		}
	}
	if _, err := drv.Parse("a/b", []byte(whole)); err == nil {
		t.Error("a name with a slash was taken")
	}
}

// FuzzParse: what is taken is written the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`Derive([],[],[],"","",[],[])`))
	f.Add([]byte(`Derive([("out","","r:sha256","")],[],[],"\n","\\",["\""],[("","")])`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := drv.Parse("x", text)
		if err != nil {
			return
		}
		if got := d.Text(); !bytes.Equal(got, text) {
			t.Errorf("%q is printed as %q", text, got)
		}
	})
}
