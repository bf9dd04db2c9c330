package scale

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/gateway-apiserver/gateway-apiserver/test/bench/crowd"
	"github.com/gateway-apiserver/gateway-apiserver/test/bench/report"
)

// Bench is what scenarios are run with.
type Bench struct {
	Binary string // of gateway-apiserver
	Dir    string // for data, on the disk that is to be measured; must exist
	Sizes
	Log *slog.Logger // progress
}

// Sizes say how large the scenarios are.
type Sizes struct {
	// Clusters, ClusterStreams: the change of one cluster.
	Clusters, ClusterStreams int
	// Streams, Hosts: the change of one route in a table of this many hosts, and the memory of idle streams.
	Streams int
	Hosts   []int
	// Rounds is how many changes of each are measured.
	Rounds int

	// Routes, and how many more there are then: propagation.
	Routes, MoreRoutes int
	// PerGateway is how many routes a Gateway has, where they are spread.
	PerGateway int
	// Samples is how many writes are followed for each of these.
	Samples int

	AttachedRoutes int // created at the same time
	RestartRoutes  int

	ChurnRoutes int
	// Churn is how long changes go on.
	Churn time.Duration
	// PeerRoutes and PeerListenerSets are those of package gatewayapi, but for its route-scale, which has ChurnRoutes.
	PeerRoutes, PeerListenerSets int
	// Settle is how long memory may take to settle before it is read.
	Settle time.Duration
}

// Full are the sizes for which there are targets.
func Full() Sizes {
	return Sizes{
		Clusters: 10_000, ClusterStreams: 1_000,
		Streams: 10_000, Hosts: []int{1, 1_000}, Rounds: 20,
		Routes: 10_000, MoreRoutes: 40_000, PerGateway: 100, Samples: 1_000,
		AttachedRoutes: 1_000,
		RestartRoutes:  10_000,
		ChurnRoutes:    5_000, Churn: time.Minute,
		PeerRoutes: 1_000, PeerListenerSets: 250,
		Settle: 30 * time.Second,
	}
}

// Small are sizes that show in seconds that everything works. Figures mean nothing then.
func Small() Sizes {
	return Sizes{
		Clusters: 40, ClusterStreams: 8,
		Streams: 8, Hosts: []int{1, 5}, Rounds: 2,
		Routes: 20, MoreRoutes: 40, PerGateway: 10, Samples: 5,
		AttachedRoutes: 40,
		RestartRoutes:  20,
		ChurnRoutes:    20, Churn: 2 * time.Second,
		PeerRoutes: 10, PeerListenerSets: 2,
		Settle: 300 * time.Millisecond,
	}
}

// Scenario is a measurement.
type Scenario struct {
	Name string
	Run  func(ctx context.Context, b *Bench) ([]report.Row, error)
}

// Scenarios are in the order of the table.
var Scenarios = []Scenario{
	{"clusters", clusterChange},
	{"fleet", fleet},
	{"tls", tlsFleet},
	{"propagation", propagation},
	{"attached", attached},
	{"churn", churn},
	{"restart", restart},
	{"peers", peers},
}

// Run runs the scenarios whose names match, one after the other. A scenario that fails is in the table as such; the error joins
// them.
func (b *Bench) Run(ctx context.Context, names *regexp.Regexp) ([]report.Row, error) {
	if !slices.ContainsFunc(Scenarios, func(s Scenario) bool { return names.MatchString(s.Name) }) {
		return nil, fmt.Errorf("no scenario matches %q", names)
	}
	var (
		rows   []report.Row
		failed error
	)
	for _, s := range Scenarios {
		if !names.MatchString(s.Name) {
			continue
		}
		began := time.Now()
		b.Log.Info("Running", "scenario", s.Name)
		found, err := s.Run(ctx, b)
		rows = append(rows, found...)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Name, err))
			rows = append(rows, report.Row{What: s.Name, Figure: "failed", Verdict: report.Missed})
		}
		b.Log.Info("Ran", "scenario", s.Name, "took", time.Since(began).Round(time.Second), "error", err)
		if ctx.Err() != nil {
			break
		}
	}
	return rows, failed
}

// start starts a server with empty data.
func (b *Bench) start(ctx context.Context, flags ...string) (*server, error) {
	dir, err := os.MkdirTemp(b.Dir, "bench-")
	if err != nil {
		return nil, err
	}
	binary, err := filepath.Abs(b.Binary)
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, binary, dir, flags...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// patience is when something that is waited for is given up.
const patience = 3 * time.Minute

// connect connects clients of a Gateway in a new process.
func (s *server) connect(ctx context.Context, streams int, gateway string, subscriptions ...crowd.Subscription) (*crowd.Process, error) {
	p, err := crowd.Start()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	config := crowd.Config{Address: s.xds, Gateway: namespace + "/" + gateway, Streams: streams, Subscriptions: subscriptions}
	if s.pki != "" {
		config.CA = filepath.Join(s.pki, "ca.crt")
		config.Certificate, config.Key = filepath.Join(s.pki, "tls.crt"), filepath.Join(s.pki, "tls.key")
	}
	if _, err := p.Connect(ctx, config); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting %d clients: %w", streams, err), p.Stop())
	}
	return p, nil
}

// asEnvoy subscribes to what an Envoy with one table of routes does, but for endpoints.
func asEnvoy(gateway string) []crowd.Subscription {
	return []crowd.Subscription{
		{TypeURL: resource.ClusterType},
		{TypeURL: resource.ListenerType},
		{TypeURL: resource.RouteType, Names: []string{namespace + "/" + gateway + ":80"}},
	}
}

// change is a write that all clients are to see.
type change struct {
	sent, returned time.Time // the request, and its response
	crowd.Arrival
}

// follow makes a write and waits until all clients have a response of the type with the marker in it.
func follow(ctx context.Context, clients *crowd.Process, typeURL, marker string, write func() error) (change, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := clients.Expect(ctx, typeURL, marker); err != nil {
		return change{}, err
	}
	c := change{sent: time.Now()}
	if err := write(); err != nil {
		return c, err
	}
	c.returned = time.Now()
	var err error
	if c.Arrival, err = clients.Await(ctx); err != nil {
		return c, err
	}
	if len(c.Versions) != 1 {
		return c, fmt.Errorf("clients have received different versions: %v", c.Versions)
	}
	return c, nil
}
