package hcm

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
)

// interruptWrites makes writes to the client fail once the stream's context ends.
func (s *stream) interruptWrites() (stop func()) {
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-s.ctx.Done():
			_ = s.w.control.SetWriteDeadline(time.Now().Add(-time.Second)) // what can't be interrupted ends by itself
		case <-done:
		}
	}()
	return func() {
		close(done)
		<-finished
	}
}

// upgrade sends 101 Switching Protocols, and then all bytes in both directions, until one side ends.
func (f *forwarding) upgrade(response *tried) *filter.Reply {
	remote, ok := response.Body.(io.ReadWriteCloser)
	if !ok || f.x.Upgrade == "" {
		return failureOf(fmt.Errorf("unexpected %s", response.Status)).reply(false)
	}
	h := response.Header
	connection, upgrade := h["Connection"], h["Upgrade"]
	f.completeHeader(h)
	h["Connection"], h["Upgrade"] = connection, upgrade
	client, buffered, err := f.w.control.Hijack()
	if err != nil {
		return failureOf(err).reply(false)
	}
	defer client.Close() // again, or after an error of which nobody can be told
	f.w.hijacked, f.w.status, f.entry.ResponseHeader = true, response.StatusCode, h
	if err := writeSwitching(buffered.Writer, h); err != nil {
		f.note("DC", "downstream_remote_disconnect")
		return nil
	}
	f.exchange(client, buffered.Reader, remote)
	return nil
}

func writeSwitching(w *bufio.Writer, h http.Header) error {
	if _, err := fmt.Fprintf(w, "HTTP/1.1 %d %s\r\n", http.StatusSwitchingProtocols, http.StatusText(http.StatusSwitchingProtocols)); err != nil {
		return err
	}
	if err := h.Write(w); err != nil {
		return err
	}
	if _, err := w.WriteString("\r\n"); err != nil {
		return err
	}
	return w.Flush()
}

// exchange copies until a side ends, or the stream does, and closes both.
func (f *forwarding) exchange(client net.Conn, buffered *bufio.Reader, remote io.ReadWriteCloser) {
	var received, sent atomic.Int64
	ended := make(chan struct{}, 2)
	pass := func(to io.Writer, from io.Reader, count *atomic.Int64) {
		part := make([]byte, 32<<10)
		for {
			n, err := from.Read(part)
			f.idle.touch()
			count.Add(int64(n))
			if _, writeErr := to.Write(part[:n]); err != nil || writeErr != nil {
				ended <- struct{}{}
				return
			}
		}
	}
	go pass(remote, buffered, &received)
	go pass(client, remote, &sent)
	running := 2
	select {
	case <-ended:
		running--
	case <-f.ctx.Done():
		f.note("SI", "stream_idle_timeout")
	}
	_, _ = client.Close(), remote.Close() // each may be closed already
	for range running {
		<-ended
	}
	f.entry.BytesReceived, f.w.sent = received.Load(), sent.Load()
}
