package plane

import (
	"fmt"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/ads"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/upstream"
)

// clusters are those that CDS delivered: the active ones, which are also in the registry, and those that are to replace them or
// to be added when they are warm.
type clusters struct {
	active, warming map[string]*cluster
	answered        bool // by the server, or given up
}

// cluster is one version of a cluster.
type cluster struct {
	config   *clusterv3.Cluster
	version  string
	upstream *upstream.Cluster
	// discovered says that hosts aren't waited for any longer. Only then secrets are asked for, as in Envoy.
	discovered bool
	timer      *time.Timer // for its endpoints
	gone       chan struct{}
}

// each calls f with every cluster.
func (cs *clusters) each(f func(*cluster)) {
	for _, set := range []map[string]*cluster{cs.active, cs.warming} {
		for _, c := range set {
			f(c)
		}
	}
}

// expectClusters goes on without clusters if they don't come in time.
func (p *Plane) expectClusters() {
	p.after(p.config.ClustersTimeout, func() {
		if !p.clusters.answered {
			p.log.Warn("Clusters did not come in time", "timeout", p.config.ClustersTimeout)
			p.clusters.answered = true
			p.advance()
		}
	})
}

// setClusters applies a response of CDS. What is bad in it doesn't keep the rest from being applied (CdsApiHelper).
func (p *Plane) setClusters(u ads.Update) error {
	var problems []string
	for _, r := range u.Set {
		if err := p.addCluster(r); err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", r.Name, err))
		}
	}
	for _, name := range u.Removed {
		p.removeCluster(name)
	}
	p.clusters.answered = true
	if len(problems) > 0 {
		return fmt.Errorf("error adding/updating cluster(s) %s", strings.Join(problems, ", "))
	}
	return nil
}

// addCluster begins to warm a new or changed cluster. One that is as it was is left alone.
func (p *Plane) addCluster(r ads.Resource) error {
	config := r.Message.(*clusterv3.Cluster)
	if config.GetName() != r.Name {
		return fmt.Errorf("is a cluster of the name %q", config.GetName())
	}
	last := p.clusters.warming[r.Name]
	if last == nil {
		last = p.clusters.active[r.Name]
	}
	if last != nil && proto.Equal(last.config, config) {
		last.version = r.Version
		return nil
	}
	if err := check(config); err != nil {
		return err
	}
	u, err := upstream.New(config, upstream.Deps{Secrets: p.certs, Resolver: upstream.NewResolver(p.config.DNS), Log: p.log})
	if err != nil {
		return err
	}
	if replaced := p.clusters.warming[r.Name]; replaced != nil {
		replaced.close()
	}
	c := &cluster{config: config, version: r.Version, upstream: u, gone: make(chan struct{})}
	p.clusters.warming[r.Name] = c
	if u.EDSName() != "" {
		c.timer = p.after(p.fetchTimeout, func() { p.endpointsTimedOut(c) })
	} else {
		p.awaitHosts(c)
	}
	return nil
}

// awaitHosts notes when the hosts of a cluster without EDS are known.
func (p *Plane) awaitHosts(c *cluster) {
	select {
	case <-c.upstream.Ready():
		c.discovered = true
		return
	default:
	}
	go func() {
		select {
		case <-c.upstream.Ready():
			p.call(func() {
				c.discovered = true
				p.advance()
			})
		case <-c.gone:
		}
	}()
}

// endpointsTimedOut has a cluster go on with the endpoints that another one, or an earlier version of it, was sent for the same
// name, or with none (EdsClusterImpl::onConfigUpdateFailed).
func (p *Plane) endpointsTimedOut(c *cluster) {
	if c.discovered {
		return
	}
	p.log.Warn("Endpoints did not come in time", "cluster", c.config.GetName(), "timeout", p.fetchTimeout)
	if known, ok := p.endpoints[c.upstream.EDSName()].(*endpointv3.ClusterLoadAssignment); ok {
		if err := c.upstream.Update(known); err != nil {
			p.log.Warn("Endpoints can't be used", "cluster", c.config.GetName(), "error", err)
		}
	}
	c.discovered = true
	p.advance()
}

// warmClusters puts clusters that are warm to use.
func (p *Plane) warmClusters() {
	for name, c := range p.clusters.warming {
		if !c.discovered || !p.secrets.ready(c.upstream.SecretNames()) {
			continue
		}
		delete(p.clusters.warming, name)
		replaced := p.clusters.active[name]
		p.clusters.active[name] = c
		p.upstreams.set(name, c.upstream)
		if replaced != nil {
			replaced.close()
		}
		p.log.Debug("Cluster is in use", "cluster", name, "version", c.version)
	}
}

func (p *Plane) removeCluster(name string) {
	p.upstreams.remove(name)
	for _, set := range []map[string]*cluster{p.clusters.active, p.clusters.warming} {
		if c := set[name]; c != nil {
			delete(set, name)
			c.close()
		}
	}
}

func (c *cluster) close() {
	c.discovered = true // whatever comes for it counts no more
	if c.timer != nil {
		c.timer.Stop()
	}
	close(c.gone)
	c.upstream.Close()
}

// closeClusters closes all clusters. The goroutine that owned them has ended.
func (p *Plane) closeClusters() {
	p.clusters.each((*cluster).close)
}
