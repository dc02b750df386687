//go:build e2e

package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// testEnter goes into the prefix in every way that sources nothing by hand, with the variables of
// another Nix in the environment.
func testEnter(t *testing.T, p *place) {
	needs(t, p)
	poisoned := func(args ...string) command {
		// Flags of the command itself go before the words that are the command's to run.
		c := p.program()
		c.argv = append([]string{p.w.program, args[0], "--prefix", p.store}, args[1:]...)
		c.env = append(c.env, "NIX_STORE=/poisoned/store", "NIX_STORE_DIR=/poisoned/store", "NIX_STATE_DIR=/poisoned/state",
			"NIX_REMOTE=daemon", "PATH=/usr/bin:/bin",
			"HISTFILE=/dev/null") // where bash would leave what was typed, in a HOME that is compared
		return c
	}
	for name, c := range map[string]command{
		"run":        poisoned("run", "--", "nix", "eval", "--raw", "--expr", "builtins.storeDir"),
		"run --pure": poisoned("run", "--pure", "--", "nix", "eval", "--raw", "--expr", "builtins.storeDir"),
		"shell":      typed(poisoned("shell", "--shell", "bash"), "nix eval --raw --expr builtins.storeDir"),
	} {
		if got := strings.TrimSpace(c.must(t)); got != p.store {
			t.Errorf("%s: builtins.storeDir is %q, not %q", name, got, p.store)
		}
	}
	var changes struct {
		Set   map[string]string
		Unset []string
	}
	out := poisoned("env", "--json").must(t)
	if err := json.Unmarshal([]byte(out), &changes); err != nil {
		t.Fatalf("env --json: %v\n%s", err, out)
	}
	if len(changes.Unset) != 4 || changes.Set["BOOTSTRAP_PREFIX"] != p.root() {
		t.Errorf("env --json: %+v", changes)
	}
}

// typed has lines typed to a command.
func typed(c command, lines ...string) command {
	c.stdin = strings.Join(append(lines, "exit", ""), "\n")
	return c
}
