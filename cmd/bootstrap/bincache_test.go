package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"

	"bootstrap/internal/bincache"
	"bootstrap/internal/nar"
	"bootstrap/internal/receipt"
	"bootstrap/stages"

	"github.com/rogpeppe/go-internal/testscript"
	"zombiezen.com/go/nix"
)

// cacheCrimes are what a cache can have done to a narinfo and the file that it is about.
func cacheCrimes() map[string]func(info *nix.NARInfo, file []byte) []byte {
	return map[string]func(*nix.NARInfo, []byte) []byte{
		"unsigned": func(info *nix.NARInfo, file []byte) []byte {
			info.Sig = nil
			return file
		},
		"tampered": func(_ *nix.NARInfo, file []byte) []byte {
			return bytes.Replace(file, []byte("regular"), []byte("irregul"), 1)
		},
		"truncated": func(_ *nix.NARInfo, file []byte) []byte { return file[:len(file)-8] },
		"resized": func(info *nix.NARInfo, file []byte) []byte {
			info.NARSize++
			return file
		},
		"lost":      func(*nix.NARInfo, []byte) []byte { return nil },
		"elsewhere": func(info *nix.NARInfo, file []byte) []byte { info.URL = "../" + info.URL; return file },
		// Signed, and nothing that the package set makes.
		"renamed": func(info *nix.NARInfo, file []byte) []byte { info.StorePath += "-older"; return file },
	}
}

// makeCache makes a binary cache of what is installed in a prefix, as Nix would, but that nothing is
// compressed. A crime is committed on what the store path of the native nix is.
func makeCache(ts *testscript.TestScript, neg bool, args []string) {
	positive(ts, neg)
	dir, prefix := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	var crime func(*nix.NARInfo, []byte) []byte
	if len(args) > 2 {
		if crime = cacheCrimes()[args[2]]; crime == nil {
			ts.Fatalf("no crime %q is known", args[2])
		}
	}
	r, err := receipt.Load(filepath.Join(prefix, "../var/bootstrap/receipt.json"))
	ts.Check(err)
	public, secret, err := nix.GenerateKey("cache.test-1", nil)
	ts.Check(err)
	ts.Setenv("KEY", public.String())
	ts.Check(os.MkdirAll(filepath.Join(dir, "nar"), 0o755))
	write := func(name string, data []byte) { ts.Check(os.WriteFile(filepath.Join(dir, name), data, 0o644)) }
	write(nix.CacheInfoName, []byte("StoreDir: "+r.Layout.Store+"\n"))
	root, err := os.OpenRoot(prefix) // with --destdir it is not where it says
	ts.Check(err)
	defer root.Close()
	cache, err := bincache.Open(context.Background(), bincache.Options{URL: "file://" + dir, Store: r.Layout.Store, Transport: http.DefaultTransport})
	ts.Check(err)
	for _, name := range []string{stages.Toolchain, stages.Native} {
		s, _ := r.Stage(name)
		outputs := stages.CachedOutputs(name, s.Outputs)
		for attribute, p := range outputs {
			var file bytes.Buffer
			ts.Check(nar.Write(&file, root, path.Base(p)))
			sum := sha256.Sum256(file.Bytes())
			digest, _, _ := strings.Cut(path.Base(p), "-")
			info := &nix.NARInfo{
				StorePath: nix.StorePath(p), URL: "nar/" + digest + ".nar", Compression: nix.NoCompression,
				NARHash: nix.NewHash(nix.SHA256, sum[:]), NARSize: int64(file.Len()),
			}
			info.FileHash, info.FileSize = info.NARHash, info.NARSize
			sign := func() {
				sig, err := nix.SignNARInfo(secret, info)
				ts.Check(err)
				info.Sig = nil
				info.AddSignatures(sig)
			}
			sign()
			data := file.Bytes()
			if crime != nil && name == stages.Native {
				data = crime(info, bytes.Clone(data))
				if info.NARSize != info.FileSize {
					info.FileSize = info.NARSize
				}
				if outputs[attribute] = string(info.StorePath); outputs[attribute] != p {
					sign()
				}
			}
			text, err := info.MarshalText()
			ts.Check(err)
			write(digest+".narinfo", text)
			if data != nil {
				write("nar/"+digest+".nar", data)
			}
		}
		ts.Check(cache.PutRecord(context.Background(), name, s.Key, outputs))
	}
}
