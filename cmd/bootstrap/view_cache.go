package main

import (
	"fmt"
	"io"
	"strings"

	"bootstrap/internal/mirror"
	"bootstrap/stages"
)

// printCaches prints for people what comes from caches, and what none of them has.
func printCaches(w io.Writer, p *stages.Plan) {
	if p.Cached == nil {
		return
	}
	line := func(text string) { fmt.Fprintf(w, "  %-14s %s\n", "from a cache", text) }
	from := map[string][]string{}
	var order []string
	for _, s := range p.Stages {
		if s.Cache != "" {
			if from[s.Cache] == nil {
				order = append(order, s.Cache)
			}
			from[s.Cache] = append(from[s.Cache], s.Name)
		}
	}
	for _, url := range order {
		line(mirror.Redact(url) + ": " + strings.Join(from[url], ", "))
	}
	if p.Cached.Files > 0 {
		there := ""
		if p.Cached.FetchBytes < p.Cached.Bytes {
			there = fmt.Sprintf("; %s of it are there", size(p.Cached.Bytes-p.Cached.FetchBytes))
		}
		line(fmt.Sprintf("%s in %d files%s", size(p.Cached.FetchBytes), p.Cached.FetchFiles, there))
	}
	for _, lack := range p.Cached.Lacks {
		line(lack + ": it is built here")
	}
}

// caches looks whether the file with the caches is as it was written.
func (r records) caches() []drift {
	if _, err := stages.UsedCaches(r.layout.CachesConf()); err != nil {
		return []drift{{r.layout.CachesConf(), "is not what was written; remove it, and name the caches again with `bootstrap cache use`"}}
	}
	return nil
}
