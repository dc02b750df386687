package main

import (
	"errors"

	"bootstrap/internal/enter"

	"github.com/spf13/cobra"
)

func runCommand(m machine) *cobra.Command {
	f := &enterFlags{}
	cmd := &cobra.Command{
		Use:   "run --prefix DIR [--pure] -- COMMAND [ARGUMENT…]",
		Short: "Run a command with the prefix in its environment",
		Long: `run starts the command with the environment that the env file of the prefix makes, and is
replaced by it: the exit code is the command's own, 127 if there is no such command and 126 if it
cannot be executed. Nothing has to be sourced, and other Nixes in the environment have no say.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError(cmd, errors.New("no command given"))
			}
			l, err := f.installed(m)
			if err != nil {
				return err
			}
			return m.become(enter.Run(l, f.environment(m), args))
		},
	}
	f.register(cmd.Flags())
	f.registerPure(cmd.Flags())
	// What follows the command is the command's.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func shellCommand(m machine) *cobra.Command {
	f := &enterFlags{}
	program, noPrompt := "", false
	cmd := &cobra.Command{
		Use:   "shell --prefix DIR [--pure]",
		Short: "Start an interactive shell with the prefix in its environment",
		Long: `shell starts your shell, with its own start-up files, and then the prefix in front of all that
they did. Leaving the shell leaves the prefix. bash, zsh and fish show its name in the prompt.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := f.installed(m)
			if err != nil {
				return err
			}
			if program, err = m.shell(program); err != nil {
				return err
			}
			return m.become(enter.Shell{Program: program, Prompt: !noPrompt}.Start(l, f.environment(m)))
		},
	}
	f.register(cmd.Flags())
	f.registerPure(cmd.Flags())
	cmd.Flags().StringVar(&program, "shell", "", "`program` to start, by name or path (default: $SHELL, or /bin/sh)")
	cmd.Flags().BoolVar(&noPrompt, "no-prompt", false, "leave the prompt as it is")
	return cmd
}
