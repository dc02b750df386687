package prompt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"bootstrap/internal/fault"
	"bootstrap/internal/prompt"

	"github.com/google/go-cmp/cmp"
)

const childVariable = "PROMPT_TEST_CHILD"

// TestMain is also the child of [TestTTYOfAScript].
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	os.Exit(m.Run())
}

func child() {
	tty, err := prompt.OpenTTY()
	if err != nil {
		fmt.Println("no tty:", err)
		return
	}
	for _, label := range []string{"First", "Second"} {
		answer, err := prompt.Select(context.Background(), prompt.Options{
			Label: label, Items: answers(), In: tty, Out: tty,
		})
		fmt.Println(answer, err)
	}
}

func answers() []string { return []string{"yes", "no", "explain"} }

func question(term *terminal) prompt.Options {
	return prompt.Options{Label: "Proceed?", Items: answers(), In: term.tty, Out: term.tty}
}

func TestAllowed(t *testing.T) {
	terminals := prompt.Session{StdinTTY: true, StderrTTY: true}
	if !prompt.Allowed(terminals) {
		t.Error("not allowed on terminals")
	}
	for name, change := range map[string]func(*prompt.Session){
		"no stdin":  func(s *prompt.Session) { s.StdinTTY = false },
		"no stderr": func(s *prompt.Session) { s.StderrTTY = false },
		"yes":       func(s *prompt.Session) { s.Yes = true },
		"CI":        func(s *prompt.Session) { s.CI = true },
	} {
		s := terminals
		change(&s)
		if prompt.Allowed(s) {
			t.Errorf("%s: allowed", name)
		}
	}
}

func TestKeys(t *testing.T) {
	tests := map[string]struct{ keys, def, want string }{
		"enter":                  {"\r", "", "yes"},
		"line feed":              {"\n", "", "yes"},
		"enter on a default":     {"\r", "explain", "explain"},
		"down":                   {"\x1b[B\r", "", "no"},
		"down in keypad mode":    {"\x1bOB\x1bOB\r", "", "explain"},
		"down too far, then up":  {"\x1b[B\x1b[B\x1b[B\x1b[B\x1b[A\r", "", "no"},
		"up too far, then down":  {"\x1b[A\x1b[A\x1b[B\r", "", "no"},
		"ctrl-N and ctrl-P":      {"\x0e\x0e\x10\r", "", "no"},
		"letter y":               {"y", "no", "yes"},
		"letter n":               {"n", "", "no"},
		"letter e":               {"e", "", "explain"},
		"capital letter":         {"N", "", "no"},
		"letter after moving":    {"\x1b[B\x1b[By", "", "yes"},
		"letters without item":   {"xjk\tü\r", "", "yes"},
		"keys with surprises":    {"\x1a\x12\x13\x16\x0c\r", "", "yes"},
		"longer escape sequence": {"\x1b[1;5D\x1b[3~\x1b[B\r", "", "no"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			term := openTerminal(t, 80)
			before := term.modes()
			o := question(term)
			o.Default = tt.def
			go func() {
				term.waitFor("explain", 1)
				term.press(tt.keys)
			}()
			got, err := prompt.Select(t.Context(), o)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
			if diff := cmp.Diff(before, term.modes()); diff != "" {
				t.Errorf("terminal modes (-before +after):\n%s", diff)
			}
			term.waitFor("✔ Proceed? "+tt.want, 1)
			if strings.Contains(term.drawn(), "\a") {
				t.Error("the bell was rung")
			}
		})
	}
}

