package registry

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"time"

	"bootstrap/internal/prefix"
)

// Classic is the Nix at /nix, where there is one. It is not ours, and never touched.
type Classic struct {
	Store  string `json:"store"`
	Daemon Daemon `json:"daemon"`
	Socket string `json:"socket,omitempty"` // where there is one

	// Layout has the directories of its Nix, none of bootstrap's.
	Layout prefix.Layout `json:"-"`
}

// Daemon says what became of asking a daemon.
type Daemon string

// What a daemon does.
const (
	NoDaemon Daemon = "none"
	Answers  Daemon = "answers"
	Silent   Daemon = "silent" // there is a socket, and nobody behind it who answers
)

// ClassicRoot is the directory of a classic Nix.
const ClassicRoot = "/nix"

// FindClassic looks for a classic Nix below root, which is [ClassicRoot] but in tests. It returns nil
// where there is no database: a store directory without one is no store.
func FindClassic(ctx context.Context, root string) *Classic {
	c := ClassicAt(root)
	if !exists(c.Layout.Store) || !exists(filepath.Join(c.Layout.Database(), "db.sqlite")) {
		return nil
	}
	socket := filepath.Join(c.Layout.State, "daemon-socket", "socket")
	if exists(socket) {
		c.Socket, c.Daemon = socket, ask(ctx, socket)
	}
	return c
}

// ClassicAt returns the directories that a classic Nix has, whether or not there is one.
func ClassicAt(root string) *Classic {
	l := prefix.Layout{
		Root: root, Store: filepath.Join(root, "store"), State: filepath.Join(root, "var", "nix"),
		Log: filepath.Join(root, "var", "log", "nix"), Conf: "/etc/nix",
	}
	return &Classic{Store: l.Store, Daemon: NoDaemon, Layout: l}
}

// Greetings of the daemon's protocol (Nix 2.26, src/libstore/worker-protocol.hh).
const (
	clientMagic = 0x6e697863
	daemonMagic = 0x6478696f
)

// ask greets a daemon and waits for its answer.
func ask(ctx context.Context, socket string) Daemon {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return Silent
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := binary.Write(conn, binary.LittleEndian, uint64(clientMagic)); err != nil {
		return Silent
	}
	answer := make([]byte, 8)
	if _, err := io.ReadFull(conn, answer); err != nil || binary.LittleEndian.Uint64(answer) != daemonMagic {
		return Silent
	}
	return Answers
}
