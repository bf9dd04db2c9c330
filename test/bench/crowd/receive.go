package crowd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"

	"golang.org/x/net/http2"
)

const (
	// frameHeader is the length of what is before each frame (RFC 9113, 4.1).
	frameHeader = 9
	// readSize is how much a client reads at once, at least.
	readSize = 64 << 10
	// tlsReadSize is the same over TLS, where a client can't wait for data without a buffer for it.
	tlsReadSize = 4 << 10
)

// received is what a client has received and not dealt with. It has a buffer only while that is anything.
type received struct {
	buffer *[]byte // data, which is a message that hasn't come whole, and then a frame of which that is true too
	data   int     // how many bytes of it are data
	frame  int     // and the rest of which there are
	comes  int     // bytes of data that are still to come of the frame of which data is the last
	whole  int     // what the message needs to be whole
}

// buffers are shared by clients, since few of them have received a part of something at a time.
var buffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}

// space returns where to read to.
func (r *received) space() []byte {
	if r.buffer == nil {
		r.buffer = buffers.Get().(*[]byte)
	}
	used := r.data + r.frame
	if want := max(r.whole, used) + readSize/2; len(*r.buffer) < want {
		*r.buffer = slices.Grow((*r.buffer)[:used], want-used)
		*r.buffer = (*r.buffer)[:cap(*r.buffer)]
	}
	return (*r.buffer)[used:]
}

// release gives the buffer back if there is nothing in it.
func (r *received) release() {
	if r.buffer != nil && r.data+r.frame == 0 {
		buffers.Put(r.buffer)
		r.buffer = nil
	}
}

// run receives until the stream ends, and returns why.
func (c *client) run() error {
	receive := c.receiveTLS
	if tcp, ok := c.conn.(*net.TCPConn); ok {
		raw, err := tcp.SyscallConn()
		if err != nil {
			return err
		}
		receive = func() error { return c.receive(raw) }
	}
	for {
		if err := receive(); err != nil {
			return err
		}
	}
}

// receive waits for data, reads it and takes it in.
func (c *client) receive(conn syscall.RawConn) error {
	var n int
	var failed error
	if err := conn.Read(func(fd uintptr) bool {
		for {
			n, failed = syscall.Read(int(fd), c.space())
			if !errors.Is(failed, syscall.EINTR) {
				break
			}
		}
		if errors.Is(failed, syscall.EAGAIN) {
			c.release()
			return false
		}
		return true
	}); err != nil {
		return err
	}
	switch {
	case failed != nil:
		return failed
	case n == 0:
		return io.ErrUnexpectedEOF
	}
	return c.take(n)
}

// receiveTLS is receive for a connection of which only TLS knows what is left to read.
func (c *client) receiveTLS() error {
	if c.plain == nil {
		c.plain = make([]byte, tlsReadSize)
	}
	n, err := c.conn.Read(c.plain)
	if n == 0 {
		return err
	}
	return c.take(copy(c.space(), c.plain[:n]))
}

// take takes in n more bytes, which are where space said: frames, of which data is moved together.
func (c *client) take(n int) error {
	b := (*c.buffer)[:c.data+c.frame+n]
	next := c.data
	for next < len(b) {
		if c.comes > 0 {
			data := b[next:min(next+c.comes, len(b))]
			c.comes -= len(data)
			next += len(data)
			c.data += copy(b[c.data:], data)
			if err := c.consume(uint32(len(data))); err != nil {
				return err
			}
			continue
		}
		size, err := c.begin(b[next:])
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		next += size
	}
	c.frame = copy(b[c.data:], b[next:])
	return c.messages(b[:c.data+c.frame])
}

// begin deals with the header of a frame of data, or with another frame as a whole, and returns its length; 0 if there isn't enough of
// it yet.
func (c *client) begin(b []byte) (int, error) {
	if len(b) < frameHeader {
		return 0, nil
	}
	length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	kind, flags := http2.FrameType(b[3]), http2.Flags(b[4])
	switch {
	case length > maxFrame:
		return 0, fmt.Errorf("a frame of %d bytes", length)
	case kind == http2.FrameData && flags.Has(http2.FlagDataPadded):
		return 0, errors.New("a frame with padding")
	case kind == http2.FrameData:
		c.comes = length
		return frameHeader, nil
	case len(b) < frameHeader+length:
		return 0, nil
	}
	return frameHeader + length, c.control(b[:frameHeader+length])
}

// messages takes in the messages that have come whole. Those are at the beginning of b.
func (c *client) messages(b []byte) error {
	done := 0
	for {
		rest := b[done:c.data]
		c.whole = prefix
		if len(rest) >= prefix {
			c.whole += int(binary.BigEndian.Uint32(rest[1:]))
		}
		if len(rest) < c.whole {
			break
		}
		if err := c.message(rest[prefix:c.whole]); err != nil {
			return err
		}
		done += c.whole
	}
	copy(b, b[done:])
	c.data -= done
	c.release()
	return nil
}
