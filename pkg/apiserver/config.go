package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/registry"
)

// Model is what the server needs of the model besides what its stores do.
type Model interface {
	registry.Model
	// CheckSynced returns an error that says what the model has still to load of what is stored, and nil when it has loaded
	// and published all of it.
	CheckSynced(ctx context.Context) error
}

// Config is what a server is made from.
type Config struct {
	Generic *genericapiserver.RecommendedConfig
	// Model says what is true of the objects. Without one, statuses stay empty.
	Model Model
	// Kinds are the rows of the table that this server serves.
	Kinds []*registry.Kind
}

// WatchGrace is how long open watches have to end when the server stops. Unless there is such a time, the server doesn't
// tell them at all, and waits for them until its shutdown timeout.
const WatchGrace = time.Second

// NewConfig returns a Config with what does not depend on where the server runs: serialization, OpenAPI, version.
func NewConfig(version version.Info) *Config {
	generic := genericapiserver.NewRecommendedConfig(apis.Codecs)
	generic.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	generic.FeatureGate = utilfeature.DefaultFeatureGate
	generic.ShutdownWatchTerminationGracePeriod = WatchGrace
	configureOpenAPI(&generic.Config, version.GitVersion)
	c := &Config{Generic: generic}
	generic.BuildHandlerChainFunc = c.buildHandlerChain
	return c
}

// buildHandlerChain puts what this server does with requests for its kinds behind authentication, authorization, audit and
// what else a generic server has in front of its API.
func (c *Config) buildHandlerChain(api http.Handler, generic *genericapiserver.Config) http.Handler {
	registerMetrics()
	served := newVersions(c.Kinds)
	api = withoutWrites(api, c.Kinds)
	api = withRetiredFields(api, served, generic.MaxRequestBodyBytes)
	api = withDeprecation(api, served)
	api = withIdentity(api, served, generic.Authorization.Authorizer, generic.MaxRequestBodyBytes)
	api = withoutRedirects(api)
	return genericapiserver.DefaultBuildHandlerChain(api, generic)
}

type completedConfig struct {
	generic genericapiserver.CompletedConfig
	*Config
}

// CompletedConfig can only be had from Config.Complete.
type CompletedConfig struct{ *completedConfig }

// Complete fills in what can be derived.
func (c *Config) Complete() CompletedConfig {
	if c.Generic.AdmissionControl != nil {
		c.Generic.AdmissionControl = admitMoved{c.Generic.AdmissionControl}
	}
	return CompletedConfig{&completedConfig{c.Generic.Complete(), c}}
}

// Server is an API server with its stores, not yet running.
type Server struct {
	*genericapiserver.GenericAPIServer
	Stores map[schema.GroupKind]*registry.Store
}

// New makes the server.
func (c CompletedConfig) New() (*Server, error) {
	generic, err := c.generic.New("gateway-apiserver", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, fmt.Errorf("making the generic API server: %w", err)
	}
	s := &Server{GenericAPIServer: generic, Stores: map[schema.GroupKind]*registry.Store{}}
	serveFewerSeries(generic, c.generic.EnableProfiling)
	if err := s.installGroups(c.Kinds, c.generic.RESTOptionsGetter, c.Model); err != nil {
		return nil, err
	}
	if c.Model != nil {
		if err := s.AddReadyzChecks(healthz.NamedCheck("model", func(req *http.Request) error {
			return c.Model.CheckSynced(req.Context())
		})); err != nil {
			return nil, err
		}
	}
	if s.namespaces() != nil {
		if err := s.AddPostStartHook("purge-namespaces", s.purgeNamespaces); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Run serves until ctx ends, and then stops in an orderly way.
func (s *Server) Run(ctx context.Context) error {
	return s.PrepareRun().RunWithContext(ctx)
}
