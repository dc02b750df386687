package mirror_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/mirror"
)

func TestParseList(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		want []string
	}{
		"plain":            {"deb http://a.example.org/debian trixie main", []string{"http://a.example.org/debian"}},
		"more components":  {"deb http://a.example.org/debian/ bookworm contrib main non-free-firmware\n", []string{"http://a.example.org/debian"}},
		"options":          {"deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] https://a.example.org trixie main", []string{"https://a.example.org"}},
		"spaced options":   {"deb\t[ arch=amd64,arm64 ]\thttp://a.example.org sid main", []string{"http://a.example.org"}},
		"open option":      {"deb [arch=amd64 http://a.example.org sid main", nil},
		"comments":         {"# deb http://a.example.org sid main\ndeb http://b.example.org sid main # mine\n#", []string{"http://b.example.org"}},
		"comment cuts":     {"deb http://a.example.org sid # main", nil},
		"sources":          {"deb-src http://a.example.org trixie main", nil},
		"updates":          {"deb http://a.example.org trixie-updates main", []string{"http://a.example.org"}},
		"security":         {"deb http://a.example.org/debian-security trixie-security main", nil},
		"old security":     {"deb http://a.example.org/debian-security buster/updates main", nil},
		"backports":        {"deb http://a.example.org/debian trixie-backports main", nil},
		"other system":     {"deb http://a.example.org/ubuntu noble main", nil},
		"third party":      {"deb http://a.example.org/x trixie stable", nil},
		"flat":             {"deb http://a.example.org/x ./", nil},
		"trailing slash":   {"deb http://a.example.org/x trixie/ main", []string{"http://a.example.org/x"}},
		"other transports": {"deb cdrom:[Debian]/ trixie main\ndeb file:/srv trixie main\ndeb mirror+file:/x trixie main\ndeb tor+http://a.example.org trixie main", nil},
		"variable":         {"deb http://a.example.org/$(ARCH) trixie main", nil},
		"windows lines":    {"deb http://a.example.org trixie main\r\n", []string{"http://a.example.org"}},
		"nonsense":         {"deb\ndeb \ndeb [\ndeb []\n\x00\xff deb", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, mirror.ParseList(strings.NewReader(row.text))); diff != "" {
				t.Errorf("mirrors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseSources(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		want []string
	}{
		"plain": {
			"Types: deb\nURIs: http://a.example.org/debian\nSuites: trixie trixie-updates\nComponents: main\nSigned-By: /k.gpg\n",
			[]string{"http://a.example.org/debian"},
		},
		"lists over lines, an embedded key, comments": {
			"# about\nTypes: deb deb-src\nURIs: http://a.example.org/debian/\n# within\n https://b.example.org/debian\nSuites:\n trixie\nComponents:\n contrib\n main\nSigned-By:\n -----BEGIN\n .\n abc\n",
			[]string{"http://a.example.org/debian", "https://b.example.org/debian"},
		},
		"case of names":        {"types: deb\nuris: http://a.example.org\nSUITES: sid\ncomponents: main\n", []string{"http://a.example.org"}},
		"disabled":             {"Enabled: No\nTypes: deb\nURIs: http://a.example.org\nSuites: sid\nComponents: main\n", nil},
		"enabled":              {"Enabled: yes\nTypes: deb\nURIs: http://a.example.org\nSuites: sid\nComponents: main\n", []string{"http://a.example.org"}},
		"sources alone":        {"Types: deb-src\nURIs: http://a.example.org\nSuites: sid\nComponents: main\n", nil},
		"security":             {"Types: deb\nURIs: http://a.example.org\nSuites: trixie-security\nComponents: main\n", nil},
		"one suite will do":    {"Types: deb\nURIs: http://a.example.org\nSuites: trixie-backports trixie\nComponents: main\n", []string{"http://a.example.org"}},
		"no main":              {"Types: deb\nURIs: http://a.example.org\nSuites: trixie\nComponents: contrib\n", nil},
		"third party":          {"Types: deb\nURIs: http://a.example.org\nSuites: nodistro\nComponents: main\n", nil},
		"second paragraph":     {"Types: deb\nURIs: http://a.example.org\nSuites: jammy\nComponents: main\n\n\nTypes: deb\nURIs: http://b.example.org\nSuites: sid\nComponents: main", []string{"http://b.example.org"}},
		"other transport":      {"Types: deb\nURIs: file:/srv mirror+http://m.example.org http://a.example.org\nSuites: sid\nComponents: main\n", []string{"http://a.example.org"}},
		"good before nonsense": {"Types: deb\nURIs: http://a.example.org\nSuites: sid\nComponents: main\n\n???\n", []string{"http://a.example.org"}},
		"empty":                {"", nil},
		"endless field":        {"Types: deb\nURIs: http://a.example.org\nSuites: sid\nComponents: main\n\nX:\n" + strings.Repeat(" x\n", 1<<20), []string{"http://a.example.org"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(row.want, mirror.ParseSources(strings.NewReader(row.text))); diff != "" {
				t.Errorf("mirrors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAptFiles(t *testing.T) {
	entry := func(host string) string { return "deb http://" + host + ".example.org trixie main\n" }
	n := &network{}
	_, err := mirror.Find(t.Context(), mirror.Options{
		Suite: "trixie", Transport: n, BuiltIn: []string{},
		Root: aptFiles(map[string]string{
			"sources.list":               entry("first") + entry("second"),
			"sources.list.d/b.list":      entry("fourth") + entry("first"),
			"sources.list.d/a.sources":   "Types: deb\nURIs: http://third.example.org\nSuites: sid\nComponents: main",
			"sources.list.d/c.list.save": entry("saved"),
			"sources.list.d/d.list/x":    entry("nested"),
		}),
	})
	if err == nil {
		t.Error("found a mirror where there is none")
	}
	var want []string
	for _, host := range []string{"first", "second", "third", "fourth"} {
		want = append(want, host+".example.org/dists/trixie/InRelease")
	}
	if diff := cmp.Diff(want, n.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func FuzzAptSources(f *testing.F) {
	f.Add("deb [arch=amd64] http://a.example.org/debian trixie main # x\n")
	f.Add("Types: deb\nURIs: http://a.example.org\n https://u:p@b.example.org/\nSuites: sid\nComponents: main\nEnabled: no\n")
	f.Add("deb [ http://a.example.org/?x sid main\n\xff\x00deb[")
	f.Fuzz(func(t *testing.T, text string) {
		got := append(mirror.ParseList(strings.NewReader(text)), mirror.ParseSources(strings.NewReader(text))...)
		for _, m := range got {
			u, err := url.Parse(m)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
				u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(m, "/") || strings.ContainsAny(m, " \t\n$") {
				t.Errorf("%q gives the mirror %q", text, m)
			}
		}
	})
}
