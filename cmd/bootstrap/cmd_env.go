package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"bootstrap/internal/enter"
	"bootstrap/internal/fault"
	"bootstrap/internal/prefix"
	"bootstrap/internal/run"
	"bootstrap/internal/shellrc"

	"github.com/spf13/cobra"
)

func envCommand(m machine) *cobra.Command {
	f := &enterFlags{}
	shell, unset, asJSON := "", false, false
	cmd := &cobra.Command{
		Use:   "env --prefix DIR [--shell NAME] [--unset]",
		Short: "Print the command that puts the prefix into a shell's environment",
		Long: `env prints what a shell has to evaluate to have the prefix in its environment, or with --unset
to leave it again:

    eval "$(bootstrap env --prefix /opt/store)"`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := f.installed(m)
			if err != nil {
				return err
			}
			if asJSON {
				return printChanges(cmd.Context(), m, l, unset)
			}
			kind, err := m.shellKind(shell)
			if err != nil {
				return err
			}
			line := enter.Source(l, kind)
			if unset {
				line = enter.Leave(l, kind)
			}
			_, err = fmt.Fprintln(m.stdout, line)
			return err
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&shell, "shell", "", "`name` of the shell: sh, bash, zsh, fish, csh or tcsh (default: $SHELL)")
	cmd.Flags().BoolVar(&unset, "unset", false, "print what takes the prefix out again")
	registerJSON(cmd.Flags(), &asJSON, "print the variables that change, as JSON")
	return cmd
}

// changes are what becomes of an environment.
type changes struct {
	Set   map[string]string `json:"set"`
	Unset []string          `json:"unset"`
}

// printChanges prints what entering or leaving the prefix makes of this environment.
func printChanges(ctx context.Context, m machine, l prefix.Layout, unset bool) error {
	line := enter.Source(l, shellrc.Sh)
	if unset {
		line = enter.Leave(l, shellrc.Sh)
	}
	before := variables(m.environ())
	cmd := run.Cmd{
		Path: "/bin/sh", Argv0: "sh", Args: []string{"-c", line + ` && exec "$1" ` + environmentVerb, "sh", m.program}, Env: before,
	}
	out, err := cmd.Output(ctx)
	if err != nil {
		return err
	}
	after := variables(strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"))
	c := changes{Set: map[string]string{}, Unset: []string{}}
	for name, value := range after {
		if old, there := before[name]; (!there || old != value) && !shellsOwn(name) {
			c.Set[name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, there := after[name]; !there && !shellsOwn(name) {
			c.Unset = append(c.Unset, name)
		}
	}
	return printJSON(m.stdout, c)
}

// shellsOwn reports whether a shell sets the variable by itself.
func shellsOwn(name string) bool {
	return slices.Contains([]string{"_", "PWD", "OLDPWD", "SHLVL"}, name)
}

func variables(environ []string) run.Env {
	env := run.Env{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	return env
}

// environmentVerb prints the environment as it is, each variable followed by a NUL.
const environmentVerb = "internal-print-environment"

func environmentCommand(m machine) *cobra.Command {
	return &cobra.Command{
		Use: environmentVerb, Hidden: true, Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			for _, variable := range m.environ() {
				if _, err := fmt.Fprintf(m.stdout, "%s\x00", variable); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// shellKind returns the family of the shell that was named, or of the user's own.
func (m machine) shellKind(name string) (shellrc.Shell, error) {
	asked := name
	if name == "" {
		name = m.getenv("SHELL")
	}
	if name == "" {
		return shellrc.Sh, nil
	}
	kind, ok := shellrc.ShellOf(name)
	if !ok && asked == "" {
		return shellrc.Sh, nil
	}
	if !ok {
		return "", fault.New(fault.Usage, fmt.Errorf("--shell %q: there is no file for it", name),
			"give sh, bash, zsh, fish, csh or tcsh; a shell that is like one of them takes its file")
	}
	return kind, nil
}

// shell returns the program of the shell that was named, or of the user's own.
func (m machine) shell(name string) (string, error) {
	asked := name
	if name == "" {
		name = m.getenv("SHELL")
	}
	if name == "" {
		name = "/bin/sh"
	}
	path := name
	if !strings.Contains(name, "/") {
		for _, dir := range filepath.SplitList(m.getenv("PATH")) {
			if found, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(found) {
				return found, nil
			}
		}
	}
	if info, err := os.Stat(path); err != nil || info.IsDir() || info.Mode().Perm()&0o111 == 0 || !filepath.IsAbs(path) {
		what := fmt.Errorf("shell %q: is not a program", name)
		if asked == "" {
			what = fmt.Errorf("$SHELL, %q: is not a program", name)
		}
		return "", fault.New(fault.Usage, what, "name one with --shell, such as /bin/sh")
	}
	return path, nil
}
