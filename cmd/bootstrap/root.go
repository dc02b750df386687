package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"bootstrap/internal/fault"

	"github.com/spf13/cobra"
)

const exitCodes = `Exit codes:
  0    ok
  1    an error
  2    flags or arguments are wrong, or an answer is needed and there is nobody to ask
  3    this host or this prefix cannot work, or the disk or a quota is full
  4    a digest or a signature did not match
  5    another run is at work in the prefix
  130  interrupted; the same command again goes on from there
`

// execute runs the command line and returns the exit code. It prints the error, if there is one.
func execute(ctx context.Context, m machine) int {
	cmd := rootCommand(m)
	cmd.SetArgs(m.args)
	cmd.SetIn(m.stdin)
	cmd.SetOut(m.stdout)
	cmd.SetErr(m.stderr)
	ran, err := cmd.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	if ctx.Err() != nil && fault.KindOf(err) != fault.Interrupted {
		err = fault.New(fault.Interrupted, errors.New("interrupted"), "run the same command again to go on from here")
	}
	if asJSON(ran, m.args, err) {
		printErrorJSON(m.stderr, err)
	} else {
		printError(m.stderr, err)
	}
	return int(fault.KindOf(err))
}

// asJSON reports whether the error is to be printed as JSON. Where the flags could not be read to
// their end, what looks like the flag is taken for it.
func asJSON(ran *cobra.Command, args []string, err error) bool {
	var bad *flagError
	if !errors.As(err, &bad) {
		f := ran.Flags().Lookup(jsonFlag)
		return f != nil && f.Value.String() == "true"
	}
	for _, arg := range args {
		name, value, has := strings.Cut(arg, "=")
		if name != "--"+jsonFlag {
			continue
		}
		if yes, err := strconv.ParseBool(value); !has || err == nil && yes {
			return true
		}
	}
	return false
}

// flagError is what is wrong with the flags.
type flagError struct{ error }

// failure is an error as `--json` prints it, in one line after the events.
type failure struct {
	Error string `json:"error"`
	Hint  string `json:"hint,omitempty"`
	Log   string `json:"log,omitempty"`
	Exit  int    `json:"exit"`
}

func printErrorJSON(w io.Writer, err error) {
	f := failure{Error: err.Error(), Hint: fault.HintOf(err), Log: fault.LogOf(err), Exit: int(fault.KindOf(err))}
	text, merr := json.Marshal(f)
	if merr != nil {
		text = []byte(merr.Error()) // cannot be: three strings and a number
	}
	fmt.Fprintf(w, "%s\n", text)
}

// printError says what went wrong, what to do about it, and where there is more.
func printError(w io.Writer, err error) {
	fmt.Fprintf(w, "bootstrap: %s\n", err)
	if hint := fault.HintOf(err); hint != "" {
		for _, line := range strings.Split(hint, "\n") {
			fmt.Fprintf(w, "hint: %s\n", line)
		}
	}
	if log := fault.LogOf(err); log != "" {
		fmt.Fprintf(w, "log: %s\n", log)
	}
}

func rootCommand(m machine) *cobra.Command {
	f := &installFlags{}
	cmd := &cobra.Command{
		Use:   "bootstrap --prefix DIR [flags]",
		Short: "Give a person without root a Nix in a directory of their choosing",
		Long: `bootstrap builds a Nix whose store is a directory of your choosing: no root, no /nix,
no namespaces needed, nothing faked. It needs a Linux on x86_64 or aarch64, a mirror of Debian
that it can reach, and some disk; it says how much before it writes anything.

    bootstrap --prefix "$HOME/opt/store"

If the path does not end in "store", the store directory is DIR/store.`,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       programVersion(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return install(cmd.Context(), m, f)
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, &flagError{err})
	})
	cmd.SetUsageTemplate(cmd.UsageTemplate() + "\n" + exitCodes)
	f.register(cmd.Flags())
	cmd.AddCommand(
		planCommand(m), statusCommand(m), uninstallCommand(m), lockCommand(m), exportCommand(m), importCommand(m), bundleCommand(m),
		cacheCommand(m), buildCommand(m),
		buildersCommand(m),
		doctorCommand(m), tryCommand(m), procCommand(), viewCommand(m),
		listCommand(m), whichCommand(m),
		versionsCommand(m), patchesCommand(m), provenanceCommand(m), verifyCommand(m),
		packagesCommand(m), upgradeCommand(m), rollbackCommand(m), historyCommand(m),
		repairCommand(m), gcCommand(m), rootsCommand(m), optimiseCommand(m), borrowCommand(m), returnCommand(m),
		envCommand(m), runCommand(m), shellCommand(m), environmentCommand(m),
	)
	cmd.AddCommand(releaseCommands()...)
	takeApart(m, cmd)
	return cmd
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError(cmd, fmt.Errorf("unknown argument %q", args[0]))
}

func usageError(cmd *cobra.Command, err error) error {
	return fault.New(fault.Usage, err, fmt.Sprintf("`%s --help` lists what there is", cmd.CommandPath()))
}
