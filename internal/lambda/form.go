// Package lambda makes the zip files that AWS Lambda takes: functions, and layers.
//
// Lambda unpacks a function to /var/task and a layer to /opt, and has no other place that files
// could be put:
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-layers.html
package lambda

import (
	"fmt"
	"path"
	"strings"

	"bootstrap/internal/fault"
)

// The directories that Lambda unpacks to.
const (
	Task = "/var/task" // a function
	Opt  = "/opt"      // a layer
)

// The limits of Lambda for a zip file, in bytes; those of the unpacked files are for a function
// together with all of its layers.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	MostUnpacked = 250 << 20
	MostZipped   = 50 << 20 // of a direct upload; larger ones go by S3
)

// Form is where a store is in a zip file, and so what it can be used as.
type Form struct {
	Name  string // "layer", "function", "function with /opt"
	Store string // the store directory as paths have it
	Base  string // the directory that the zip file is unpacked to
	Inner string // the store directory in the zip file
	Needs string // what has to be the case besides; "" for nothing
}

// Choose returns the form for a store directory: a layer if one is wanted, else a function.
func Choose(store string, layer bool) (Form, error) {
	inOpt, isOpt := strings.CutPrefix(store, Opt+"/")
	inTask, isTask := strings.CutPrefix(store, Task+"/")
	switch {
	case layer && isOpt:
		return Form{Name: "layer", Store: store, Base: Opt, Inner: inOpt}, nil
	case layer:
		return Form{}, fault.New(fault.Usage, fmt.Errorf("--layer: a layer is unpacked to %s, and the store directory is %q", Opt, store),
			layerHint(isTask))
	case isTask:
		return Form{Name: "function", Store: store, Base: Task, Inner: inTask}, nil
	case isOpt:
		return Form{
			Name: "function with " + Opt, Store: store, Base: Task, Inner: path.Join("opt", inOpt),
			Needs: fmt.Sprintf("%s must be a symbolic link to %s, or %s one to %s, where the function runs",
				Opt, path.Join(Task, "opt"), store, path.Join(Task, "opt", inOpt)),
		}, nil
	}
	return Form{}, fault.New(fault.Unfit, fmt.Errorf("store directory %q: Lambda unpacks to %s and %s alone, and paths have their store directory in them", store, Opt, Task),
		"install a prefix at /opt/store or /var/task/store, and build there")
}

func layerHint(isTask bool) string {
	if isTask {
		return "leave --layer out: a store there is for a function"
	}
	return "install a prefix at /opt/store, and build there"
}
