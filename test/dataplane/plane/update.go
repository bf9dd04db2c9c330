package plane

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
)

var errEnding = errors.New("the data plane is about to end")

// Update implements ads.Handler.
func (p *Plane) Update(u ads.Update) error {
	err := errEnding
	p.call(func() {
		if err = p.apply(u); err != nil {
			p.giveUp(u.TypeURL)
		}
		p.judge(u.TypeURL, err)
		p.advance()
	})
	return err
}

// Malformed implements ads.Handler.
func (p *Plane) Malformed(typeURL string) {
	p.call(func() {
		p.giveUp(typeURL)
		p.advance()
	})
}

func (p *Plane) apply(u ads.Update) error {
	switch u.TypeURL {
	case ads.ClusterType:
		return p.setClusters(u)
	case ads.ListenerType:
		return p.setListeners(u)
	case ads.EndpointType:
		return p.setEndpoints(u)
	case ads.RouteType:
		return p.setRoutes(u)
	case ads.SecretType:
		return p.setSecrets(u)
	}
	return fmt.Errorf("nobody asked for resources of type %s", u.TypeURL)
}

// giveUp has nobody wait any longer for resources of a type of which a response was rejected: it must be possible to start with a
// bad configuration (onConfigUpdateFailed in each of Envoy's subscriptions).
func (p *Plane) giveUp(typeURL string) {
	switch typeURL {
	case ads.ClusterType:
		p.clusters.answered = true
	case ads.ListenerType:
		p.listeners.answered = true
	case ads.EndpointType:
		for _, c := range p.clusters.warming {
			c.discovered = c.discovered || c.upstream.EDSName() != ""
		}
	case ads.RouteType:
		p.routes.settleAll()
	case ads.SecretType:
		p.secrets.settleAll()
	}
}

// setEndpoints applies a response of EDS. That endpoints are removed says that there are none to wait for; a cluster in use keeps
// those that it has.
func (p *Plane) setEndpoints(u ads.Update) error {
	err := eachResource(u, func(name, _ string, a *endpointv3.ClusterLoadAssignment) error {
		if a.GetClusterName() != name {
			return fmt.Errorf("unexpected EDS cluster: %s", a.GetClusterName())
		}
		var problems []error
		p.clusters.each(func(c *cluster) {
			if c.upstream.EDSName() == name {
				if err := c.upstream.Update(a); err != nil {
					problems = append(problems, err)
					return
				}
				c.discovered = true
			}
		})
		if err := errors.Join(problems...); err != nil {
			return err
		}
		p.endpoints[name] = a
		return nil
	})
	for _, c := range p.clusters.warming {
		c.discovered = c.discovered || slices.Contains(u.Removed, c.upstream.EDSName())
	}
	return err
}

// setRoutes applies a response of RDS. A route configuration that is removed stays in use (RdsRouteConfigSubscription): it is for
// listeners to say that they don't need it. A listener that waits for it waits on.
func (p *Plane) setRoutes(u ads.Update) error {
	for _, name := range u.Removed {
		if w := p.routes[name]; w != nil {
			w.stopTimer()
		}
	}
	return eachResource(u, func(name, version string, config *routev3.RouteConfiguration) error {
		if config.GetName() != name {
			return fmt.Errorf("unexpected RDS configuration: %s", config.GetName())
		}
		table, err := router.Compile(config, hcm.ParseFilterConfig)
		if err != nil {
			return err
		}
		if w := p.routes[name]; w != nil {
			p.tables.set(name, table)
			w.accept(version, config)
		}
		return nil
	})
}

// setSecrets applies a response of SDS. A secret that is removed stays in use (SdsApi), but nobody waits for it.
func (p *Plane) setSecrets(u ads.Update) error {
	for _, name := range u.Removed {
		if w := p.secrets[name]; w != nil {
			w.settle()
		}
	}
	return eachResource(u, func(name, version string, s *tlsv3.Secret) error {
		if s.GetName() != name {
			return fmt.Errorf("unexpected SDS secret: %s", s.GetName())
		}
		if w := p.secrets[name]; w != nil {
			if err := p.certs.Update(s); err != nil {
				return err
			}
			w.accept(version, s)
		}
		return nil
	})
}

// eachResource applies the resources of a response, those after a bad one too.
func eachResource[M proto.Message](u ads.Update, apply func(name, version string, m M) error) error {
	var problems []error
	for _, r := range u.Set {
		err := check(r.Message)
		if err == nil {
			err = apply(r.Name, r.Version, r.Message.(M))
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", r.Name, err))
		}
	}
	return errors.Join(problems...)
}

// subscribe asks for what the clusters and listeners need, and no longer for what none does.
func (p *Plane) subscribe() {
	endpoints, routes, secrets := map[string]bool{}, map[string]bool{}, map[string]bool{}
	p.clusters.each(func(c *cluster) {
		if name := c.upstream.EDSName(); name != "" {
			endpoints[name] = true
		}
		if c.discovered {
			add(secrets, c.upstream.SecretNames())
		}
	})
	if p.phase >= awaitingListeners {
		p.listeners.each(func(l *served) {
			add(routes, l.listener.RouteNames())
			add(secrets, l.listener.SecretNames())
		})
	}
	maps.DeleteFunc(p.endpoints, func(name string, _ proto.Message) bool { return !endpoints[name] })
	for _, name := range p.routes.want(routes, p.fetchTimer("routes")) {
		p.tables.remove(name)
	}
	for _, name := range p.secrets.want(secrets, p.fetchTimer("secret")) {
		p.certs.Remove(name)
	}
	p.client.Subscribe(ads.EndpointType, slices.Sorted(maps.Keys(endpoints)))
	p.client.Subscribe(ads.SecretType, slices.Sorted(maps.Keys(secrets)))
	if p.phase >= awaitingListeners {
		p.client.Subscribe(ads.RouteType, slices.Sorted(maps.Keys(routes)))
	}
}

func (p *Plane) fetchTimer(what string) func(string, *watch) *time.Timer {
	return func(name string, w *watch) *time.Timer {
		return p.after(p.fetchTimeout, func() {
			if !w.settled {
				p.log.Warn("A resource did not come in time", what, name, "timeout", p.fetchTimeout)
				w.settle()
				p.advance()
			}
		})
	}
}

func add(set map[string]bool, names []string) {
	for _, name := range names {
		set[name] = true
	}
}
