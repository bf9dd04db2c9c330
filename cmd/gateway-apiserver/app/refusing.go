package app

import (
	"net"
	"sync"
	"time"
)

// refusing is a listener that closes connections at once until somebody accepts them. Without that they would wait in the kernel, as
// Envoys do that another replica could serve.
type refusing struct {
	*net.TCPListener
	refused  chan struct{} // closed when none is refused any more
	accepted func()
}

func newRefusing(l *net.TCPListener) *refusing {
	r := &refusing{TCPListener: l, refused: make(chan struct{})}
	r.accepted = sync.OnceFunc(func() {
		_ = l.SetDeadline(time.Now()) // ends the Accept of refuse
		<-r.refused
		_ = l.SetDeadline(time.Time{})
	})
	go r.refuse()
	return r
}

func (r *refusing) refuse() {
	defer close(r.refused)
	for {
		conn, err := r.TCPListener.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

// Accept waits for a connection.
func (r *refusing) Accept() (net.Conn, error) {
	r.accepted()
	return r.TCPListener.Accept()
}
