package main

import (
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"bootstrap/internal/debtest"
	"bootstrap/internal/relink"

	"github.com/rogpeppe/go-internal/testscript"
)

// answer is how a mirror answers for one file.
type answer func(s *seed, w http.ResponseWriter, r *http.Request)

// behaviours are the ways in which a mirror can answer for a file that it should have;
// in any other way it is as it should be.
func behaviours() map[string]answer {
	status := func(code int) answer {
		return func(_ *seed, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	return map[string]answer{
		"404":      status(http.StatusNotFound),
		"500":      status(http.StatusInternalServerError),
		"snapshot": status(http.StatusNotFound), // but the snapshot archive has it
		"half": func(s *seed, w http.ResponseWriter, _ *http.Request) {
			s.half(w)
			panic(http.ErrAbortHandler)
		},
		"stall": func(s *seed, w http.ResponseWriter, r *http.Request) {
			s.half(w)
			s.stalled <- struct{}{}
			<-r.Context().Done()
		},
		"wrong": func(s *seed, w http.ResponseWriter, _ *http.Request) {
			data := slices.Clone(s.content())
			data[len(data)/2] ^= 1
			_, _ = w.Write(data)
		},
		"endless": func(_ *seed, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
	}
}

// content is that of the file which behaviours are about.
func (s *seed) content() []byte {
	if s.bundle != nil {
		return s.bundle
	}
	return s.archive.File(s.moving)
}

// half sends the first half of the file, and says that there will be more.
func (s *seed) half(w http.ResponseWriter) {
	data := s.content()
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data[:len(data)/2])
	w.(http.Flusher).Flush()
}

// behave changes how the mirror answers: to one of [behaviours], to "fine", or to one that has
// another version of the package now, "renewed", with an index that is "expired" in the bargain.
// A "whole" one has all that a lock is made of; "replayed" is one whose index is older than the
// built-in lock, and "late" one whose index has expired.
func behave(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	s, way := worldOf(ts).seed, args[0]
	switch way {
	case "renewed", "expired":
		suite := s.archive.Suite("trixie")
		for i := range suite.Packages {
			if suite.Packages[i].Name == movingName {
				suite.Packages[i].Version = "4.4.1-3"
			}
		}
		if way == "expired" {
			suite.ValidUntil = time.Now().Add(-time.Minute)
		}
		s.archive.Publish()
	case "whole":
		s.whole(nil)
	case "replayed":
		old := time.Date(2025, time.August, 9, 11, 0, 0, 0, time.UTC)
		s.whole(func(suite *debtest.Suite) { suite.Date, suite.Forever = old, true })
	case "late":
		date := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
		s.whole(func(suite *debtest.Suite) {
			suite.Date, suite.Forever, suite.ValidUntil = date, false, date.Add(time.Minute)
		})
	case "fine":
	default:
		if behaviours()[way] == nil {
			ts.Fatalf("no way %q is known", way)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.way = way
}

// crimes are what a package can try in order to get out of the directory it is unpacked into.
// Outside is an absolute path of a directory that it has no business in.
func crimes(outside string) map[string][]debtest.Entry {
	lib := "./usr/lib/" + relink.Triplet(runtime.GOARCH) + "/"
	return map[string][]debtest.Entry{
		"dotdot":   {debtest.Reg("./usr/lib/../../../../../../escaped.so", "out")},
		"absolute": {debtest.Reg(filepath.Join(outside, "escaped.so"), "out")},
		"device":   {debtest.Dev(lib + "null.so")},
		"hardlink": {debtest.Hard(lib+"hard.so", "../../../../../../outside/secret")},
		"symlink": {
			debtest.Lnk(lib+"dir.so", outside),
			debtest.Reg(lib+"dir.so/escaped.so", "out"),
		},
	}
}
