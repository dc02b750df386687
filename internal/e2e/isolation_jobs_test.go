//go:build e2e

package e2e_test

import (
	"strings"
	"testing"
)

// job is a command whose writes are counted, as somebody would type it in a directory of wares.
type job struct {
	line  string // $PWD, $one and $two stand for that directory and for what one and two are built as
	named string // what the line names for Nix to write; "" if nothing
	fresh bool   // the account begins with no profile, channel or registry
}

// jobs are the commands of the table, in an order in which each has something to do.
func jobs() []job {
	return []job{
		{line: "nix eval --impure --expr builtins.storeDir", fresh: true},
		{line: "nix eval ./src#one.name"},
		{line: "nix build --no-link -f src one"},
		{line: "nix build ./src#two", named: "`./result`"},
		{line: "nix build -o out ./src#two", named: "`./out`"},
		{line: "nix-instantiate src -A one"},
		{line: "nix-build src -A one", named: "`./result`"},
		{line: "nix-build --no-out-link src -A two"},
		{line: "nix-shell src -A env --run true"},
		{line: "nix develop ./src#env -c true"},
		{line: "nix run ./src#prog"},
		{line: "nix shell ./src#prog -c prog"},
		{line: "nix repl"},
		{line: "nix search ./src one"},
		{line: "nix log ./src#one"},
		{line: "nix why-depends ./src#two ./src#one"},
		{line: "nix path-info -r ./src#two"},
		{line: "nix derivation show ./src#two"},

		{line: "nix eval --impure --raw -f src/fetch.nix"},
		{line: "nix store prefetch-file file://$PWD/file"},
		{line: "nix-prefetch-url file://$PWD/file"},
		{line: "nix hash path src"},
		{line: "nix config show"},

		{line: "nix flake show ./src"},
		{line: "nix flake metadata ./src"},
		{line: "nix flake check ./src"},
		{line: "nix flake lock ./locked", named: "`flake.lock`"},
		{line: "nix flake update --flake ./locked"},
		{line: "nix flake init -t ./src", named: "the template's file"},
		{line: "nix registry add iso path:$PWD/src"},
		{line: "nix registry pin iso path:$PWD/src"},
		{line: "nix registry list"},
		{line: "nix registry remove iso"},

		{line: "nix-channel --add file://$PWD/channel iso"},
		{line: "nix-channel --list"},
		{line: "nix-channel --update"},
		{line: "nix-channel --remove iso"},
		{line: "nix-env -f src -i -A one"},
		{line: "nix-env -f src -i -A two"},
		{line: "nix-env -q"},
		{line: "nix-env -e *"},
		{line: "nix-env --rollback"},
		{line: "nix-env --list-generations"},

		{line: "nix profile install ./src#one", fresh: true},
		{line: "nix profile list"},
		{line: "nix profile remove --all"},
		{line: "nix profile rollback"},
		{line: "nix profile wipe-history"},

		{line: "nix store ls -R $one"},
		{line: "nix store add-file file"},
		{line: "nix store verify $one"},
		{line: "nix-store -q --references $two"},
		{line: "nix copy --to file://$PWD/cache $one", named: "the cache"},
		{line: "nix store optimise"},
		{line: "nix store gc"},
		{line: "nix-collect-garbage"},
		{line: "nix-collect-garbage -d"},
	}
}

// argv returns the words of the line.
func (j job) argv(w wares, built map[string]string) []string {
	words := strings.Fields(j.line)
	for i, word := range words {
		word = strings.ReplaceAll(word, "$PWD", w.dir)
		for name, path := range built {
			word = strings.ReplaceAll(word, "$"+name, path)
		}
		words[i] = word
	}
	return words
}

// TestJobs holds the list to the number of commands that were found to write into a HOME.
func TestJobs(t *testing.T) {
	seen := map[string]bool{}
	for _, j := range jobs() {
		if seen[j.line] {
			t.Errorf("%s is there twice", j.line)
		}
		seen[j.line] = true
	}
	if len(seen) < 44 {
		t.Errorf("there are %d commands, less than 44", len(seen))
	}
}
