package bootstrap

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// GRPCOptions say what a proxyless gRPC client is to know when it starts.
type GRPCOptions struct {
	// Namespace is where the client is: the consumer routes of that namespace hold for it.
	Namespace string
	// NodeID tells clients apart.
	NodeID string
	// Server is where the client reaches xDS.
	Server Address
	// TLS is how connections to Server are secured; nil if they are plaintext. gRPC reads its certificates again by itself, and
	// needs nothing for that.
	TLS *TLS
}

// GRPC returns the bootstrap of a proxyless gRPC client, in JSON: what the file holds that GRPC_XDS_BOOTSTRAP names, or
// GRPC_XDS_BOOTSTRAP_CONFIG itself (gRFC A27, for TLS gRFC A65, for tokens gRFC A97).
func GRPC(o GRPCOptions) ([]byte, error) {
	type credentials struct {
		Type   string            `json:"type"`
		Config map[string]string `json:"config,omitempty"`
	}
	type server struct {
		URI         string        `json:"server_uri"`
		Credentials []credentials `json:"channel_creds"`
		Calls       []credentials `json:"call_creds,omitempty"`
		Features    []string      `json:"server_features"`
	}
	type node struct {
		ID       string            `json:"id"`
		Locality struct{}          `json:"locality"` // grpc-js refuses a node without one
		Metadata map[string]string `json:"metadata"`
	}
	channel, calls := credentials{Type: "insecure"}, []credentials(nil)
	if o.TLS != nil {
		channel = credentials{Type: "tls", Config: map[string]string{"ca_certificate_file": o.TLS.CA}}
		if o.TLS.Cert != "" {
			channel.Config["certificate_file"], channel.Config["private_key_file"] = o.TLS.Cert, o.TLS.Key
		}
		if o.TLS.Token != "" {
			calls = []credentials{{Type: "jwt_token_file", Config: map[string]string{"jwt_token_file": o.TLS.Token}}}
		}
	}
	config := struct {
		Servers []server `json:"xds_servers"`
		Node    node     `json:"node"`
	}{
		Servers: []server{{
			URI:         net.JoinHostPort(o.Server.Host, strconv.Itoa(int(o.Server.Port))),
			Credentials: []credentials{channel},
			Calls:       calls,
			Features:    []string{"xds_v3"}, // or clients of before 2022 would speak v2
		}},
		Node: node{ID: o.NodeID, Metadata: map[string]string{nodes.NamespaceKey: o.Namespace}},
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding a bootstrap: %w", err)
	}
	return append(data, '\n'), nil
}
