package stages

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"bootstrap/internal/run"
)

// proofEnv returns the environment of a Nix that is to read the nix.conf of the generation that is
// proved, and not of the one that is current meanwhile.
func (r *installation) proofEnv(env run.Env, home string) (run.Env, error) {
	conf, err := r.proofConf(home)
	if err != nil || conf == "" {
		return env, err
	}
	return env.With(run.Env{"NIX_CONF_DIR": conf}), nil
}

// proofConf returns a directory that has in it what the configuration directory will have once the
// generation is current: its own nix.conf, and beside it, where that includes them, the files that
// are the prefix's. It is empty where the generation is current, and is read where it stands.
func (r *installation) proofConf(home string) (string, error) {
	if r.gen.settled() {
		return "", nil
	}
	dir := filepath.Join(home, "conf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return dir, nil
		}
		return "", err
	}
	nixConf := r.layout.NixConf()
	beside, err := os.ReadDir(r.layout.Conf)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, e := range beside {
		path := filepath.Join(r.layout.Conf, e.Name())
		if path == nixConf {
			continue
		}
		if err := os.Symlink(path, filepath.Join(dir, e.Name())); err != nil {
			return "", err
		}
	}
	return dir, os.Symlink(r.at(nixConf), filepath.Join(dir, filepath.Base(nixConf)))
}