func TestTypeAheadReachesTheNextQuestion(t *testing.T) {
	for name, keys := range map[string]string{
		// The terminal is not raw yet and makes line feeds of enter;
		// the one after the e is the third answer.
		"before raw mode": "\x1b[B\re\ry",
		"letters":         "ney",
		"arrows":          "\x1b[B\r\x1b[B\x1b[B\r\r",
	} {
		t.Run(name, func(t *testing.T) {
			term := openTerminal(t, 80)
			term.press(keys)
			var got []string
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				answer, err := prompt.Select(ctx, question(term))
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, answer)
			}
			want := []string{"no", "explain", "yes"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	tests := map[string]func(term *terminal, cancel func()){
		"ctrl-C":      func(term *terminal, _ func()) { term.press("\x03") },
		"ctrl-D":      func(term *terminal, _ func()) { term.press("\x04") },
		"ctx is done": func(_ *terminal, cancel func()) { cancel() },
	}
	for name, interrupt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, dumb := range []bool{false, true} {
				term := openTerminal(t, 80)
				before := term.modes()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				o := question(term)
				o.Dumb = dumb
				if dumb && name == "ctrl-C" {
					continue // the terminal makes a signal of it
				}
				go func() {
					term.waitFor("explain", 1)
					interrupt(term, cancel)
				}()
				answer, err := prompt.Select(ctx, o)
				if fault.KindOf(err) != fault.Interrupted || answer != "" {
					t.Errorf("got %q, %v", answer, err)
				}
				if name == "ctx is done" && !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				if diff := cmp.Diff(before, term.modes()); diff != "" {
					t.Errorf("terminal modes (-before +after):\n%s", diff)
				}
				if !dumb {
					term.waitFor("\x1b[?25h", 1) // the cursor is shown again
				}
			}
		})
	}
}

func TestHangUp(t *testing.T) {
	term := openTerminal(t, 80)
	go func() {
		term.waitFor("explain", 1)
		_ = term.master.Close()
	}()
	if _, err := prompt.Select(t.Context(), question(term)); fault.KindOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
}

func TestConfirm(t *testing.T) {
	for keys, want := range map[string]bool{"y": true, "n": false, "\r": false, "\x1b[A\r": true} {
		term := openTerminal(t, 80)
		o := question(term)
		term.press(keys)
		if got, err := prompt.Confirm(t.Context(), o); err != nil || got != want {
			t.Errorf("%q: got %v, %v", keys, got, err)
		}
	}
}

func TestDumbTerminal(t *testing.T) {
	for keys, want := range map[string]string{"\n": "no", "y\n": "yes", "expl\n": "explain", "bla\n\x7fNO\n": "no"} {
		term := openTerminal(t, 80)
		o := question(term)
		o.Dumb, o.Default = true, "no"
		term.press(keys)
		got, err := prompt.Select(t.Context(), o)
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v", keys, got, err)
		}
		if strings.Contains(term.drawn(), "\x1b") {
			t.Errorf("an escape sequence was drawn: %q", term.drawn())
		}
	}
}

func TestNarrowTerminalsGetShortLines(t *testing.T) {
	for _, cols := range []uint16{20, 5, 1, 0} {
		term := openTerminal(t, cols)
		o := question(term)
		o.Label = "Proceed with\tthis long\nquestion " + strings.Repeat("ü日", 200)
		o.ASCII = true
		term.press("e")
		if got, err := prompt.Select(t.Context(), o); err != nil || got != "explain" {
			t.Errorf("%d columns: got %q, %v", cols, got, err)
		}
	}
}

func TestBadQuestions(t *testing.T) {
	term := openTerminal(t, 80)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, change := range map[string]func(*prompt.Options){
		"no items":       func(o *prompt.Options) { o.Items = nil },
		"no such item":   func(o *prompt.Options) { o.Default = "maybe" },
		"no terminal":    func(o *prompt.Options) { o.In = nil },
		"not a terminal": func(o *prompt.Options) { o.In = null },
	} {
		o := question(term)
		change(&o)
		if _, err := prompt.Select(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTTYOfAScript asks from a process whose standard input is a script, as after `curl … | sh`.
func TestTTYOfAScript(t *testing.T) {
	term := openTerminal(t, 80)
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{childVariable + "=1"}
	cmd.Stdin = strings.NewReader("no\nno\n")
	cmd.ExtraFiles = []*os.File{term.tty}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	term.press("e\x1b[B\r")
	out, err := cmd.CombinedOutput()
	if want := "explain <nil>\nno <nil>\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

func TestNoTTYToOpen(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{childVariable + "=1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "no tty: ") {
		t.Errorf("got %q, %v", out, err)
	}
}
