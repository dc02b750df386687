package relocate

import "io"

// inspection looks into a file while it goes by.
type inspection struct {
	w     *io.PipeWriter
	done  chan struct{}
	hits  int
	where string
	err   error
}

func (e *engine) inspect(detail string) *inspection {
	r, w := io.Pipe()
	i := &inspection{w: w, done: make(chan struct{})}
	go func() {
		defer close(i.done)
		i.hits, i.where, i.err = inspect(e.o.Map, r, detail)
	}()
	return i
}

func (i *inspection) close(err error) {
	_ = i.w.CloseWithError(err) // nil is the end of the file
	<-i.done
}

// judge refuses what is found within, and what cannot be looked into.
func (i *inspection) judge(e *engine, s sort, file string) {
	switch {
	case i.hits > 0:
		e.note(Finding{Refused, s.member, file, -1, i.where})
	case i.err != nil:
		e.note(Finding{Refused, Unreadable, file, -1, i.err.Error()})
	}
}
