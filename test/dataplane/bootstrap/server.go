package bootstrap

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Server is how the xDS server is reached: the static cluster in terms of gRPC.
type Server struct {
	// Target is a name of gRPC: dns:///host:port, or passthrough:///ip:port.
	Target string
	// TLS returns how a connection that is to be made is secured, and verifies the server; nil if connections are plaintext.
	TLS func() (*tls.Config, error)
	// Token is a file with a bearer token, which is read and sent for each stream; empty: none is.
	Token string
	// ConnectTimeout is how long making a connection may take.
	ConnectTimeout time.Duration
	// PingInterval and PingTimeout are how often the connection is probed, and how long the answer may take; 0: it isn't.
	PingInterval, PingTimeout time.Duration
}

// Connect returns a connection to the server, which is made when it is used.
func (s Server) Connect() (*grpc.ClientConn, error) {
	secured := insecure.NewCredentials()
	if s.TLS != nil {
		secured = transport{s.TLS}
	}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(secured),
		grpc.WithConnectParams(grpc.ConnectParams{
			MinConnectTimeout: s.ConnectTimeout,
			// Whoever opens a stream waits before the next one, so gRPC needn't wait as well.
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1, MaxDelay: 50 * time.Millisecond},
		}),
	}
	if s.PingInterval > 0 {
		options = append(options, grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: s.PingInterval, Timeout: s.PingTimeout, PermitWithoutStream: true,
		}))
	}
	if s.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(s.Token)))
	}
	return grpc.NewClient(s.Target, options...)
}

// defaultConnectTimeout is that of Cluster.connect_timeout.
const defaultConnectTimeout = 5 * time.Second

// newServer reads the static cluster of the xDS server.
func newServer(c *clusterv3.Cluster) (Server, error) {
	at, err := endpoint(c)
	if err != nil {
		return Server{}, err
	}
	s := Server{ConnectTimeout: defaultConnectTimeout}
	if c.GetConnectTimeout() != nil {
		s.ConnectTimeout = c.GetConnectTimeout().AsDuration()
	}
	_, notIP := netip.ParseAddr(at.host)
	switch _, isType := c.GetClusterDiscoveryType().(*clusterv3.Cluster_Type); {
	case !isType:
		return Server{}, errors.New("type is required")
	case c.GetType() == clusterv3.Cluster_STATIC && notIP == nil:
		s.Target = "passthrough:///" + at.String()
	case c.GetType() == clusterv3.Cluster_STATIC:
		return Server{}, fmt.Errorf("load_assignment: malformed IP address: %s. Consider setting type to STRICT_DNS", at.host)
	case c.GetType() == clusterv3.Cluster_STRICT_DNS:
		s.Target = "dns:///" + at.String()
	default:
		return Server{}, fmt.Errorf("type %s isn't supported, only STATIC and STRICT_DNS", c.GetType())
	}
	if s.PingInterval, s.PingTimeout, err = pings(c); err != nil {
		return Server{}, fmt.Errorf("typed_extension_protocol_options: %w", err)
	}
	if socket := c.GetTransportSocket(); socket != nil {
		if s.TLS, err = newTLS(socket); err != nil {
			return Server{}, fmt.Errorf("transport_socket: %w", err)
		}
	}
	return s, nil
}

// endpoint returns the one endpoint of the cluster.
func endpoint(c *clusterv3.Cluster) (hostPort, error) {
	localities := c.GetLoadAssignment().GetEndpoints()
	if len(localities) != 1 || len(localities[0].GetLbEndpoints()) != 1 {
		return hostPort{}, errors.New("load_assignment: exactly one endpoint is supported")
	}
	at, err := socketAddress(localities[0].GetLbEndpoints()[0].GetEndpoint().GetAddress())
	if err != nil {
		return hostPort{}, fmt.Errorf("load_assignment: %w", err)
	}
	return at, nil
}

// httpProtocolOptions is the key of HttpProtocolOptions in Cluster.typed_extension_protocol_options.
const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// minPing is what gRPC raises shorter intervals of pings to.
const minPing = 10 * time.Second

// pings returns the keepalive of the cluster's HTTP/2, without which it would be of HTTP/1.1, which gRPC can't use.
func pings(c *clusterv3.Cluster) (interval, timeout time.Duration, err error) {
	packed := c.GetTypedExtensionProtocolOptions()
	if len(packed) != 1 || packed[httpProtocolOptions] == nil {
		return 0, 0, fmt.Errorf("exactly one, %s, is supported", httpProtocolOptions)
	}
	options := &httpv3.HttpProtocolOptions{}
	if err := unpack(packed[httpProtocolOptions], options); err != nil {
		return 0, 0, err
	}
	http2 := options.GetExplicitHttpConfig().GetHttp2ProtocolOptions()
	if http2 == nil {
		return 0, 0, errors.New("only explicit_http_config.http2_protocol_options is supported")
	}
	keepalive := http2.GetConnectionKeepalive()
	if keepalive == nil {
		return 0, 0, nil
	}
	interval, timeout = keepalive.GetInterval().AsDuration(), keepalive.GetTimeout().AsDuration()
	if interval < minPing {
		return 0, 0, fmt.Errorf("connection_keepalive.interval: %s is less than %s, which gRPC can't do", interval, minPing)
	}
	return interval, timeout, nil
}

// unpack reads what is packed in an Any, of which each field has to be executed.
func unpack(packed *anypb.Any, into interface {
	proto.Message
	ValidateAll() error
}) error {
	if err := packed.UnmarshalTo(into); err != nil {
		return err
	}
	return errors.Join(into.ValidateAll(), executed.Check(into))
}
