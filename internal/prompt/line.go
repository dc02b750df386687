package prompt

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ask is [Select] on a terminal that only knows lines. An empty line is the default.
func (o *Options) ask(ctx context.Context, keys *keys) (string, error) {
	def := o.Default
	if def == "" {
		def = o.Items[0]
	}
	between := "/"
	if strings.Contains(strings.Join(o.Items, ""), between) { // they are paths
		between = " | "
	}
	for {
		_, err := fmt.Fprintf(o.Out, "? %s [%s] (%s) ", o.Label, strings.Join(o.Items, between), def)
		if err != nil {
			return "", err
		}
		line, err := keys.line()
		if err != nil {
			_, _ = fmt.Fprintln(o.Out)
			return "", o.interrupted(ctx, keys)
		}
		if line == "" {
			return def, nil
		}
		if i := o.match(line); i >= 0 {
			return o.Items[i], nil
		}
	}
}

// match returns the one item that begins with s, in any case of letters, or -1.
func (o *Options) match(s string) int {
	found := -1
	for i, item := range o.Items {
		switch {
		case strings.EqualFold(item, s):
			return i
		case !hasPrefixFold(item, s):
		case found >= 0:
			return -1
		default:
			found = i
		}
	}
	return found
}

func hasPrefixFold(s, prefix string) bool {
	n := utf8.RuneCountInString(prefix)
	runes := []rune(s)
	return n > 0 && n <= len(runes) && strings.EqualFold(string(runes[:n]), prefix)
}
