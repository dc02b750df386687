package stages

import (
	"context"
	"io/fs"
	"path/filepath"

	"bootstrap/internal/journal"
	"bootstrap/internal/lineage"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/receipt"
	"bootstrap/internal/shellrc"
)

// installStage: profile = install(native).
//
// Key: nothing besides what comes before.
// Output: profile, the link that shells find nix by; generation, what it points to; hooked,
// whether start-up files source the env file.
func installStage() stage {
	return stage{
		name: Install, does: "put nix into a profile",
		inputs: func(*installation) (any, error) { return nil, nil },
		intact: func(_ context.Context, r *installation, out outputs) bool {
			// Somebody may have put more into the profile since.
			program, err := filepath.EvalSymlinks(nixcmd.Program(r.seen(r.layout.DefaultProfile())))
			return err == nil && program == nixcmd.Program(r.known(Native)["nix"]) &&
				(!r.ShellHook || out["hooked"] == "true")
		},
		build: (*installation).makeProfile,
		again: func(r *installation, _ receipt.Stage) (remake, error) { return r.linkedAgain, nil },
	}
}

// linkedAgain compares the links through the current generation with those that would be made, the profile's
// among them. An installation of an earlier release has the files themselves there, and only the profile.
func (r *installation) linkedAgain(_ context.Context, tell func(name, path string, identical bool)) error {
	profile := r.layout.DefaultProfile()
	for _, m := range lineage.Members(r.layout) {
		switch {
		case m.Live == profile && (r.gen.flat || r.extended(profile)):
			program, err := filepath.EvalSymlinks(nixcmd.Program(profile))
			tell(m.Name, m.Live, err == nil && program == nixcmd.Program(r.known(Native)["nix"]))
		case !r.gen.flat:
			tell(m.Name, m.Live, m.Linked(r.layout))
		}
	}
	return nil
}

// userDirs makes the directories of the user, with the modes that Nix and its collector expect.
func (r *installation) userDirs(stage string) error {
	l := r.layout
	for _, d := range []struct {
		path string
		mode fs.FileMode
	}{
		{filepath.Dir(l.UserProfiles(r.User)), 0o755},
		{l.UserProfiles(r.User), 0o700},
		{filepath.Dir(l.UserDir(r.User)), 0o755},
		{l.UserDir(r.User), 0o700},
	} {
		if err := r.mkdir(stage, journal.Directory, d.path, d.mode); err != nil {
			return err
		}
	}
	return nil
}

func (r *installation) makeProfile(ctx context.Context) (outputs, error) {
	l := r.layout
	if err := r.userDirs(Install); err != nil {
		return nil, err
	}
	native := r.done[Native]["nix"]
	if err := r.link(Install, native, r.at(l.DefaultProfile())); err != nil {
		return nil, err
	}
	if err := r.linkPlaces(); err != nil {
		return nil, err
	}
	out := outputs{"profile": l.DefaultProfile(), "generation": native}
	if r.ShellHook {
		if err := r.hookShells(); err != nil {
			return nil, err
		}
		out["hooked"] = "true"
	}
	if linksTo(l.DefaultProfile(), l.RuntimeDir()) {
		return out, nil // the programs of runtime mode are in use until the generation is current
	}
	return out, r.dropScaffold(ctx, r.installed(Install))
}

// hookShells makes new shells of the user source the env file. What a file was before is noted in
// the block itself, so that uninstall needs no record of it.
func (r *installation) hookShells() error {
	o := r.Shell
	o.Root, o.EnvSh = r.layout.Root, r.layout.EnvFile("sh")
	o.EnvFish, o.EnvCsh = r.layout.EnvFile("fish"), r.layout.EnvFile("csh")
	changes, err := shellrc.Add(o)
	for _, c := range changes {
		r.hooks = append(r.hooks, receipt.Hook{File: c.Path, Created: c.Created})
	}
	return err
}
