package main

import (
	"fmt"

	"bootstrap/internal/bincache"
	"bootstrap/internal/probe"

	"github.com/spf13/cobra"
)

func cacheCommand(m machine) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Fill and use a binary cache of the prefix's store directory",
		Long: `cache is for what was built in one prefix and is wanted in others of the same store directory: it
makes a key, pushes signed store paths to a directory, a web server that takes PUT, or another machine,
and has a prefix ask such a cache before it builds. With "bootstrap --prefix DIR --cache URL --key KEY"
a whole prefix comes from one.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	key := &cobra.Command{
		Use: "key", Short: "Make a key that signs store paths", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	key.AddCommand(cacheKeyNewCommand(m))
	cmd.AddCommand(key, cachePushCommand(m), cacheUseCommand(m), cacheListCommand(m), cacheDropCommand(m))
	return cmd
}

func cacheKeyNewCommand(m machine) *cobra.Command {
	output := ""
	asJSON := false
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a key, and print its public half",
		Long: `new makes an ed25519 key in Nix's form, <name>:<base64>: the secret half in a file that its owner
alone can read, and the public half in that file's name with .pub behind it. It never overwrites one.
NAME is part of the key; whoever trusts it sees it. By custom it is the host of the cache and a number.`,
		Args: oneArgument("name"),
		RunE: func(_ *cobra.Command, args []string) error {
			file := output
			if file == "" {
				file = args[0] + ".secret"
			}
			file, err := m.absolute("--output", file)
			if err != nil {
				return err
			}
			key, err := bincache.NewKey(args[0], file)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(m.stdout, newKey{args[0], key.String(), file, file + ".pub"})
			}
			fmt.Fprintln(m.stdout, key)
			fmt.Fprintf(m.stderr, "The secret key is in %s, the line above also in %s.pub.\n", file, file)
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "`file` for the secret key (default: NAME.secret)")
	registerJSON(cmd.Flags(), &asJSON, "print it as JSON")
	return cmd
}

// newKey is what `cache key new --json` prints.
type newKey struct {
	Name       string `json:"name"`
	PublicKey  string `json:"public_key"`
	SecretFile string `json:"secret_file"`
	PublicFile string `json:"public_file"`
}

// oneArgument is for commands that take one thing, of that name.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 1:
			return nil
		case 0:
			return usageError(cmd, fmt.Errorf("no %s given", what))
		}
		return usageError(cmd, fmt.Errorf("unknown argument %q", args[1]))
	}
}

// size is a number of bytes for people.
func size(n int64) string { return probe.Size(n) }
