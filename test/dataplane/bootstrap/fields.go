package bootstrap

import "github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"

// executed are the fields that are read. Listeners are for those who execute them to check.
var executed = strict.Fields{
	"envoy.config.bootstrap.v3.Bootstrap":                  "node layered_runtime dynamic_resources static_resources admin typed_dns_resolver_config",
	"envoy.config.bootstrap.v3.Bootstrap.StaticResources":  "clusters",
	"envoy.config.bootstrap.v3.Bootstrap.DynamicResources": "ads_config lds_config cds_config",
	"envoy.config.bootstrap.v3.LayeredRuntime":             "layers",
	"envoy.config.bootstrap.v3.RuntimeLayer":               "name static_layer",
	"envoy.config.bootstrap.v3.Admin":                      "address",

	"envoy.config.core.v3.Node":                  "id cluster metadata locality",
	"envoy.config.core.v3.Locality":              "region zone sub_zone",
	"envoy.config.core.v3.ApiConfigSource":       "api_type transport_api_version grpc_services set_node_on_first_message_only",
	"envoy.config.core.v3.GrpcService":           "envoy_grpc google_grpc",
	"envoy.config.core.v3.GrpcService.EnvoyGrpc": "cluster_name",
	"envoy.config.core.v3.ConfigSource":          "ads path_config_source resource_api_version initial_fetch_timeout",
	"envoy.config.core.v3.PathConfigSource":      "path",
	"envoy.config.core.v3.WatchedDirectory":      "path",

	"envoy.config.core.v3.GrpcService.GoogleGrpc":                                               "target_uri stat_prefix channel_credentials call_credentials credentials_factory_name channel_args",
	"envoy.config.core.v3.GrpcService.GoogleGrpc.ChannelCredentials":                            "ssl_credentials",
	"envoy.config.core.v3.GrpcService.GoogleGrpc.SslCredentials":                                "root_certs",
	"envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials":                               "from_plugin",
	"envoy.config.core.v3.GrpcService.GoogleGrpc.CallCredentials.MetadataCredentialsFromPlugin": "name typed_config",
	"envoy.config.core.v3.GrpcService.GoogleGrpc.ChannelArgs":                                   "args",
	"envoy.config.core.v3.GrpcService.GoogleGrpc.ChannelArgs.Value":                             "int_value",
	"envoy.config.grpc_credential.v3.FileBasedMetadataConfig":                                   "secret_data header_key header_prefix",

	"envoy.config.core.v3.Address":              "socket_address",
	"envoy.config.core.v3.SocketAddress":        "protocol address port_value",
	"envoy.config.core.v3.TransportSocket":      "name typed_config",
	"envoy.config.core.v3.TypedExtensionConfig": "name typed_config",
	"envoy.config.core.v3.Http2ProtocolOptions": "connection_keepalive",
	"envoy.config.core.v3.KeepaliveSettings":    "interval timeout",
	"envoy.config.core.v3.DataSource":           "filename",

	"envoy.config.cluster.v3.Cluster": "name type connect_timeout load_assignment typed_extension_protocol_options " +
		"transport_socket",
	"envoy.config.endpoint.v3.ClusterLoadAssignment": "cluster_name endpoints",
	"envoy.config.endpoint.v3.LocalityLbEndpoints":   "lb_endpoints",
	"envoy.config.endpoint.v3.LbEndpoint":            "endpoint",
	"envoy.config.endpoint.v3.Endpoint":              "address",

	"envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig": "resolvers",

	"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":                    "explicit_http_config",
	"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig": "http2_protocol_options",

	"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext": "common_tls_context sni",
	"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext": "tls_params alpn_protocols validation_context " +
		"tls_certificates combined_validation_context tls_certificate_sds_secret_configs",
	"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext": "default_validation_context validation_context_sds_secret_config",
	"envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig":                                       "name sds_config",
	"envoy.extensions.transport_sockets.tls.v3.Secret":                                                "name tls_certificate validation_context",
	"envoy.service.discovery.v3.DiscoveryResponse":                                                    "resources",

	"envoy.extensions.transport_sockets.tls.v3.TlsParameters":                "tls_minimum_protocol_version tls_maximum_protocol_version",
	"envoy.extensions.transport_sockets.tls.v3.TlsCertificate":               "certificate_chain private_key watched_directory",
	"envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext": "trusted_ca match_typed_subject_alt_names watched_directory",
	"envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher":        "san_type matcher",
	"envoy.type.matcher.v3.StringMatcher":                                    "exact",
}
