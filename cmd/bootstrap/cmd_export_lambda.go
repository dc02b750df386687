package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"bootstrap/internal/closure"
	"bootstrap/internal/event"
	"bootstrap/internal/fault"
	"bootstrap/internal/lambda"
	"bootstrap/internal/probe"

	"github.com/spf13/cobra"
)

// lambdaFlags are those of a zip file for Lambda.
type lambdaFlags struct {
	exportFlags
	layer     bool
	bootstrap string
	chosen    bool // --bootstrap was given
}

func exportLambdaCommand(m machine) *cobra.Command {
	f := &lambdaFlags{}
	cmd := &cobra.Command{
		Use:   "lambda -o function.zip --prefix DIR [--layer] [STOREPATH…] [-f FILE [ATTRIBUTE…]] [--nix]",
		Short: "Write a zip file that AWS Lambda takes, for a function or a layer",
		Long: `lambda writes a zip file in which symbolic links are links. The prefix has to be where Lambda unpacks
files to: one at /opt/store makes layers, and functions for a place where /opt is a link to
/var/task/opt; one at /var/task/store makes functions that need nothing besides.

The entry "bootstrap", with which custom runtimes begin, is a link to the program of --bootstrap; else
to bin/bootstrap of the first package, or in a function to the only program that it has.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.chosen = cmd.Flags().Changed("bootstrap")
			return exportLambda(cmd.Context(), m, f, args)
		},
	}
	s := cmd.Flags()
	f.register(s, "the zip `file` to write")
	s.BoolVar(&f.layer, "layer", false, "write a layer, which is unpacked to /opt")
	s.StringVar(&f.bootstrap, "bootstrap", "", "the `program` that a custom runtime begins with: a path in the store, or its name in bin; \"\" for none")
	return cmd
}

// lambdaExported is what `export lambda --json` prints.
type lambdaExported struct {
	exported
	Form      string `json:"form"`
	UnpackTo  string `json:"unpack_to"`
	Needs     string `json:"needs,omitempty"`
	Bootstrap string `json:"bootstrap,omitempty"`
}

func exportLambda(ctx context.Context, m machine, f *lambdaFlags, args []string) error {
	o, err := f.own(m)
	if err != nil {
		return err
	}
	form, err := lambda.Choose(o.store, f.layer)
	if err != nil {
		return err
	}
	e, err := f.start(ctx, m, args, nil)
	if err != nil {
		return err
	}
	defer e.Close()
	begin, err := f.begin(e)
	if err != nil {
		return err
	}
	options := lambda.Options{Closure: e.closure, Root: e.root, Form: form, Bootstrap: begin}
	if f.layer {
		// /opt/bin is in PATH of every runtime. /opt/lib is in LD_LIBRARY_PATH, and is left alone.
		if options.Links, err = closure.Union(e.root, e.store, "bin", e.wanted, false); err != nil {
			return err
		}
	}
	var warnings []string
	warn := func(text string) {
		warnings = append(warnings, text)
		e.say(event.Warn, text)
	}
	if text := tooLargeUnpacked(e.closure.Bytes()); text != "" {
		warn(text)
	}
	out, err := e.produce(ctx, func(w io.Writer, _ string, done func(int64)) error {
		options.Done = done
		return lambda.Write(ctx, w, options)
	}, func(bytes int64) {
		if text := tooLargeZipped(bytes); text != "" {
			warn(text)
		}
	})
	if err != nil {
		return err
	}
	out.Warnings = append(out.Warnings, warnings...)
	e.Close()
	if f.json {
		return printJSON(m.stdout, lambdaExported{out, form.Name, form.Base, form.Needs, begin})
	}
	printExported(m.stdout, out)
	fmt.Fprintf(m.stdout, "It is a %s, unpacked to %s.\n", form.Name, form.Base)
	if begin != "" {
		fmt.Fprintf(m.stdout, "bootstrap is %s.\n", begin)
	}
	if form.Needs != "" {
		fmt.Fprintf(m.stdout, "%s.\n", form.Needs)
	}
	return nil
}

// tooLargeUnpacked says what Lambda makes of so many bytes; nothing if it takes them.
func tooLargeUnpacked(bytes int64) string {
	if bytes <= lambda.MostUnpacked {
		return ""
	}
	return fmt.Sprintf("unpacked it is %s, and Lambda takes %s at most, a function and its layers together",
		probe.Size(bytes), probe.Size(lambda.MostUnpacked))
}

// tooLargeZipped says the same of the zip file.
func tooLargeZipped(bytes int64) string {
	if bytes <= lambda.MostZipped {
		return ""
	}
	return fmt.Sprintf("the zip file has %s, and Lambda takes %s at most in an upload: put it into S3, and name that",
		probe.Size(bytes), probe.Size(lambda.MostZipped))
}

// begin returns the program that a custom runtime begins with, as an absolute path.
func (f *lambdaFlags) begin(e *exporting) (string, error) {
	if f.chosen {
		if f.bootstrap == "" {
			return "", nil
		}
		return e.program("--bootstrap", f.bootstrap)
	}
	if at, err := e.program("--bootstrap", "bootstrap"); err == nil {
		return at, nil
	}
	if f.layer {
		return "", nil // one that brings programs is not meant to be a runtime
	}
	names, err := e.programs()
	switch {
	case err != nil:
		return "", err
	case len(names) == 1:
		return e.program("--bootstrap", names[0])
	}
	return "", fault.New(fault.Usage, fmt.Errorf("which program is \"bootstrap\" is not clear: %s", have(e.wanted[0], names)),
		`name it with --bootstrap, or give --bootstrap "" for a function of a runtime that has its own`)
}

// program returns the absolute path of a program: one in the closure, or by its name one in bin of
// the first package that has it.
func (e *exporting) program(flag, name string) (string, error) {
	wrong := func(why string) error {
		return fault.New(fault.Usage, fmt.Errorf("%s %q: %s", flag, name, why), "give the name of a program in bin of what is exported, or a path in its closure")
	}
	var candidates []string
	if inside, ok := strings.CutPrefix(name, e.store+"/"); ok {
		base, _, _ := strings.Cut(inside, "/")
		if e.closure.Path(path.Join(e.store, base)) == nil {
			return "", wrong("is not in the closure")
		}
		candidates = []string{inside}
	} else {
		inner := strings.TrimPrefix(strings.TrimPrefix(name, "/"), "bin/")
		if inner == "" || strings.Contains(inner, "/") {
			return "", wrong("is neither a name in bin nor a path in the closure")
		}
		for _, p := range e.wanted {
			candidates = append(candidates, path.Join(path.Base(p), "bin", inner))
		}
	}
	for _, c := range candidates {
		if n, err := e.closure.Resolve(e.root, c); err == nil && n.Executable {
			return path.Join(e.store, c), nil
		}
	}
	return "", wrong("there is no such program")
}

// programs returns the names in bin of the first package.
func (e *exporting) programs() ([]string, error) {
	return binNames(e.root, path.Base(e.wanted[0]))
}

func have(storePath string, names []string) string {
	if len(names) == 0 {
		return storePath + " has no programs"
	}
	return fmt.Sprintf("%s has %d", storePath, len(names))
}
