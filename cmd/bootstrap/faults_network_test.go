package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"syscall"
	"time"

	"bootstrap/stages"
)

// networkMishaps are what happens between a mirror and the installer, by a proxy that fails for one
// file. A failure that may pass is tried again some times, in some seconds.
func networkMishaps() []mishap {
	all := []mishap{
		refusedMishap(), stalledMishap(), authorityMishap(),
		served("reset-at-byte", "connection reset after 100 bytes, once", "tried again, and goes on from byte 100; 0", 0, passing(func(f *front, w http.ResponseWriter) { f.reset(w, 100) }), `attempt 2 of 5`),
		served("reset-at-byte-0", "connection reset before the first byte, once", "tried again; 0", 0, passing(func(f *front, w http.ResponseWriter) { f.reset(w, 0) }), `attempt 2 of 5`),
		served("half-once", "half a body, once", "goes on from there; 0", 0, passing(halfBody), `attempt 2 of 5`),
		served("500-once", "status 500, once", "tried again; 0", 0, passing(answers(http.StatusInternalServerError)), `attempt 2 of 5`),
		served("503-retry-after", "status 503 with Retry-After: 1, once", "tried again after a second; 0", 0, passing(func(_ *front, w http.ResponseWriter) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}), `attempt 2 of 5 in 1s`),
		served("403", "status 403", "no second attempt; 1", 1, always(answers(http.StatusForbidden)), `403 Forbidden`),
		served("404", "status 404, here and in the snapshot archive", "said to be incomplete; 1", 1, always(answers(http.StatusNotFound)), `on no mirror any more`, `the mirror is incomplete`),
		served("wrong-bytes", "wrong bytes of the right length", "never used; 4", 4, always(wrongBytes), `sha256 is [0-9a-f]+, not`),
		served("longer-body", "a longer body without a length", "cut, never used; 4", 4, always(func(f *front, w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			_, _ = w.Write(append(f.file(), make([]byte, 4096)...))
		}), `\d+ bytes, not`),
		served("longer-announced", "a longer Content-Length", "not read; 4", 4, always(func(f *front, w http.ResponseWriter) {
			_, _ = w.Write(append(f.file(), 0))
		}), `\d+ bytes, not`),
		served("shorter-body", "a complete body that is shorter", "never used; 4", 4, always(func(f *front, w http.ResponseWriter) {
			_, _ = w.Write(f.file()[:len(f.file())-1])
		}), `\d+ bytes, not`),
		served("empty-body", "a complete body of no bytes", "never used; 4", 4, always(func(_ *front, w http.ResponseWriter) {
			w.Header().Set("Content-Length", "0")
		}), `\d+ bytes, not`),
		served("captive-portal", "a web page with status 200", "called a web page; 4", 4, always(func(_ *front, w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html><body>Please log in</body></html>")
		}), `web page`),
		served("redirect-loop", "redirected in a circle", "left after some; 1", 1, func(_ *front, w http.ResponseWriter, r *http.Request, n int) bool {
			http.Redirect(w, r, "/loop"+strconv.Itoa(n), http.StatusFound)
			return true
		}, `redirect`),
	}
	for _, m := range []mishap{
		served("reset-always", "connection reset after 100 bytes, always", "five attempts; 1", 1, always(func(f *front, w http.ResponseWriter) { f.reset(w, 100) }), `attempt 5 of 5`),
		served("half-always", "half a body, always", "five attempts; 1", 1, always(halfBody), `attempt 5 of 5`),
		served("500-always", "status 500, always", "five attempts; 1", 1, always(answers(http.StatusInternalServerError)), `attempt 5 of 5`),
	} {
		m.slow = true
		all = append(all, m)
	}
	return all
}

// served is a fault that the proxy makes.
func served(name, how, outcome string, code int, way conduct, said ...string) mishap {
	return mishap{
		name: "network/" + name, stage: stages.Fetch, how: how, outcome: outcome,
		provoke: func(p *patient) {
			p.front.behave(way)
			p.run().wants(code, said...)
			if p.front.requests() == 0 {
				p.Fatal("it was not asked for the file")
			}
		},
	}
}

func always(answer func(*front, http.ResponseWriter)) conduct {
	return func(f *front, w http.ResponseWriter, _ *http.Request, _ int) bool {
		answer(f, w)
		return true
	}
}

// passing answers so to the first request only.
func passing(answer func(*front, http.ResponseWriter)) conduct {
	return func(f *front, w http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 1 {
			answer(f, w)
		}
		return n == 1
	}
}

func answers(code int) func(*front, http.ResponseWriter) {
	return func(_ *front, w http.ResponseWriter) { w.WriteHeader(code) }
}

func halfBody(f *front, w http.ResponseWriter) {
	f.seed.half(w)
	panic(http.ErrAbortHandler)
}

func wrongBytes(f *front, w http.ResponseWriter) {
	data := append([]byte(nil), f.file()...)
	data[len(data)/2] ^= 1
	_, _ = w.Write(data)
}

func refusedMishap() mishap {
	return mishap{
		name: "network/refused", stage: stages.Fetch, how: "nothing listens where the mirror was", outcome: "five attempts; 1",
		provoke: func(p *patient) {
			p.front.close()
			p.later(func() { _ = p.front.listen() })
			p.run().wants(1, "connection refused", `attempt 5 of 5`, "(?m)^hint: ")
		},
		heal: func(p *patient) { must(p.T, p.front.listen()) },
		slow: true,
	}
}

func stalledMishap() mishap {
	return mishap{
		name: "network/stalled", stage: stages.Fetch, how: "half a body, then silence, until SIGINT", outcome: "gone within two seconds; 130",
		provoke: func(p *patient) {
			p.front.behave(always(func(f *front, w http.ResponseWriter) {
				f.seed.half(w)
				f.seed.stalled <- struct{}{}
				time.Sleep(10 * time.Second) // longer than it is waited for
			}))
			a := p.start()
			select {
			case <-p.seed.stalled:
			case <-time.After(time.Minute):
				p.Fatal("nothing stalls")
			}
			a.signal(syscall.SIGINT).wait().wants(130, "interrupted in stage fetch")
		},
	}
}

func authorityMishap() mishap {
	var server *httptest.Server
	return mishap{
		name: "network/unknown-authority", stage: stages.Fetch, how: "TLS by an authority that nobody knows", outcome: "nothing is read; 1",
		provoke: func(p *patient) {
			server = httptest.NewUnstartedServer(p.front)
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // it is going to complain of the handshakes
			server.StartTLS()
			p.later(server.Close)
			p.url = server.URL
			p.run().wants(1, "certificate signed by unknown authority", "(?m)^hint: ")
		},
		heal: func(p *patient) {
			file := p.path("authority.pem")
			text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
			must(p.T, os.WriteFile(file, text, 0o644))
			p.env = append(p.env, "SSL_CERT_FILE="+file)
		},
	}
}
