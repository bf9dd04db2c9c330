package hcm

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
)

// newTestBody returns the body of a request whose client writes to the pipe.
func newTestBody(t *testing.T, limit int) (*body, *io.PipeWriter) {
	t.Helper()
	r, w := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", r)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = -1
	b := newBody(request, limit, func() {}, func() {})
	t.Cleanup(func() {
		b.close()
		_ = r.Close() // a pipe's can't fail
		<-b.pumped
	})
	return b, w
}

// send writes parts and the end.
func send(w *io.PipeWriter, parts ...string) {
	for _, p := range parts {
		_, _ = io.WriteString(w, p) // the body may be closed
	}
	_ = w.Close() // a pipe's can't fail
}

func readAll(t *testing.T, r io.Reader) string {
	t.Helper()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestBodyKept(t *testing.T) {
	t.Parallel()
	b, w := newTestBody(t, 10)
	if !b.keepForRetries(6) {
		t.Fatal("there is nothing yet, and it can't be kept")
	}
	go send(w, "abc", "def")
	for range 2 {
		r := b.reader()
		if got := readAll(t, r); got != "abcdef" {
			t.Errorf("got %q", got)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestBodyOverflows(t *testing.T) {
	t.Parallel()
	b, w := newTestBody(t, 10)
	if !b.keepForRetries(5) {
		t.Fatal("there is nothing yet, and it can't be kept")
	}
	r := b.reader()
	go send(w, "abc", "def")
	if got := readAll(t, r); got != "abcdef" {
		t.Errorf("got %q", got)
	}
	<-b.overflow
	if b.reader() != nil {
		t.Error("a second reader, though the start isn't kept")
	}
}

// TestBodySlowest: the client is read no further ahead of the slowest reader than the limit and a part.
func TestBodySlowest(t *testing.T) {
	t.Parallel()
	b, w := newTestBody(t, 3)
	fast, slow := b.reader(), b.reader()
	part := make([]byte, 10)
	if _, err := io.WriteString(w, "abc"); err != nil {
		t.Fatal(err)
	}
	if n, err := fast.Read(part); string(part[:n]) != "abc" || err != nil {
		t.Fatalf("got %q, %v", part[:n], err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(w, "def")
	}()
	select {
	case <-sent:
		t.Fatal("more is read than the slow reader has room for")
	default:
	}
	if err := slow.Close(); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, fast); got != "def" {
		t.Errorf("got %q", got)
	}
	<-sent
}

func TestBodyBuffer(t *testing.T) {
	t.Parallel()
	b, w := newTestBody(t, 1)
	go send(w, "abc", "def")
	if data, err := b.Buffer(t.Context(), 100); string(data) != "abcdef" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if got := readAll(t, b.reader()); got != "abcdef" {
		t.Errorf("what was buffered isn't sent: %q", got)
	}
	b, w = newTestBody(t, 1)
	go send(w, "abc", "def")
	if data, err := b.Buffer(t.Context(), 3); !bytes.HasPrefix(data, []byte("abcd")) || err != nil {
		t.Errorf("got %q, %v; want more than the limit", data, err)
	}
	b, _ = newTestBody(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Buffer(ctx, 3); err == nil {
		t.Error("waits though nobody does")
	}
}

// TestBodyClosed: what has come can still be read.
func TestBodyClosed(t *testing.T) {
	t.Parallel()
	b, w := newTestBody(t, 10)
	r := b.reader()
	go send(w, "abc")
	<-b.pumped
	b.close()
	if got := readAll(t, r); got != "abc" {
		t.Errorf("got %q", got)
	}
}
