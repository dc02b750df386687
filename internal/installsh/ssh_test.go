package installsh_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"bootstrap/internal/sshtest"
)

// overSSH matches the command of the page that installs on another machine.
var overSSH = regexp.MustCompile(`(?m)^    (ssh HOST env BOOTSTRAP_RELEASES=\S+ sh -s -- --prefix \S+ --yes <scripts/install\.sh)$`)

// TestOverSSH runs the very command of docs/CLUSTER.md, with a real sshd in between: the script goes
// there on standard input, gets the program from a release, and becomes it.
func TestOverSSH(t *testing.T) {
	page, err := os.ReadFile("../../docs/CLUSTER.md")
	if err != nil {
		t.Fatal(err)
	}
	found := overSSH.FindSubmatch(page)
	if found == nil {
		t.Fatalf("docs/CLUSTER.md has no line like %s", overSSH)
	}
	look(t, "ssh")
	sshtest.Program(t)
	releases := release(t)
	cache := t.TempDir()
	server := sshtest.Start(t, t.TempDir(), sshtest.Options{Set: map[string]string{"XDG_CACHE_HOME": cache}})
	line := regexp.MustCompile(`BOOTSTRAP_RELEASES=\S+`).ReplaceAllLiteralString(string(found[1]), "BOOTSTRAP_RELEASES="+releases.URL+"/v1")
	line = strings.Replace(line, "ssh HOST", "ssh -F "+server.Config+" -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="+filepath.Join(cache, "known")+" "+server.Host, 1)

	for _, again := range []bool{false, true} {
		releases.asked()
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = "../.."
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s\nsshd:\n%s", line, err, &stderr, server.Said())
		}
		kept := filepath.Join(cache, "bootstrap/bin/bootstrap")
		if want := "ran " + kept + "\nargument <--prefix>\nargument </opt/mine/store>\nargument <--yes>\n"; !strings.HasPrefix(string(out), want) || strings.Contains(string(out), "terminal") {
			t.Errorf("got\n%s\nwant\n%s", out, want)
		}
		if asked := releases.asked(); again != (len(asked) == 1) {
			t.Errorf("again %t: it was asked for %q", again, asked)
		}
	}
}
