package mirror_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/fault"
	"bootstrap/internal/mirror"
)

const inRelease = `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

Origin: Debian
Label: Debian
Suite: stable
Codename: trixie
`

// network answers for hosts by name, without a network.
type network struct {
	mu    sync.Mutex
	asked []string
	hosts map[string]func(*http.Request) (int, string)
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.asked = append(n.asked, r.URL.Host+r.URL.Path)
	h := n.hosts[r.URL.Host]
	n.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("dial %s: no such host", r.URL.Host)
	}
	code, text := h(r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func has(r *http.Request) (int, string) {
	if strings.HasSuffix(r.URL.Path, "/dists/trixie/InRelease") {
		return 200, inRelease
	}
	return 404, ""
}

func hangs(r *http.Request) (int, string) {
	<-r.Context().Done()
	return 0, ""
}

func says(code int, text string) func(*http.Request) (int, string) {
	return func(*http.Request) (int, string) { return code, text }
}

func aptFiles(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out["etc/apt/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func TestFindOrder(t *testing.T) {
	files := aptFiles(map[string]string{
		"sources.list":                  "deb http://one.example.org/debian trixie main\n",
		"sources.list.d/debian.sources": "Types: deb\nURIs: http://two.example.org/debian/\nSuites: trixie\nComponents: main\n",
	})
	builtIn := []string{"http://three.example.org/debian"}
	const (
		one   = "one.example.org"
		two   = "two.example.org"
		three = "three.example.org"
	)
	for _, row := range []struct {
		name, flag, env string
		up              []string
		want            mirror.Mirror
	}{
		{"flag", "http://flag.example.org/d/", "http://env.example.org", nil, mirror.Mirror{URL: "http://flag.example.org/d", Origin: "--mirror"}},
		{"environment", "", " https://env.example.org/x ", nil, mirror.Mirror{URL: "https://env.example.org/x", Origin: "BOOTSTRAP_MIRROR"}},
		{"sources.list", "", "", []string{one, two, three}, mirror.Mirror{URL: "http://one.example.org/debian", Origin: "/etc/apt/sources.list"}},
		{"next of apt's", "", "", []string{two, three}, mirror.Mirror{URL: "http://two.example.org/debian", Origin: "/etc/apt/sources.list.d/debian.sources"}},
		{"built-in", "", "", []string{three}, mirror.Mirror{URL: "http://three.example.org/debian", Origin: "built-in list"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			n := &network{hosts: map[string]func(*http.Request) (int, string){}}
			for _, host := range row.up {
				n.hosts[host] = has
			}
			got, err := mirror.Find(t.Context(), mirror.Options{
				Flag: row.flag, Env: row.env, Root: files, Suite: "trixie", Transport: n, BuiltIn: builtIn,
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("mirror (-want +got):\n%s", diff)
			}
			if row.up == nil && len(n.asked) > 0 {
				t.Errorf("a mirror the user named was asked: %q", n.asked)
			}
		})
	}
}

// The suites of newer packages for a release say that they are of another origin.
func TestBackports(t *testing.T) {
	backports := strings.ReplaceAll(inRelease, "Origin: Debian", "Origin: Debian Backports")
	n := &network{hosts: map[string]func(*http.Request) (int, string){"good.example.org": says(200, backports)}}
	o := mirror.Options{Suite: "trixie-backports", Transport: n}
	if err := mirror.Check(t.Context(), "http://good.example.org/debian", o); err != nil {
		t.Error(err)
	}
}

func TestMirrorsThatDoNotDo(t *testing.T) {
	ubuntu := strings.ReplaceAll(inRelease, "Origin: Debian", "Origin: Other")
	for name, row := range map[string]struct {
		answer func(*http.Request) (int, string)
		reason string
	}{
		"no such suite":    {says(404, ""), "404 Not Found"},
		"broken":           {says(500, ""), "500"},
		"another archive":  {says(200, ubuntu), "not an archive of Debian's"},
		"login page":       {says(200, "<!DOCTYPE html><HTML>log in"), "web page"},
		"empty":            {says(200, ""), "not an archive of Debian's"},
		"does not answer":  {hangs, "no answer in 50ms"},
		"nobody there":     {nil, "no such host"},
		"redirect nowhere": {says(302, ""), "302 Found"},
	} {
		t.Run(name, func(t *testing.T) {
			n := &network{hosts: map[string]func(*http.Request) (int, string){"bad.example.org": row.answer, "good.example.org": has}}
			if row.answer == nil {
				delete(n.hosts, "bad.example.org")
			}
			o := mirror.Options{Suite: "trixie", Transport: n, Timeout: 50 * time.Millisecond}
			err := mirror.Check(t.Context(), "http://user:secret@bad.example.org/debian", o)
			if err == nil || !strings.Contains(err.Error(), row.reason) || fault.HintOf(err) == "" {
				t.Errorf("Check: %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "user")) {
				t.Errorf("the login shows: %v", err)
			}
			o.Root = aptFiles(map[string]string{"sources.list": "deb http://bad.example.org/debian trixie main\ndeb http://good.example.org/debian trixie main"})
			got, err := mirror.Find(t.Context(), o)
			if err != nil || got.URL != "http://good.example.org/debian" {
				t.Errorf("Find: %v, %v", got, err)
			}
		})
	}
}

func TestCheckGood(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, text := has(r)
		w.WriteHeader(code)
		// Endless: only its beginning may be read.
		for fmt.Fprint(w, text); code == 200 && r.Context().Err() == nil; {
			if _, err := io.WriteString(w, strings.Repeat("x: y\n", 1000)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	if err := mirror.Check(t.Context(), s.URL+"/debian/", mirror.Options{Suite: "trixie"}); err != nil {
		t.Error(err)
	}
	if err := mirror.Check(t.Context(), s.URL, mirror.Options{Suite: "forky"}); err == nil {
		t.Error("a suite that is not there was found")
	}
	if err := mirror.Check(t.Context(), "nonsense", mirror.Options{Suite: "trixie"}); fault.KindOf(err) != fault.Usage {
		t.Errorf("nonsense: %v", err)
	}
}

func TestRedirectsAreFollowedAndBounded(t *testing.T) {
	var s *httptest.Server
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/loop"):
			http.Redirect(w, r, s.URL+r.URL.Path, http.StatusFound)
		case strings.HasPrefix(r.URL.Path, "/moved/"):
			http.Redirect(w, r, strings.TrimPrefix(r.URL.Path, "/moved"), http.StatusFound)
		default:
			io.WriteString(w, inRelease)
		}
	}))
	t.Cleanup(s.Close)
	o := mirror.Options{Suite: "trixie"}
	if err := mirror.Check(t.Context(), s.URL+"/moved", o); err != nil {
		t.Error(err)
	}
	if err := mirror.Check(t.Context(), s.URL+"/loop", o); err == nil || !strings.Contains(err.Error(), "more than 10 redirects") {
		t.Errorf("loop: %v", err)
	}
	secure := httptest.NewTLSServer(http.RedirectHandler(s.URL+"/x", http.StatusFound))
	t.Cleanup(secure.Close)
	o.Transport = secure.Client().Transport
	if err := mirror.Check(t.Context(), secure.URL, o); err == nil || !strings.Contains(err.Error(), "from https to http") {
		t.Errorf("downgrade: %v", err)
	}
}

func TestBuiltInListIsRaced(t *testing.T) {
	var list []string
	n := &network{hosts: map[string]func(*http.Request) (int, string){"m9.example.org": has}}
	for i := range 12 {
		list = append(list, fmt.Sprintf("http://m%d.example.org/debian", i))
	}
	// Three that hang hold up nobody.
	for i := range 3 {
		n.hosts[fmt.Sprintf("m%d.example.org", i)] = hangs
	}
	start := time.Now()
	got, err := mirror.Find(t.Context(), mirror.Options{Suite: "trixie", Transport: n, BuiltIn: list, Timeout: time.Minute})
	if err != nil || got.URL != list[9] || time.Since(start) > 10*time.Second {
		t.Errorf("Find: %v, %v after %v", got, err, time.Since(start))
	}
}

func TestNoMirrorAtAll(t *testing.T) {
	n := &network{}
	_, err := mirror.Find(t.Context(), mirror.Options{
		Suite: "trixie", Transport: n, BuiltIn: []string{"http://a.example.org", "http://b.example.org"},
		Root: aptFiles(map[string]string{"sources.list": "deb http://me:pw@own.example.org/debian trixie main"}),
	})
	if fault.KindOf(err) != fault.General || !strings.Contains(fault.HintOf(err), "--mirror") {
		t.Errorf("Find: %v, hint %q", err, fault.HintOf(err))
	}
	if s := fmt.Sprint(err); !strings.Contains(s, "none of 3") || !strings.Contains(s, "own.example.org") || strings.Contains(s, "pw") {
		t.Errorf("text: %s", s)
	}
	if len(n.asked) != 3 {
		t.Errorf("asked %q", n.asked)
	}
}

func TestCancel(t *testing.T) {
	n := &network{hosts: map[string]func(*http.Request) (int, string){"a.example.org": hangs}}
	for _, o := range []mirror.Options{
		{BuiltIn: []string{"http://a.example.org"}},
		{Root: aptFiles(map[string]string{"sources.list": "deb http://a.example.org trixie main"})},
	} {
		o.Transport, o.Suite, o.Timeout = n, "trixie", time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err := mirror.Find(ctx, o); !errors.Is(err, context.Canceled) {
			t.Errorf("Find: %v", err)
		}
	}
}

func TestCountryMirrors(t *testing.T) {
	n := &network{}
	if _, err := mirror.Find(t.Context(), mirror.Options{Suite: "trixie", Transport: n}); err == nil {
		t.Fatal("found a mirror where there is none")
	}
	slices.Sort(n.asked)
	if len(n.asked) < 10 || len(slices.Compact(slices.Clone(n.asked))) != len(n.asked) {
		t.Errorf("asked %q", n.asked)
	}
	for _, a := range n.asked {
		if len(a) < 8 || !strings.HasPrefix(a, "ftp.") || !strings.HasSuffix(a[6:], ".debian.org/debian/dists/trixie/InRelease") {
			t.Errorf("asked %q", a)
		}
	}
}

func TestMirrorAsJSONHasNoLogin(t *testing.T) {
	got, err := json.Marshal(&mirror.Mirror{URL: "https://me:secret@example.org/debian", Origin: "--mirror"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"url":"https://example.org/debian","origin":"--mirror"}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSnapshotURL(t *testing.T) {
	got := mirror.SnapshotURL("20260912T075541Z")
	if !strings.HasPrefix(got, "https://snapshot.") || !strings.HasSuffix(got, "/archive/debian/20260912T075541Z") {
		t.Errorf("SnapshotURL = %q", got)
	}
	if _, err := mirror.Parse(got); err != nil {
		t.Error(err)
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"http://example.org":                   "http://example.org",
		"http://example.org/":                  "http://example.org",
		"https://example.org:8080/a/debian//":  "https://example.org:8080/a/debian",
		"http://user:secret@example.org/x":     "http://user:secret@example.org/x",
		"ftp://example.org/debian":             "",
		"file:///srv/debian":                   "",
		"example.org/debian":                   "",
		"http://":                              "",
		"http:///debian":                       "",
		"http://example.org/?a=b":              "",
		"http://example.org/?":                 "",
		"http://example.org/#x":                "",
		"http://u:secret@example.org:x/debian": "",
		"http://u:sec/ret@example.org/?q":      "",
		"http://u:%secret@example.org":         "",
		"http://exa mple.org":                  "",
		"":                                     "",
	} {
		got, err := mirror.Parse(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Parse(%q) = %q, %v", in, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "ret@")) {
			t.Errorf("the login shows: %v", err)
		}
		if want == "" && in != "" {
			_, err := mirror.Find(t.Context(), mirror.Options{Flag: in})
			if fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "" || !strings.HasPrefix(err.Error(), "--mirror: ") {
				t.Errorf("Find with %q: %v", in, err)
			}
		}
	}
}
