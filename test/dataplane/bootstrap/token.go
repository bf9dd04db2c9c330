package bootstrap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	credentialv3 "github.com/envoyproxy/go-control-plane/envoy/config/grpc_credential/v3"
)

// tokenFile is a file with a token, which is sent with each stream (grpc's credentials.PerRPCCredentials).
type tokenFile string

func (f tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(f))
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

func (tokenFile) RequireTransportSecurity() bool { return true }

// fileMetadata is the only extension of Google's gRPC client that is executed (FileBasedMetadataGrpcCredentialsFactory).
const fileMetadata = "envoy.grpc_credentials.file_based_metadata"

// newTokenServer reads how Google's gRPC client reaches the xDS server.
func newTokenServer(c *corev3.GrpcService_GoogleGrpc) (Server, error) {
	host, number, err := net.SplitHostPort(c.GetTargetUri())
	if err != nil {
		return Server{}, fmt.Errorf("target_uri: %w", err)
	}
	s := Server{ConnectTimeout: defaultConnectTimeout, Target: "dns:///" + c.GetTargetUri()}
	if _, err := netip.ParseAddr(host); err == nil {
		s.Target = "passthrough:///" + c.GetTargetUri()
	}
	if _, err := strconv.ParseUint(number, 10, 16); err != nil {
		return Server{}, fmt.Errorf("target_uri: %w", err)
	}
	if c.GetStatPrefix() == "" || c.GetCredentialsFactoryName() != fileMetadata {
		return Server{}, fmt.Errorf("credentials_factory_name: only %s is supported", fileMetadata)
	}
	authority := c.GetChannelCredentials().GetSslCredentials().GetRootCerts()
	if authority == nil {
		return Server{}, errors.New("channel_credentials.ssl_credentials.root_certs: is required, or the CAs of the system would do")
	}
	pool, err := readPool(authority)
	if err != nil {
		return Server{}, fmt.Errorf("channel_credentials.ssl_credentials.root_certs: %w", err)
	}
	s.TLS = func() (*tls.Config, error) {
		return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: pool}, nil
	}
	if s.Token, err = callToken(c.GetCallCredentials()); err != nil {
		return Server{}, fmt.Errorf("call_credentials: %w", err)
	}
	if s.PingInterval, s.PingTimeout, err = channelPings(c.GetChannelArgs()); err != nil {
		return Server{}, fmt.Errorf("channel_args: %w", err)
	}
	return s, nil
}

// callToken returns the file of the token.
func callToken(all []*corev3.GrpcService_GoogleGrpc_CallCredentials) (string, error) {
	if len(all) != 1 || all[0].GetFromPlugin().GetName() != fileMetadata {
		return "", fmt.Errorf("exactly one, from_plugin %s, is supported", fileMetadata)
	}
	config := &credentialv3.FileBasedMetadataConfig{}
	if err := unpack(all[0].GetFromPlugin().GetTypedConfig(), config); err != nil {
		return "", err
	}
	if config.GetHeaderKey() != "authorization" || config.GetHeaderPrefix() != "Bearer " {
		return "", errors.New("only a bearer token in the header authorization is supported")
	}
	return config.GetSecretData().GetFilename(), nil
}

// channelPings reads arguments of the gRPC core library (grpc_types.h). Without the last one, it refuses responses over 4 MiB.
func channelPings(args *corev3.GrpcService_GoogleGrpc_ChannelArgs) (interval, timeout time.Duration, err error) {
	values := map[string]int64{}
	for name, value := range args.GetArgs() {
		values[name] = value.GetIntValue()
	}
	interval = time.Duration(values["grpc.keepalive_time_ms"]) * time.Millisecond
	timeout = time.Duration(values["grpc.keepalive_timeout_ms"]) * time.Millisecond
	switch {
	case len(values) != 3 || interval <= 0 || timeout <= 0 || values["grpc.max_receive_message_length"] != -1:
		return 0, 0, errors.New("exactly grpc.keepalive_time_ms, grpc.keepalive_timeout_ms and grpc.max_receive_message_length, -1, are supported")
	case interval < minPing:
		return 0, 0, fmt.Errorf("grpc.keepalive_time_ms: %s is less than %s, which gRPC can't do", interval, minPing)
	}
	return interval, timeout, nil
}
