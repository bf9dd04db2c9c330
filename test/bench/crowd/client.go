package crowd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

const (
	// streamID is that of a connection's only stream.
	streamID = 1
	// window is how much the server may send before we have read it: that of Envoy's default for a stream, 16 MiB.
	window = 16 << 20
	// serverWindow is how much a server takes to begin with (RFC 9113, 6.9.2), and maxFrame how much at once (4.2).
	serverWindow, maxFrame = 65_535, 16_384
	// prefix is the length of what gRPC puts before a message: whether it is compressed, and its length.
	prefix = 5
)

// client is one stream.
type client struct {
	crowd    *Crowd
	conn     net.Conn
	framer   *http2.Framer // writes to the connection, and reads controls
	controls *bytes.Reader

	unsent  []byte   // what the server has no room for yet
	room    [2]int64 // that the server has for the connection and for the stream
	initial int64    // that of a stream

	received
	plain    []byte // what is read from a TLS connection goes through
	consumed uint32 // bytes that the server doesn't know of yet

	first    map[string]bool // types that have been answered
	answered chan struct{}   // closed when all subscriptions have been
	seen     *expectation    // that this client has received
}

// connect opens the stream and sends the subscriptions.
func (c *Crowd) connect(ctx context.Context, i int, tlsConfig *tls.Config) (*client, error) {
	conn, err := c.dial(ctx, i, tlsConfig)
	if err != nil {
		return nil, err
	}
	controls := bytes.NewReader(nil)
	out := &client{
		crowd: c, conn: conn, framer: http2.NewFramer(conn, controls), controls: controls,
		room: [2]int64{serverWindow, serverWindow}, initial: serverWindow,
		first: map[string]bool{}, answered: make(chan struct{}),
	}
	out.framer.SetReuseFrames()
	out.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := out.open(fmt.Sprintf("bench-%d-%d", c.config.Fleet, i)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return out, nil
}

func (c *client) open(id string) error {
	metadata, err := structpb.NewStruct(map[string]any{nodes.GatewayKey: c.crowd.config.Gateway})
	if err != nil {
		return err
	}
	if _, err := c.conn.Write([]byte(http2.ClientPreface)); err != nil {
		return err
	}
	var headers bytes.Buffer
	encoder := hpack.NewEncoder(&headers)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"},
		{Name: ":authority", Value: c.crowd.config.Address},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "te", Value: "trailers"},
	} {
		if err := encoder.WriteField(field); err != nil {
			return err
		}
	}
	err = errors.Join(
		c.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}, http2.Setting{ID: http2.SettingEnablePush, Val: 0}),
		c.framer.WriteWindowUpdate(0, window),
		c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: streamID, BlockFragment: headers.Bytes(), EndHeaders: true}),
	)
	node := &corev3.Node{Id: id, Cluster: "bench", Metadata: metadata}
	for _, s := range c.crowd.config.Subscriptions {
		err = errors.Join(err, c.send(&discoveryv3.DeltaDiscoveryRequest{Node: node, TypeUrl: s.TypeURL, ResourceNamesSubscribe: s.Names}))
		node = nil // is said once
	}
	return err
}

func (c *client) send(request *discoveryv3.DeltaDiscoveryRequest) error {
	message, err := proto.MarshalOptions{}.MarshalAppend(make([]byte, prefix, 256), request)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint32(message[1:], uint32(len(message)-prefix))
	if len(c.unsent) > 0 {
		message = append(c.unsent, message...)
	}
	return c.write(message)
}

// write sends as much as the server has room for, and keeps the rest.
func (c *client) write(b []byte) error {
	for len(b) > 0 {
		n := min(int64(len(b)), maxFrame, c.room[0], c.room[1])
		if n <= 0 {
			break
		}
		if err := c.framer.WriteData(streamID, false, b[:n]); err != nil {
			return err
		}
		c.room[0] -= n
		c.room[1] -= n
		b = b[n:]
	}
	c.unsent = b
	return nil
}

// settings takes in what the server says of itself.
func (c *client) settings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if initial, ok := f.Value(http2.SettingInitialWindowSize); ok {
		c.room[1] += int64(initial) - c.initial
		c.initial = int64(initial)
	}
	return errors.Join(c.framer.WriteSettingsAck(), c.write(c.unsent))
}

// more says that the server has more room.
func (c *client) more(f *http2.WindowUpdateFrame) error {
	of := 0
	if f.StreamID == streamID {
		of = 1
	}
	c.room[of] += int64(f.Increment)
	return c.write(c.unsent)
}

// control takes in a frame that is not data.
func (c *client) control(b []byte) error {
	c.controls.Reset(b)
	frame, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		return c.settings(f)
	case *http2.WindowUpdateFrame:
		return c.more(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			return c.framer.WritePing(true, f.Data)
		}
	case *http2.MetaHeadersFrame:
		if f.StreamEnded() {
			err = errors.New("the server ended it")
			for _, field := range f.RegularFields() {
				err = fmt.Errorf("%w, %s", err, field)
			}
		}
	case *http2.RSTStreamFrame:
		err = fmt.Errorf("the server reset it: %s", f.ErrCode)
	case *http2.GoAwayFrame:
		err = fmt.Errorf("the server drains: %s %q", f.ErrCode, f.DebugData())
	}
	return err
}

// consume lets the server send as much again as has been read.
func (c *client) consume(n uint32) error {
	if c.consumed += n; c.consumed < window/4 {
		return nil
	}
	n, c.consumed = c.consumed, 0
	return errors.Join(c.framer.WriteWindowUpdate(0, n), c.framer.WriteWindowUpdate(streamID, n))
}

// message takes a response in, and acknowledges it.
func (c *client) message(b []byte) error {
	now := time.Now()
	c.crowd.received.Add(int64(len(b)))
	r, err := parse(b)
	if err != nil {
		return err
	}
	if e := c.crowd.expected.Load(); e != nil && e != c.seen && e.typeURL == r.typeURL && bytes.Contains(b, e.marker) {
		c.seen = e
		e.arrived(now, r.version, len(b))
	}
	if !c.first[r.typeURL] {
		c.first[r.typeURL] = true
		if len(c.first) == len(c.crowd.config.Subscriptions) {
			close(c.answered)
		}
	}
	return c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.typeURL, ResponseNonce: r.nonce})
}
