//go:build e2e

package e2e_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// password is that of who may push.
const password = "correct-horse"

// nginx is one that runs as docs/CACHE.md has it.
type nginx struct {
	url, dir string
	process  *process
}

// blocks returns the blocks of code of a language in docs/CACHE.md.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	return blocksOf(t, "../../docs/CACHE.md", language)
}

// blocksOf returns the blocks of code of a language in a page.
func blocksOf(t *testing.T, page, language string) []string {
	t.Helper()
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllSubmatch(read(t, page), -1) {
		found = append(found, string(m[1]))
	}
	if len(found) == 0 {
		t.Fatalf("%s: there is no %s", page, language)
	}
	return found
}

// serve starts nginx with the nth configuration of the page, as it stands, as the account of the prefix.
func (c *cached) serve(t *testing.T, nth int) *nginx {
	t.Helper()
	return c.serveAs(t, c.p.scratch(t), blocks(t, "nginx")[nth])
}

// serveAs starts nginx with a configuration, and with its files in a directory.
func (c *cached) serveAs(t *testing.T, dir, conf string) *nginx {
	t.Helper()
	program := lookPath(t, "nginx")
	m := regexp.MustCompile(`listen (127\.0\.0\.1:\d+)( ssl)?;`).FindStringSubmatch(conf)
	if m == nil {
		t.Fatalf("it does not say where it listens:\n%s", conf)
	}
	if conn, err := net.Dial("tcp", m[1]); err == nil {
		conn.Close()
		t.Fatalf("somebody listens at %s already", m[1])
	}
	n := &nginx{url: "http://" + m[1], dir: dir}
	if m[2] != "" {
		n.url = "https://" + m[1]
	}
	c.p.w.put(t, filepath.Join(n.dir, "nginx.conf"), conf)
	for _, dir := range []string{"cache", "bucket"} {
		c.p.w.mkdir(t, filepath.Join(n.dir, dir))
	}
	hash := command{argv: []string{lookPath(t, "openssl"), "passwd", "-6", password}, dir: n.dir}.must(t)
	c.p.w.put(t, filepath.Join(n.dir, "htpasswd"), "push:"+hash)
	n.process = command{
		argv: []string{program, "-p", n.dir, "-c", "nginx.conf", "-e", "error.log", "-g", "daemon off;"},
		dir:  n.dir, account: c.p.account,
	}.start(t)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", m[1]); err == nil {
			conn.Close()
			return n
		}
		if !n.process.running() || time.Since(begin) > 10*time.Second {
			log, _ := os.ReadFile(filepath.Join(n.dir, "error.log"))
			t.Fatalf("nginx does not listen\n%s%s", n.process.wait(t).tail(), log)
		}
	}
}

func (n *nginx) stop(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(n.process.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.process.wait(t)
}

// treeBytes adds up the files of a directory.
func treeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}
