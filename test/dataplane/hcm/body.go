package hcm

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
)

// body is the body of a request. One goroutine reads it from the client; any number of readers, which are tries and mirrors of
// the request, get all of it. It is read no faster than the slowest of them, and no further ahead than its limit.
type body struct {
	empty bool // the header said that there is none

	mu       sync.Mutex
	changed  *sync.Cond
	data     []byte // what has come from base on
	base     int64
	received int64
	limit    int // of what is held for readers
	keep     int // how much is kept from the first byte on, for another try; 0: nothing is
	readers  []*bodyReader
	err      error    // io.EOF: it is complete
	closed   bool     // nobody wants any more of it
	onEnd    []func() // called when it is complete

	overflow chan struct{} // closed when there was more than could be kept
	pumped   chan struct{} // closed when nothing is read any more
}

// newBody reads the body of a request, if there is one. progress is called for each part of it, broken if it doesn't come to its
// end.
func newBody(r *http.Request, limit int, progress, broken func()) *body {
	b := &body{empty: r.ContentLength == 0, limit: limit, overflow: make(chan struct{}), pumped: make(chan struct{})}
	b.changed = sync.NewCond(&b.mu)
	if b.empty {
		b.err = io.EOF
		close(b.pumped)
		return b
	}
	go b.pump(r.Body, progress, broken)
	return b
}

func (b *body) pump(from io.Reader, progress, broken func()) {
	defer close(b.pumped)
	part := make([]byte, 16<<10)
	for b.waitForRoom() {
		n, err := from.Read(part)
		progress()
		b.add(part[:n], err)
		switch {
		case err == io.EOF:
			return
		case err != nil:
			broken()
			return
		}
	}
}

// waitForRoom returns false if no more is wanted.
func (b *body) waitForRoom() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.closed && b.unread() >= b.limit {
		b.changed.Wait()
	}
	return !b.closed
}

// unread is how much the slowest reader has to read of what is there.
func (b *body) unread() int {
	if len(b.readers) == 0 {
		return len(b.data)
	}
	return int(b.base + int64(len(b.data)) - b.slowest())
}

// slowest is how far the slowest reader has come.
func (b *body) slowest() int64 {
	return slices.MinFunc(b.readers, func(a, b *bodyReader) int { return int(a.offset - b.offset) }).offset
}

func (b *body) add(part []byte, err error) {
	b.mu.Lock()
	b.data = append(b.data, part...)
	b.received += int64(len(part))
	b.err = err
	if b.keep > 0 && len(b.data) > b.keep {
		b.keep = 0
		close(b.overflow)
	}
	b.drop()
	b.changed.Broadcast()
	ended := b.onEnd
	b.mu.Unlock()
	if err == io.EOF {
		for _, f := range ended {
			f()
		}
	}
}

// drop forgets what nobody needs any more.
func (b *body) drop() {
	if b.keep > 0 || len(b.readers) == 0 {
		return
	}
	n := b.slowest() - b.base
	b.data = b.data[n:]
	b.base += n
}

// keepForRetries keeps up to limit bytes from the first one on, so that another reader can have them. It returns false if there are
// more already.
func (b *body) keepForRetries(limit int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.data) > limit {
		return false
	}
	b.keep = limit
	return true
}

// forget ends keepForRetries.
func (b *body) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep = 0
	b.drop()
	b.changed.Broadcast()
}

// whenComplete has f called when all of it has come: at once, if it has.
func (b *body) whenComplete(f func()) {
	b.mu.Lock()
	complete := b.err == io.EOF
	if !complete {
		b.onEnd = append(b.onEnd, f)
	}
	b.mu.Unlock()
	if complete {
		f()
	}
}

func (b *body) complete() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err == io.EOF
}

// Empty implements filter.Body.
func (b *body) Empty() bool { return b.empty }

// Received implements filter.Body.
func (b *body) Received() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.received
}

// Buffer implements filter.Body.
func (b *body) Buffer(ctx context.Context, limit int) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	defer stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = max(b.limit, limit+1)
	b.changed.Broadcast()
	for len(b.data) <= limit && b.err == nil && ctx.Err() == nil {
		b.changed.Wait()
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case b.err != nil && b.err != io.EOF:
		return nil, b.err
	}
	return slices.Clone(b.data), nil
}

// setLimit changes how much is held for readers.
func (b *body) setLimit(limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
}

// reader returns the body from its first byte on; nil if that wasn't kept.
func (b *body) reader() io.ReadCloser {
	if b.empty {
		return http.NoBody
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.base > 0 {
		return nil
	}
	r := &bodyReader{body: b}
	b.readers = append(b.readers, r)
	return r
}

// close stops reading from the client. The last Read may have to be interrupted. Readers get what has come: a mirror may be slower
// than the cluster that has answered.
func (b *body) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.changed.Broadcast()
}

// bodyReader is what one try or mirror reads.
type bodyReader struct {
	body   *body
	offset int64
	closed bool
}

func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		have := b.base + int64(len(b.data)) - r.offset
		switch {
		case r.closed:
			return 0, io.ErrClosedPipe
		case have > 0:
			n := copy(p, b.data[r.offset-b.base:])
			r.offset += int64(n)
			b.drop()
			b.changed.Broadcast()
			return n, nil
		case b.err != nil:
			return 0, b.err
		case b.closed:
			return 0, io.ErrClosedPipe
		}
		b.changed.Wait()
	}
}

// Close says that no more is wanted.
func (r *bodyReader) Close() error {
	b := r.body
	b.mu.Lock()
	defer b.mu.Unlock()
	r.closed = true
	b.readers = slices.DeleteFunc(b.readers, func(other *bodyReader) bool { return other == r })
	b.changed.Broadcast()
	return nil
}
