package stages

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"bootstrap/internal/event"
	"bootstrap/internal/journal"
	"bootstrap/internal/nixconf"
	"bootstrap/internal/shellenv"
)

// configureStage: config = configure(native, prefix).
//
// Key: the templates, and what was asked for. What the probe of the sandbox and of the upstream
// cache came to is in the output: it is found out once, when the stage runs.
// Output: sandbox, substituters, and the digest of every file written.
func configureStage() stage {
	return stage{
		name: Configure, does: "write nix.conf and the files for shells",
		inputs: func(r *installation) (any, error) {
			conf, err := r.nixConf(outputs{}, "", "")
			if err != nil {
				return nil, err
			}
			env, err := shellenv.Files(r.layout)
			return []any{string(conf), env, r.CACert, r.wal()}, err
		},
		intact: func(_ context.Context, r *installation, _ outputs) bool {
			env, err := shellenv.Files(r.layout)
			for _, f := range env {
				if !exists(f.Path) {
					return false
				}
			}
			if err != nil || !exists(r.layout.NixConf()) {
				return false
			}
			_, err = os.Stat(r.layout.Certificates())
			return err == nil
		},
		build: (*installation).configure,
	}
}

func (r *installation) configure(ctx context.Context) (outputs, error) {
	l := r.layout
	reason, err := r.askUpstream(ctx)
	if err != nil {
		return nil, err
	}
	conf, err := r.nixConf(r.known(Host), r.substituter(), reason)
	if err != nil {
		return nil, err
	}
	if err := r.writeFile(Configure, l.NixConf(), conf, 0o644); err != nil {
		return nil, err
	}
	if err := r.certificates(); err != nil {
		return nil, err
	}
	env, err := shellenv.Files(l)
	if err != nil {
		return nil, err
	}
	for _, f := range env {
		if err := r.writeFile(Configure, f.Path, f.Content, f.Mode); err != nil {
			return nil, err
		}
	}
	if err := r.mkdir(Configure, journal.Directory, l.BuildDir(), 0o755); err != nil {
		return nil, err
	}
	out := outputs{"sandbox": r.known(Host)["sandbox"]}
	if reason != "" {
		r.emit(event.Note, Configure, "no cache is set for sources: "+reason)
	} else {
		out["substituters"] = r.substituter()
	}
	return out, nil
}

func (r *installation) substituter() string {
	if r.Substituter != "" {
		return r.Substituter
	}
	return nixconf.Public().URL
}

// nixConf renders nix.conf from what trying out the sandbox and the cache came to.
func (r *installation) nixConf(host outputs, substituter, reason string) ([]byte, error) {
	o := nixconf.Options{
		Layout: r.layout, Sandbox: host["sandbox"] == "true", SandboxReason: host["reason"],
		FilterSyscalls: host["filter-syscalls"] != "false", FilterReason: host["reason"],
		SubstitutersReason: reason, NoWAL: !r.wal(),
	}
	if substituter != "" && reason == "" {
		s := nixconf.Public()
		s.URL = substituter
		o.Substituters = []nixconf.Substituter{s}
	}
	return nixconf.Render(o)
}

// certificates makes the prefix's own link to a bundle of certificates: the user's, or Debian's.
func (r *installation) certificates() error {
	bundle := r.CACert
	if bundle == "" {
		bundle = filepath.Join(r.known(Toolchain)["cacert"], "etc/ssl/certs/ca-bundle.crt")
	}
	return r.link(Configure, bundle, r.layout.Certificates())
}

// askUpstream asks the upstream cache who it is, and returns why it cannot be used; "" if it can.
func (r *installation) askUpstream(ctx context.Context) (string, error) {
	u, err := url.Parse(r.substituter())
	if err != nil {
		return "", fmt.Errorf("substituter %q: %w", r.substituter(), err)
	}
	u.RawQuery = ""
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, http.MethodGet, u.JoinPath("nix-cache-info").String(), nil)
	if err != nil {
		return "", fmt.Errorf("substituter %q: %w", r.substituter(), err)
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
