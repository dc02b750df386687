package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"bootstrap/internal/fault"
)

func TestOf(t *testing.T) {
	plain := errors.New("disk on fire")
	inner := &fault.Error{Kind: fault.Verify, Err: io.ErrUnexpectedEOF, Hint: "inner hint", Log: "/inner.log"}
	for _, tt := range []struct {
		name      string
		err       error
		kind      fault.Kind
		hint, log string
	}{
		{"nil", nil, fault.General, "", ""},
		{"an error like any other", plain, fault.General, "", ""},
		{"a fault", inner, fault.Verify, "inner hint", "/inner.log"},
		{"wrapped", fmt.Errorf("stage fetch: %w", inner), fault.Verify, "inner hint", "/inner.log"},
		{"the outermost kind counts", fault.New(fault.Unfit, inner, "outer hint"), fault.Unfit, "outer hint", "/inner.log"},
		{
			"an empty hint hides none", fault.New(fault.Unfit, fmt.Errorf("host: %w", fault.New(fault.General, inner, "")), ""),
			fault.Unfit, "inner hint", "/inner.log",
		},
		{"joined with others", errors.Join(plain, fault.New(fault.Locked, plain, "wait")), fault.Locked, "wait", ""},
		{"without a hint at all", fault.New(fault.Usage, plain, ""), fault.Usage, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := fault.KindOf(tt.err); got != tt.kind {
				t.Errorf("kind %d, want %d", got, tt.kind)
			}
			if got := fault.HintOf(tt.err); got != tt.hint {
				t.Errorf("hint %q, want %q", got, tt.hint)
			}
			if got := fault.LogOf(tt.err); got != tt.log {
				t.Errorf("log %q, want %q", got, tt.log)
			}
		})
	}
}

func TestError(t *testing.T) {
	err := error(fault.New(fault.Verify, fmt.Errorf("fetch %q: %w", "x.deb", io.ErrUnexpectedEOF), "try again"))
	if got, want := err.Error(), `fetch "x.deb": unexpected EOF`; got != want {
		t.Errorf("text %q, want %q: a hint has a line of its own", got, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is not found behind it")
	}
}

// The numbers are promised in help and README.
func TestKindsAreExitCodes(t *testing.T) {
	for kind, want := range map[fault.Kind]int{
		fault.General: 1, fault.Usage: 2, fault.Unfit: 3, fault.Verify: 4, fault.Locked: 5, fault.Interrupted: 130,
	} {
		if int(kind) != want {
			t.Errorf("kind %d, want %d", kind, want)
		}
	}
}
