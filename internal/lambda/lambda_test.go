package lambda_test

import (
	"archive/zip"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"bootstrap/internal/closure"
	"bootstrap/internal/fault"
	"bootstrap/internal/lambda"
	"bootstrap/internal/storetest"

	"github.com/google/go-cmp/cmp"
)

func TestChoose(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		store string
		layer bool
		want  lambda.Form
	}{
		{"/opt/store", true, lambda.Form{Name: "layer", Store: "/opt/store", Base: "/opt", Inner: "store"}},
		{"/opt/x/store", true, lambda.Form{Name: "layer", Store: "/opt/x/store", Base: "/opt", Inner: "x/store"}},
		{"/opt/store", false, lambda.Form{
			Name: "function with /opt", Store: "/opt/store", Base: "/var/task", Inner: "opt/store",
			Needs: "/opt must be a symbolic link to /var/task/opt, or /opt/store one to /var/task/opt/store, where the function runs",
		}},
		{"/var/task/store", false, lambda.Form{Name: "function", Store: "/var/task/store", Base: "/var/task", Inner: "store"}},
	} {
		got, err := lambda.Choose(row.store, row.layer)
		if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
			t.Errorf("%s, layer %v: %v (-want +got):\n%s", row.store, row.layer, err, diff)
		}
	}
	for _, row := range []struct {
		store string
		layer bool
		kind  fault.Kind
	}{
		{"/home/u/store", false, fault.Unfit},
		{"/optional/store", false, fault.Unfit},
		{"/home/u/store", true, fault.Usage},
		{"/var/task/store", true, fault.Usage},
	} {
		if _, err := lambda.Choose(row.store, row.layer); fault.KindOf(err) != row.kind || fault.HintOf(err) == "" || !strings.Contains(err.Error(), row.store) {
			t.Errorf("%s, layer %v: %v", row.store, row.layer, err)
		}
	}
}

// write makes a zip file of a closure.
func write(t *testing.T, c *closure.Closure, form lambda.Form) []byte {
	t.Helper()
	root, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var b bytes.Buffer
	err = lambda.Write(context.Background(), &b, lambda.Options{
		Closure: c, Root: root, Form: form, Bootstrap: c.Wanted[0] + "/bin/app",
		Links: []closure.Merged{{Name: "bin"}, {Name: "bin/app", Target: c.Wanted[0] + "/bin/app"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWrite(t *testing.T) {
	t.Parallel()
	const store = "/opt/store"
	dir := t.TempDir()
	c := storetest.Sample(t, dir, store)
	form, err := lambda.Choose(store, false)
	if err != nil {
		t.Fatal(err)
	}
	data := write(t, c, form)
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		line := f.Mode().String()
		if !f.Mode().IsDir() && len(text) < 200 {
			line += " " + string(text)
		}
		if _, twice := got[f.Name]; twice {
			t.Errorf("%s is there twice", f.Name)
		}
		got[f.Name] = line
		if !f.Modified.Equal(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: at %s", f.Name, f.Modified)
		}
	}
	app := "opt/store/" + c.Paths[1].Base()
	for name, want := range map[string]string{
		"opt/":                      "drwxr-xr-x",
		"opt/store/":                "drwxr-xr-x",
		app + "/":                   "drwxr-xr-x",
		app + "/empty/":             "drwxr-xr-x",
		app + "/bin/app":            "-rwxr-xr-x program",
		app + "/etc/app.conf":       "-rw-r--r-- conf",
		app + "/bin/lib":            "Lrwxrwxrwx " + c.Paths[0].Path + "/lib/libx.so",
		"opt" + c.Paths[2].Path[4:]: "-rw-r--r-- only a file\n",
		"bootstrap":                 "Lrwxrwxrwx " + c.Wanted[0] + "/bin/app",
		"bin/":                      "drwxr-xr-x",
		"bin/app":                   "Lrwxrwxrwx " + c.Wanted[0] + "/bin/app",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, not %q", name, got[name], want)
		}
	}
}

func TestSameBytes(t *testing.T) {
	t.Parallel()
	const store = "/var/task/store"
	form, err := lambda.Choose(store, false)
	if err != nil {
		t.Fatal(err)
	}
	first := write(t, storetest.Sample(t, t.TempDir(), store), form)
	time.Sleep(10 * time.Millisecond)
	second := write(t, storetest.Sample(t, t.TempDir(), store), form)
	if !bytes.Equal(first, second) {
		t.Error("the same closure, made elsewhere and later, has other bytes")
	}
}
