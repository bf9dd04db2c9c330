package bootstrap

import (
	"net"
	"strconv"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	credentialv3 "github.com/envoyproxy/go-control-plane/envoy/config/grpc_credential/v3"
)

// fileMetadata is the extension that sends what is in a file as metadata of each call
// (envoy.config.grpc_credential.v3.FileBasedMetadataConfig). It is in all releases of Envoy with version 3 of the API.
const fileMetadata = "envoy.grpc_credentials.file_based_metadata"

// tokenService asks the server by Google's gRPC client, which verifies that it is the host of its address.
func tokenService(server Address, tls TLS) (*corev3.GrpcService, error) {
	token, err := packed(&credentialv3.FileBasedMetadataConfig{
		SecretData: file(tls.Token), HeaderKey: "authorization", HeaderPrefix: "Bearer ",
	})
	if err != nil {
		return nil, err
	}
	number := func(n int64) *corev3.GrpcService_GoogleGrpc_ChannelArgs_Value {
		return &corev3.GrpcService_GoogleGrpc_ChannelArgs_Value{
			ValueSpecifier: &corev3.GrpcService_GoogleGrpc_ChannelArgs_Value_IntValue{IntValue: n},
		}
	}
	return &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_GoogleGrpc_{GoogleGrpc: &corev3.GrpcService_GoogleGrpc{
		TargetUri:  net.JoinHostPort(server.Host, strconv.Itoa(int(server.Port))),
		StatPrefix: serverCluster,
		ChannelCredentials: &corev3.GrpcService_GoogleGrpc_ChannelCredentials{
			CredentialSpecifier: &corev3.GrpcService_GoogleGrpc_ChannelCredentials_SslCredentials{
				SslCredentials: &corev3.GrpcService_GoogleGrpc_SslCredentials{RootCerts: file(tls.CA)},
			},
		},
		CallCredentials: []*corev3.GrpcService_GoogleGrpc_CallCredentials{{
			CredentialSpecifier: &corev3.GrpcService_GoogleGrpc_CallCredentials_FromPlugin{
				FromPlugin: &corev3.GrpcService_GoogleGrpc_CallCredentials_MetadataCredentialsFromPlugin{
					Name: fileMetadata,
					ConfigType: &corev3.GrpcService_GoogleGrpc_CallCredentials_MetadataCredentialsFromPlugin_TypedConfig{
						TypedConfig: token,
					},
				},
			},
		}},
		CredentialsFactoryName: fileMetadata,
		// The names are those of the gRPC core library.
		ChannelArgs: &corev3.GrpcService_GoogleGrpc_ChannelArgs{Args: map[string]*corev3.GrpcService_GoogleGrpc_ChannelArgs_Value{
			"grpc.keepalive_time_ms":          number(int64(pingInterval / time.Millisecond)),
			"grpc.keepalive_timeout_ms":       number(int64(pingTimeout / time.Millisecond)),
			"grpc.max_receive_message_length": number(-1), // none: a response may be as large as the configuration
		}},
	}}}, nil
}
