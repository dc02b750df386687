package event_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"bootstrap/internal/event"
)

// Programs read these fields by name.
func TestJSON(t *testing.T) {
	at := time.Date(2026, time.September, 12, 7, 55, 41, 0, time.UTC)
	for _, tt := range []struct {
		name string
		event.Event
		want string
	}{
		{
			"progress",
			event.Event{Time: at, Kind: event.Progress, Stage: "fetch", Unit: event.Bytes, Done: 3, Total: 7},
			`{"time":"2026-09-12T07:55:41Z","kind":"progress","stage":"fetch","unit":"bytes","done":3,"total":7}`,
		},
		{
			"no total, where it is not known",
			event.Event{Time: at, Kind: event.Progress, Stage: "fetch", Unit: event.Files, Done: 3},
			`{"time":"2026-09-12T07:55:41Z","kind":"progress","stage":"fetch","unit":"files","done":3}`,
		},
		{
			"a sentence",
			event.Event{Time: at, Kind: event.Warn, Text: "gone"},
			`{"time":"2026-09-12T07:55:41Z","kind":"warn","stage":"","text":"gone"}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := json.Marshal(tt.Event)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSinks(t *testing.T) {
	var got []event.Event
	sink := event.Sink(event.Func(func(e event.Event) { got = append(got, e) }))
	want := event.Event{Kind: event.Start, Stage: "host"}
	sink.Emit(want)
	event.Discard().Emit(want)
	if diff := cmp.Diff([]event.Event{want}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
