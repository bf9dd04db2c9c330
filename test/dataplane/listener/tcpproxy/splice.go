package tcpproxy

import (
	"errors"
	"io"
	"sync"
	"time"
)

// maxBuffer bounds how much is read at once. Reading more would not be faster.
const maxBuffer = 32 << 10

// splice joins two connections.
type splice struct {
	down, up    Conn
	idleTimeout time.Duration // 0 is none
	buffer      int
	idle        *time.Timer // nil without a timeout
}

func newSplice(down, up Conn, idleTimeout time.Duration, bufferLimit int) *splice {
	s := &splice{down: down, up: up, idleTimeout: idleTimeout, buffer: maxBuffer}
	if bufferLimit > 0 {
		s.buffer = min(bufferLimit, maxBuffer)
	}
	return s
}

// run forwards in both directions until both have ended, one has failed, or nothing was sent or received for the idle timeout.
// It returns how many bytes were forwarded from and to the client.
func (s *splice) run() (received, sent int64) {
	if s.idleTimeout > 0 {
		s.idle = time.AfterFunc(s.idleTimeout, s.abort)
		defer s.idle.Stop()
	}
	var wg sync.WaitGroup
	wg.Go(func() { received = s.forward(s.up, s.down) })
	wg.Go(func() { sent = s.forward(s.down, s.up) })
	wg.Wait()
	return received, sent
}

// abort ends both directions.
func (s *splice) abort() {
	s.down.Close()
	s.up.Close()
}

// forward forwards one direction, and closes that half of dst at the end.
func (s *splice) forward(dst, src Conn) (bytes int64) {
	buffer := make([]byte, s.buffer)
	for {
		n, err := src.Read(buffer)
		if n > 0 {
			s.active()
			if _, err := dst.Write(buffer[:n]); err != nil {
				s.abort()
				return bytes
			}
			s.active()
			bytes += int64(n)
		}
		switch {
		case err == nil:
		// Envoy takes the end of a TCP connection for the end of a TLS connection, too (SslSocket::doRead).
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if dst.CloseWrite() != nil {
				s.abort()
			}
			return bytes
		default:
			s.abort()
			return bytes
		}
	}
}

// active starts the idle timeout again.
func (s *splice) active() {
	if s.idle != nil {
		s.idle.Reset(s.idleTimeout)
	}
}
