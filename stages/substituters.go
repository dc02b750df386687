package stages

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/nixconf"
)

// sources is what asking for places to have sources from came to.
type sources struct {
	cacheReason string // why the public cache cannot be used; "" if it can
	local       string // URL of the store of another Nix on this machine; "" for none
	localReason string // why there is none
}

// Names of the outputs that say why nix.conf has no sandbox, no public cache, and no store of another Nix.
const (
	noSandbox      = "no_sandbox"
	noSubstituters = "no_substituters"
	noLocal        = "no_local"
)

// foundConf asks for what nix.conf depends on and renders it. What it was told goes into out.
func (r *installation) foundConf(ctx context.Context, stage string, out outputs) ([]byte, error) {
	var found sources
	var err error
	if found.cacheReason, err = r.askUpstream(ctx); err != nil {
		return nil, err
	}
	if found.local, found.localReason, err = r.askLocal(ctx, stage); err != nil {
		return nil, err
	}
	out["substituters"], out["local"] = nixconf.Public().URL, found.local
	if found.cacheReason != "" {
		out["substituters"], out[noSubstituters] = "", found.cacheReason
		r.emit(event.Note, stage, "no cache is set for sources: "+found.cacheReason)
	}
	if found.local == "" {
		out[noLocal] = found.localReason
	} else {
		r.emit(event.Note, stage, "sources come from "+r.Classic+" first, where it has them")
	}
	return r.nixConf(r.trial(), found)
}

// nixConf renders nix.conf from what trying out the sandbox and asking for sources came to.
func (r *installation) nixConf(host outputs, found sources) ([]byte, error) {
	o := nixconf.Options{
		Layout: r.layout, Sandbox: host["sandbox"] == "true", SandboxReason: host["reason"],
		Runtime: r.Runtime, FilterSyscalls: true, NoWAL: !r.wal(),
		SubstitutersReason: found.cacheReason, Local: found.local, LocalReason: found.localReason,
	}
	if found.cacheReason == "" {
		o.Substituters = []nixconf.Substituter{nixconf.Public()}
	}
	if r.set != nil {
		path, err := r.setPath()
		if err != nil {
			return nil, err
		}
		o.Nixpkgs, o.FlakeRegistry = path, filepath.Join(r.layout.Packages, setRegistry)
		if shell := r.known(Toolchain)[ShellAttribute]; shell != "" && host["sandbox"] != "" {
			o.SandboxShell = filepath.Join(shell, "bin", "busybox")
		}
	}
	_, o.Readers = r.readers()
	// In a Nix that was filled up with slashes, the shell that is compiled in is no store path to it.
	if relocated := r.known(Relocate); host["sandbox"] != "" && relocated["filled"] == "true" && relocated["nix"] == r.known(Native)["nix"] {
		o.SandboxShell = relocated["shell"]
	}
	if r.Runtime {
		o.SandboxShell = r.hostShellPath()
	}
	return nixconf.Render(o)
}

// askUpstream asks the upstream cache who it is, and returns why it cannot be used; "" if it can.
func (r *installation) askUpstream(ctx context.Context) (string, error) {
	u, err := url.Parse(nixconf.Public().URL)
	if err != nil {
		return "", err
	}
	u.RawQuery = ""
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, u.JoinPath("nix-cache-info").String(), nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: r.Transport}
	reply, err := client.Do(req)
	if err != nil {
		return u.Host + " was not reached when this was written", ctx.Err()
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		return fmt.Sprintf("%s answered %s when this was written", u.Host, reply.Status), nil
	}
	return "", nil
}
