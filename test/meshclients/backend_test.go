package meshclients

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// The metadata that backends obey. Routes of the scenarios match others.
const (
	// callHeader tells calls apart, however often a client tries one.
	callHeader = "call"
	// failHeader is how many tries of the call fail, with the HTTP status 503. That is UNAVAILABLE to gRPC.
	failHeader = "fail"
	// hangHeader has the backend not answer as long as it may be expected that a time limit ends the call.
	hangHeader = "hang"
)

// hangTime is how long a call hangs that no time limit ends. It is answered then, so that the test fails.
const hangTime = 10 * time.Second

// backends are gRPC servers that answer every call of any method with their name. They write gRPC's frames themselves, as they
// answer what a gRPC server can't be made to, and know no messages.
type backends struct {
	mu    sync.Mutex
	tries map[string]int // by call
}

// serve starts a backend, and returns its port on 127.0.0.1.
func (b *backends) serve(t *testing.T, name string) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: new(http.Protocols), Handler: b.handler(name)}
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

func (b *backends) handler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.tries[r.Header.Get(callHeader)]++
		try := b.tries[r.Header.Get(callHeader)]
		b.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body) // who breaks off is not waiting for an answer
		if fail, _ := strconv.Atoi(r.Header.Get(failHeader)); try <= fail {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.Header.Get(hangHeader) != "" {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(hangTime):
			}
		}
		const status = "Grpc-Status"
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", status)
		// A frame is a byte that says that it isn't compressed, its length, and the message.
		_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(name))), name...))
		w.Header().Set(status, "0")
	})
}

// outcome is what came of a call: the backend that answered or a status, and how many tries there were if there were several.
func (b *backends) outcome(a answer, call string) string {
	b.mu.Lock()
	tries := b.tries[call]
	b.mu.Unlock()
	what := a.Backend + a.Code
	if tries > 1 {
		what += fmt.Sprintf(" in %d tries", tries)
	}
	return what
}
