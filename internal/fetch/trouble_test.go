package fetch_test

import (
	"fmt"
	"net/http"
	"testing"

	"bootstrap/internal/event"
	"bootstrap/internal/fetch"
)

// A host that is down fails every file in the same way.
func TestAHostIsWarnedOfOnce(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{"503": status(503), "reset": reset(nil, 0)} {
		t.Run(name, func(t *testing.T) {
			var files []fetch.File
			url, _ := serve(t, answer)
			for i := range 8 {
				files = append(files, fileOf(content(100+i), fmt.Sprint(url, "/", i)))
			}
			w := newWorld(t)
			if _, err := w.Fetch(t.Context(), files); err == nil {
				t.Fatal("no error")
			}
			for n := 2; n <= 5; n++ {
				if !w.events.warned(fmt.Sprintf("attempt %d of 5", n)) {
					t.Errorf("attempt %d: not a word", n)
				}
			}
			if got := w.events.of(event.Warn); len(got) != 4 {
				t.Errorf("%d warnings: %v", len(got), got)
			}
		})
	}
}

// What was said is said again when the host has been well meanwhile.
func TestAHostIsWarnedOfAgain(t *testing.T) {
	a, b := content(100), content(200)
	w := newWorld(t)
	for _, data := range [][]byte{a, b} {
		url, _ := serve(t, inTurn(status(503), good(data)))
		w.want(t, data)(w.Fetch(t.Context(), []fetch.File{fileOf(data, url)}))
	}
	if got := w.events.of(event.Warn); len(got) != 2 {
		t.Errorf("warnings: %v", got)
	}
}
