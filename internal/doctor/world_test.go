package doctor_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/doctor"
	"bootstrap/internal/mirror"
)

func TestLogin(t *testing.T) {
	home := shortTemp(t)
	profile := func(text string) {
		must(t, os.WriteFile(filepath.Join(home, ".profile"), []byte(text), 0o644))
	}
	login := func(ctx context.Context, shell string) doctor.Check {
		return doctor.Login(ctx, doctor.Options{Getenv: env(map[string]string{"HOME": home, "SHELL": shell, "CPATH": "/not/asked"})})
	}
	profile("x=1\n")
	if c := login(t.Context(), "/bin/sh"); c.Verdict != doctor.OK {
		t.Skipf("the start-up files of this machine are not clean: %+v", c)
	}
	profile("export LD_LIBRARY_PATH=/opt/lib PKG_CONFIG_PATH=/opt/pc\n")
	if c := login(t.Context(), "/bin/sh"); c.Verdict != doctor.Warning || c.Found != "sh exports LD_LIBRARY_PATH, PKG_CONFIG_PATH" {
		t.Errorf("%+v", c)
	}
	profile("sleep 1000\n")
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if c := login(short, "/bin/sh"); c.Verdict != doctor.Warning || !strings.Contains(c.Found, "was not done") {
		t.Errorf("%+v", c)
	}
	for _, shell := range []string{"", "sh", "/bin/tcsh"} {
		if c := login(t.Context(), shell); c.Verdict != doctor.OK || !strings.Contains(c.Found, "not tried") {
			t.Errorf("%q: %+v", shell, c)
		}
	}
	if c := login(t.Context(), "/no/such/shell"); c.Verdict != doctor.Warning || !strings.Contains(c.Found, "no such file") {
		t.Errorf("%+v", c)
	}
}

func TestAsk(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	answer := func(text string, date time.Time, age int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", date.Format(http.TimeFormat))
			if age > 0 {
				w.Header().Set("Age", fmt.Sprint(age))
			}
			fmt.Fprint(w, text)
		}
	}
	const index = "Origin: Debian\n"
	fails := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	tests := []struct {
		name          string
		handler       http.HandlerFunc
		needed        bool
		mirror, clock doctor.Verdict
		found, skew   string
	}{
		{"fine", answer(index, now, 0), true, doctor.OK, doctor.OK, "answers (--mirror)", "as the server's"},
		{"a little late", answer(index, now.Add(-4*time.Minute), 0), true, doctor.OK, doctor.OK, "answers", "as the server's"},
		{"a clock that is ahead", answer(index, now.Add(-time.Hour), 0), true, doctor.OK, doctor.Warning, "answers", "1h0m0s ahead of the server's"},
		{"a clock that is behind", answer(index, now.Add(time.Hour), 0), true, doctor.OK, doctor.Warning, "answers", "1h0m0s behind the server's"},
		{"a cache in between", answer(index, now.Add(-time.Hour), 3600), true, doctor.OK, doctor.OK, "answers", "as the server's"},
		{"a login page", answer("<html>Welcome", now, 0), true, doctor.Refused, doctor.OK, "login page", ""},
		{"forbidden", fails, true, doctor.Refused, doctor.Warning, "403 Forbidden", ""},
		{"forbidden, and not needed", fails, false, doctor.Warning, doctor.Warning, "403", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			checks := doctor.Ask(t.Context(), doctor.Request{
				Mirror: mirror.Options{Flag: server.URL, Suite: "trixie", Transport: http.DefaultTransport},
				Needed: tt.needed, Now: func() time.Time { return now },
			})
			if c := named(t, checks, "mirror"); c.Verdict != tt.mirror || !strings.Contains(c.Found, tt.found) {
				t.Errorf("%+v; want %s with %q", c, tt.mirror, tt.found)
			}
			if c := named(t, checks, "clock"); c.Verdict != tt.clock || !strings.Contains(c.Found, tt.skew) {
				t.Errorf("%+v; want %s with %q", c, tt.clock, tt.skew)
			}
		})
	}
}

func TestAskWhoNobodyVouchesFor(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it is told that the certificate is refused
	server.StartTLS()
	defer server.Close()
	checks := doctor.Ask(t.Context(), doctor.Request{
		Mirror: mirror.Options{Flag: server.URL, Suite: "trixie", Transport: &http.Transport{}}, Needed: true, Now: time.Now,
		Getenv: env(map[string]string{"HTTPS_PROXY": "http://me:secret@proxy.test:3128"}),
	})
	c := named(t, checks, "mirror")
	if c.Verdict != doctor.Refused || !strings.Contains(c.Remedy, "--ca-cert") {
		t.Errorf("%+v", c)
	}
	if c := named(t, checks, "clock"); c.Verdict != doctor.OK || !strings.Contains(c.Found, "not compared") {
		t.Errorf("%+v", c)
	}
}

func TestAskShowsNoLogin(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Origin: Debian\n") }))
	defer server.Close()
	checks := doctor.Ask(t.Context(), doctor.Request{
		Mirror: mirror.Options{Env: strings.Replace(server.URL, "//", "//me:secret@", 1), Suite: "trixie", Transport: &http.Transport{}}, Now: time.Now,
		Getenv: env(map[string]string{"HTTPS_PROXY": "http://me:secret@proxy.test:3128"}),
	})
	c := named(t, checks, "mirror")
	if c.Verdict != doctor.OK || strings.Contains(c.Found, "secret") || !strings.Contains(c.Found, "HTTPS_PROXY is http://proxy.test:3128") {
		t.Errorf("%+v", c)
	}
}
