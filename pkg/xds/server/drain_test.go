package server

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// TestDrain shuts down a server of many streams: they end one after the other, as if nothing were wrong, and until then get what
// changes; new connections aren't taken.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Drain = time.Second })
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
	ended, told := make(chan error), make(chan struct{}, 100)
	for range 20 {
		d := s.delta(t, nil)
		d.subscribe(lds)
		d.wantAck("listeners +l=l1")
		go func() {
			for {
				resp, err := d.Recv()
				if err != nil {
					ended <- err
					return
				}
				told <- struct{}{}
				d.ack(resp)
			}
		}()
	}
	down := make(chan struct{})
	go func() { s.Shutdown(context.Background()); close(down) }()
	if err := <-ended; err != io.EOF {
		t.Errorf("the stream ended with %v, want EOF", err)
	}
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l2")))
	<-told // by one of 19, unless all have ended at once
	if conn, err := net.Dial("tcp", s.addr); err == nil {
		conn.Close()
		t.Error("a new connection is taken")
	}
	for range 19 {
		if err := <-ended; err != io.EOF {
			t.Errorf("the stream ended with %v, want EOF", err)
		}
	}
	<-down
	s.waitUnused()
}

// TestDrainIsBounded shuts down with less time than streams would take to end.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c *Config) { c.Limits.Drain = time.Hour })
	s.cache.Publish(nodes.MeshScope, set(res(lds, "l", "l1")))
	d := s.delta(t, nil)
	d.subscribe(lds)
	d.wantAck("listeners +l=l1")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	s.Shutdown(ctx)
	if resp, err := d.Recv(); err == nil {
		t.Errorf("got %v, want the end", resp)
	}
}
