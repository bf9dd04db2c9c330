package app

import (
	"io"
	"net"
	"testing"
)

// TestRefusing holds that whoever connects too early notices at once, and that nobody is turned away from then on.
func TestRefusing(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := newRefusing(l.(*net.TCPListener))
	defer r.Close()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	if n, err := dial().Read(make([]byte, 1)); err == nil {
		t.Fatalf("read %d bytes of a server that isn't there", n)
	}

	go func() {
		for {
			conn, err := r.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("served"))
			_ = conn.Close()
		}
	}()
	// The first connection that is served says that the others are.
	for {
		if got, _ := io.ReadAll(dial()); string(got) == "served" {
			break
		}
	}
	for range 10 {
		if got, err := io.ReadAll(dial()); string(got) != "served" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}
