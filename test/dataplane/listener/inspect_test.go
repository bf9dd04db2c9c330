package listener

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
)

// sentHello returns the first bytes that a TLS client sends.
func sentHello(t testing.TB, config *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	sent := make(chan []byte, 1)
	go func() {
		defer server.Close()
		header := make([]byte, 5)
		if _, err := readFull(server, header); err != nil {
			sent <- nil
			return
		}
		body := make([]byte, binary.BigEndian.Uint16(header[3:]))
		_, _ = readFull(server, body)
		sent <- append(header, body...)
	}()
	config.InsecureSkipVerify = true // no certificate ever comes
	_ = tls.Client(client, config).Handshake()
	return <-sent
}

func readFull(c net.Conn, b []byte) (int, error) {
	for n := 0; n < len(b); {
		m, err := c.Read(b[n:])
		if n += m; err != nil {
			return n, err
		}
	}
	return len(b), nil
}

// inRecords splits the handshake message of a record into several records.
func inRecords(hello []byte, size int) []byte {
	var out []byte
	for part := range slices.Chunk(hello[5:], size) {
		out = binary.BigEndian.AppendUint16(append(out, hello[:3]...), uint16(len(part)))
		out = append(out, part...)
	}
	return out
}

func TestParseClientHello(t *testing.T) {
	t.Parallel()
	manyProtocols := make([]string, 60)
	for i := range manyProtocols {
		manyProtocols[i] = strings.Repeat("x", 200)
	}
	old := &tls.Config{ServerName: "old.example", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}
	large := &tls.Config{ServerName: "large.example", NextProtos: manyProtocols}
	web := sentHello(t, &tls.Config{ServerName: "WWW.Example.com", NextProtos: []string{"h2", "http/1.1"}})
	for name, tt := range map[string]struct {
		data       []byte
		serverName string
		protocols  []string
	}{
		"name and protocols": {web, "www.example.com", []string{"h2", "http/1.1"}},
		"more follows":       {append(slices.Clone(web), "more"...), "www.example.com", []string{"h2", "http/1.1"}},
		"several records":    {inRecords(web, 50), "www.example.com", []string{"h2", "http/1.1"}},
		"no name":            {sentHello(t, &tls.Config{}), "", nil},
		"an address":         {sentHello(t, &tls.Config{ServerName: "192.0.2.1"}), "", nil},
		"TLS 1.0":            {sentHello(t, old), "old.example", nil},
		"TLS 1.3":            {sentHello(t, &tls.Config{ServerName: "new.example", MinVersion: tls.VersionTLS13}), "new.example", nil},
		"large":              {sentHello(t, large), "large.example", manyProtocols},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hello, err := parseClientHello(tt.data)
			if err != nil || hello.serverName != tt.serverName || !slices.Equal(hello.protocols, tt.protocols) {
				t.Errorf("it says %q, %q (%v); want %q, %q", hello.serverName, hello.protocols, err, tt.serverName, tt.protocols)
			}
		})
	}
	for n := range web {
		if _, err := parseClientHello(web[:n]); !errors.Is(err, errIncomplete) {
			t.Fatalf("after %d of %d bytes: %v, want %v", n, len(web), err, errIncomplete)
		}
	}
}

func TestParseOtherProtocols(t *testing.T) {
	t.Parallel()
	alert := []byte{21, 3, 1, 0, 2, 2, 40}
	for name, data := range map[string][]byte{
		"HTTP/1.1": []byte("GET / HTTP/1.1\r\n"), "HTTP/2": []byte("PRI * HTTP/2.0\r\n"), "SSH": []byte("SSH-2.0-x\r\n"),
		"zeros": make([]byte, 64), "an alert": alert, "a broken ClientHello": {22, 3, 1, 0, 5, 1, 0, 0, 1, 7},
		"another handshake message": {22, 3, 1, 0, 4, 14, 0, 0, 0},
	} {
		if hello, err := parseClientHello(data); err == nil || errors.Is(err, errIncomplete) {
			t.Errorf("%s is taken for TLS: %+v, %v", name, hello, err)
		}
	}
	for _, data := range []string{"", "G", "GET "} {
		if _, err := parseClientHello([]byte(data)); !errors.Is(err, errIncomplete) {
			t.Errorf("%q: %v, want %v", data, err, errIncomplete)
		}
	}
}

func FuzzParseClientHello(f *testing.F) {
	hello := sentHello(f, &tls.Config{ServerName: "www.example.com", NextProtos: []string{"h2"}})
	f.Add(hello)
	f.Add(inRecords(hello, 64))
	f.Add(hello[:40])
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		hello, err := parseClientHello(data)
		if !bytes.Equal(before, data) {
			t.Error("the bytes were changed")
		}
		if errors.Is(err, errIncomplete) {
			return
		}
		// What follows can't change what is known.
		again, errAgain := parseClientHello(append(before, 0))
		if (err == nil) != (errAgain == nil) || hello.serverName != again.serverName || !slices.Equal(hello.protocols, again.protocols) {
			t.Errorf("it says %+v (%v), and with a byte more %+v (%v)", hello, err, again, errAgain)
		}
	})
}
