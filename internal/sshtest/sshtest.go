// Package sshtest runs a real sshd on loopback, for tests: with a host key and a configuration of its
// own, and for one account, which it lets in with one key.
package sshtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Options say how a server is started. The zero value is one for whoever runs the tests.
type Options struct {
	User string            // who is let in; default: who runs the tests
	Set  map[string]string // the environment of what is run, besides
	// Change changes how the server is started: as whom, and what it sees. May be nil.
	Change func(*exec.Cmd)
	// Server and Client are the uids of who runs the server and who logs in, if they are others.
	Server, Client int
}

// Server is a server that runs until the test ends. It can be reached by the configuration alone: ssh -F Config Host.
type Server struct {
	Host     string // an alias
	Config   string // file for ssh -F
	Identity string // the private key that is let in
	HostKey  string // "<type> <base 64>"
	Port     int
	Dir      string // with everything in it; readable by all

	options Options
	cmd     *exec.Cmd
	said    *buffer
}

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Program returns sshd. The test is skipped where there is none; scripts/test installs it.
func Program(t testing.TB) string {
	t.Helper()
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"} {
		if _, err := os.Stat(path); err == nil {
			return path // sshd starts itself again, and wants to be called by its path
		}
	}
	t.Skip("sshd is not on this machine")
	return ""
}

// Start starts a server with its files in a directory that everybody may enter.
func Start(t testing.TB, dir string, o Options) *Server {
	t.Helper()
	s := &Server{Host: "builder", Dir: dir, options: o, Config: filepath.Join(dir, "ssh_config"), Identity: filepath.Join(dir, "identity")}
	if o.User == "" {
		u, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		s.options.User = u.Username
	}
	for _, name := range []string{"identity", "host"} {
		Keygen(t, filepath.Join(dir, name))
	}
	give(t, s.Identity, o.Client)
	s.port(t)
	s.NewHostKey(t)
	s.write(t, "authorized_keys", 0o644, read(t, s.Identity+".pub"))
	s.Begin(t)
	t.Cleanup(s.End)
	return s
}

// Keygen makes a key pair.
func Keygen(t testing.TB, file string) {
	t.Helper()
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
}

// give makes a file somebody else's: of a private key, ssh and sshd want to be the owner.
func give(t testing.TB, file string, uid int) {
	t.Helper()
	if uid == 0 {
		return
	}
	if err := os.Chown(file, uid, -1); err != nil {
		t.Fatal(err)
	}
}

// port finds one that is free.
func (s *Server) port(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.Port = l.Addr().(*net.TCPAddr).Port
}

// NewHostKey gives the server another host key, from the next [Server.Begin] on.
func (s *Server) NewHostKey(t testing.TB) {
	t.Helper()
	file := filepath.Join(s.Dir, "host")
	for _, name := range []string{file, file + ".pub"} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	Keygen(t, file)
	give(t, file, s.options.Server)
	s.HostKey = strings.TrimSpace(read(t, file+".pub"))
	s.write(t, "ssh_config", 0o644, fmt.Sprintf(
		"Host %s\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile %s\n  IdentitiesOnly yes\n",
		s.Host, s.Port, s.options.User, s.Identity))
}

// Begin starts the server, and waits until it listens.
func (s *Server) Begin(t testing.TB) {
	t.Helper()
	conf := fmt.Sprintf(`ListenAddress 127.0.0.1
Port %d
HostKey %s
PidFile none
AuthorizedKeysFile %s
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers %s
PrintMotd no
`, s.Port, filepath.Join(s.Dir, "host"), filepath.Join(s.Dir, "authorized_keys"), s.options.User)
	if len(s.options.Set) > 0 {
		conf += "SetEnv"
		for name, value := range s.options.Set {
			conf += fmt.Sprintf(" %s=%s", name, value)
		}
		conf += "\n"
	}
	s.write(t, "sshd_config", 0o644, conf)
	s.separate(t)
	s.said = &buffer{}
	s.cmd = exec.Command(Program(t), "-D", "-e", "-f", filepath.Join(s.Dir, "sshd_config"))
	s.cmd.Stderr, s.cmd.Stdout = s.said, s.said
	s.cmd.WaitDelay = 5 * time.Second
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if s.options.Change != nil {
		s.options.Change(s.cmd)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if strings.Contains(s.said.String(), "Server listening on") {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("sshd does not listen:\n%s", s.said)
}

// separate makes the directory that sshd as root wants to be there: it does not start without.
func (s *Server) separate(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 || s.options.Server != 0 {
		return
	}
	if err := os.Mkdir("/run/sshd", 0o755); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

// End ends the server and all that was run by it.
func (s *Server) End() {
	if s.cmd == nil {
		return
	}
	for _, pid := range append(s.Below(), s.cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Below returns the processes that the server has started.
func (s *Server) Below() []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, _ := os.ReadFile(stat)
		var pid, parent int
		// pid (comm) state ppid; comm may hold anything.
		before, after, _ := strings.Cut(string(text), " ")
		_, _ = fmt.Sscan(before, &pid)
		if i := strings.LastIndex(after, ") "); i >= 0 && len(after) > i+4 {
			_, _ = fmt.Sscan(after[i+4:], &parent)
		}
		children[parent] = append(children[parent], pid)
	}
	found := append([]int(nil), children[s.cmd.Process.Pid]...)
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// Said returns what the server has logged.
func (s *Server) Said() string { return s.said.String() }

func (s *Server) write(t testing.TB, name string, mode os.FileMode, text string) {
	t.Helper()
	file := filepath.Join(s.Dir, name)
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
