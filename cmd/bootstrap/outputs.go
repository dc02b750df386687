package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"bootstrap/internal/fault"
	"bootstrap/internal/nixcmd"
	"bootstrap/internal/provenance"
	"bootstrap/stages"
)

// outputs returns the store paths that stages of an installation have made, without their hashes.
func (o own) outputs() []provenance.Output {
	var all []provenance.Output
	for _, name := range []string{stages.Toolchain, stages.Native} {
		s, _ := o.receipt.Stage(name)
		for _, attribute := range slices.Sorted(maps.Keys(s.Outputs)) {
			if path := s.Outputs[attribute]; strings.HasPrefix(path, o.layout.Store+"/") {
				all = append(all, provenance.Output{Stage: name, Name: attribute, Path: path})
			}
		}
	}
	if _, built := o.receipt.Stage(stages.Toolchain); !built {
		s, _ := o.receipt.Stage(stages.Relocate)
		for _, attribute := range stages.ToolAttributes() {
			if path := s.Outputs[attribute]; path != "" {
				all = append(all, provenance.Output{Stage: stages.Relocate, Name: attribute, Path: path})
			}
		}
	}
	return all
}

// ask adds to outputs the hashes that the database of the prefix has of them.
func (o own) ask(ctx context.Context, outputs []provenance.Output) error {
	paths := make([]string, len(outputs))
	for i, out := range outputs {
		paths[i] = out.Path
	}
	infos, err := o.nix.PathInfo(ctx, paths...)
	if err != nil {
		return o.unanswered(err)
	}
	for i := range outputs {
		info := infos[outputs[i].Path]
		if info.NarHash == "" { // of a path that is not valid Nix prints null
			return o.unanswered(fmt.Errorf("store path %q: Nix's database does not know it", outputs[i].Path))
		}
		outputs[i].NAR = info.NarHash
	}
	return nil
}

// unanswered is an error of the prefix's own Nix.
func (o own) unanswered(err error) error {
	return fault.New(fault.Unfit, fmt.Errorf("nix %q: %w", o.nix.Path, err),
		"`bootstrap repair` makes anew what is damaged")
}

// nativeOnly refuses a prefix in runtime mode, in which nothing was built.
func (o own) nativeOnly() error {
	if native, _ := o.receipt.Stage(stages.Native); nixcmd.Program(native.Outputs["nix"]) == o.nix.Path {
		return nil
	}
	return fault.New(fault.Unfit, fmt.Errorf("prefix %q: nothing was built there, it is in runtime mode", o.layout.Store),
		"the same command without --runtime makes it native")
}
