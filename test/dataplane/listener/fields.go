package listener

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
)

// executed are the fields of a listener that are executed. What is in an Any is for its package to check.
var executed = strict.Fields{
	"envoy.config.listener.v3.Listener": "name metadata address additional_addresses filter_chains default_filter_chain use_original_dst " +
		"per_connection_buffer_limit_bytes listener_filters listener_filters_timeout " +
		"continue_on_listener_filters_timeout enable_reuse_port bind_to_port",
	"envoy.config.listener.v3.AdditionalAddress": "address",
	"envoy.config.core.v3.Address":               "socket_address",
	"envoy.config.core.v3.SocketAddress":         "protocol address port_value ipv4_compat",
	"envoy.config.listener.v3.ListenerFilter":    "name typed_config",
	"envoy.config.listener.v3.FilterChain": "name metadata filter_chain_match filters transport_socket " +
		"transport_socket_connect_timeout",
	"envoy.config.listener.v3.FilterChainMatch": "destination_port prefix_ranges server_names transport_protocol " +
		"application_protocols",
	"envoy.config.core.v3.CidrRange":       "address_prefix prefix_len",
	"envoy.config.core.v3.TransportSocket": "name typed_config",
	"envoy.config.listener.v3.Filter":      "name typed_config",

	"envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": "",
	"envoy.extensions.filters.listener.original_dst.v3.OriginalDst":   "",
}

// unpacked returns the message in a typed_config.
func unpacked(config *anypb.Any) (proto.Message, error) {
	m, err := config.UnmarshalNew()
	if err != nil {
		return nil, fmt.Errorf("typed_config of %q: %w", config.GetTypeUrl(), err)
	}
	return m, nil
}
