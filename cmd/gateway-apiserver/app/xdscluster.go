package app

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	webhooktoken "k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/provision"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/identity"
)

// xdsEndpoint is where xDS is served. With TLS, it shows the certificate of the API, and kube-apiserver says who its clients are
// and what they may read.
func (s *clusterServer) xdsEndpoint(ctx context.Context, config *genericapiserver.RecommendedConfig) (*xdsEndpoint, error) {
	tokens, err := s.xdsTokens()
	if err != nil {
		return nil, err
	}
	return s.options.xds.endpoint(ctx, s.xdsListen, config.SecureServing.Cert, nil, identity.NewTokens(tokens, config.Authorization.Authorizer))
}

// xdsTokens has kube-apiserver review tokens, as for the API. The authenticator of the API can't be asked: what it reviews has to be
// for the audience of kube-apiserver. Answers aren't remembered here (identity.NewTokens).
func (s *clusterServer) xdsTokens() (authenticator.Token, error) {
	options := s.options.recommended.Authentication
	config, err := kubeConfig(options.RemoteKubeConfigFile)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // kube-apiserver protects itself
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	// Without audiences of its own, it accepts no answer of somebody who hasn't looked at those of the token.
	return webhooktoken.NewFromInterface(client.AuthenticationV1(), nil, *options.WebhookRetryBackoff, options.TokenRequestTimeout,
		webhooktoken.AuthenticatorMetrics{
			RecordRequestTotal: authenticatorfactory.RecordRequestTotal, RecordRequestLatency: authenticatorfactory.RecordRequestLatency,
		})
}

// newProvisioner runs Envoys in the cluster.
func (s *clusterServer) newProvisioner(ctx context.Context, config *rest.Config) (*provision.Provisioner, error) {
	file := s.options.xdsCA
	if file == "" {
		return provision.New(config, s.options.envoyServer(), s.certificates)
	}
	authority, err := dynamiccertificates.NewDynamicCAContentFromFile("xds-ca", file)
	if err != nil {
		return nil, fmt.Errorf("--xds-ca-file: %w", err)
	}
	go authority.Run(ctx, 1)
	return provision.New(config, s.options.envoyServer(), authority)
}
