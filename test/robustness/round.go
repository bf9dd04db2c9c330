package robustness

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// Run is one run of the test: rounds in which clients write and things go wrong, each followed by a check of everything.
type Run struct {
	World *World
	Seed  uint64
	Note  func(format string, args ...any)

	clock     clock
	log       *Log
	history   History
	snapshots Snapshots
	clients   []*Client
	watchers  []*Watcher
	nodes     []*Node
	states    map[*Kind]State // at the end of the last round
	at        uint64          // the revision of that
	round     int
	changes   int // that were stored, in all rounds
	faults    atomic.Int64

	following sync.WaitGroup // watchers and nodes
	unfollow  context.CancelFunc
}

// newRun has watchers and nodes follow an empty server.
func newRun(ctx context.Context, world *World, seed uint64, note func(string, ...any)) (*Run, error) {
	r := &Run{World: world, Seed: seed, Note: note, clock: clock{time.Now()}, states: map[*Kind]State{}}
	following, cancel := context.WithCancel(ctx)
	r.unfollow = cancel
	var err error
	if r.log, err = follow(following, world.client, r.clock); err != nil {
		return r, err
	}
	ways := map[string]*rest.Config{"kube-apiserver": world.Kube.Admin}
	for _, replica := range world.Replicas {
		ways[replica.Name] = replica.Direct
	}
	id := serverID
	for _, way := range []string{"kube-apiserver", "kube-apiserver", world.Replicas[0].Name, world.Replicas[1].Name} {
		id++
		api, err := restClient(ways[way])
		if err != nil {
			return r, err
		}
		r.clients = append(r.clients, &Client{
			ID: id, Way: way, api: api, random: r.random("client", id), clock: r.clock, history: &r.history, snapshots: &r.snapshots,
		})
	}
	for way, config := range ways {
		for _, kind := range kinds {
			api, err := restClient(config)
			if err != nil {
				return r, err
			}
			w := &Watcher{Kind: kind, Way: way, api: api}
			r.watchers = append(r.watchers, w)
			r.following.Go(func() { w.run(following) })
		}
	}
	r.makeNodes()
	for _, n := range r.nodes {
		r.following.Go(func() { n.run(following) })
	}
	return r, nil
}

// makeNodes makes nodes of every sort.
func (r *Run) makeNodes() {
	listeners := map[string]*Names{}
	for _, gateway := range gateways {
		listeners[gateway] = &Names{}
	}
	for i, n := range []*Node{
		{Gateway: "gw-0", Delta: true},
		{Gateway: "gw-0", Delta: true, Slow: 300 * time.Millisecond},
		{Gateway: "gw-0"},
		{Gateway: "gw-0", Slow: 300 * time.Millisecond},
		{Gateway: "gw-0", Delta: true, ByName: true},
		{Gateway: "gw-0", ByName: true},
		{Gateway: "gw-1", Delta: true, Rejects: true},
		{Gateway: "gw-1", Rejects: true},
		{Gateway: "gw-1", Delta: true, Slow: 100 * time.Millisecond},
		{Gateway: "gw-1"},
		{Gateway: "gw-2", Delta: true, Rejects: true, Slow: 200 * time.Millisecond},
		{Gateway: "gw-2", Delta: true},
	} {
		n.Name = fmt.Sprintf("node-%d", i)
		n.random, n.clock, n.listeners = r.random("node", i), r.clock, listeners[n.Gateway]
		n.Gateway = appNamespace + "/" + n.Gateway
		for _, replica := range r.World.Replicas {
			n.addresses = append(n.addresses, replica.Streams.Addr())
		}
		r.nodes = append(r.nodes, n)
	}
}

// random are the decisions of one part of the run.
func (r *Run) random(part string, n int) *rand.Rand {
	return rand.New(rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d/%s/%d/%d", r.Seed, part, n, r.round))))
}

// close ends those who follow.
func (r *Run) close() {
	r.unfollow()
	r.following.Wait()
}

// Round has clients write for a while, while things go wrong, and checks everything that is left.
func (r *Run) Round(ctx context.Context, length time.Duration) error {
	r.round++
	before := r.answered()
	if err := r.trouble(ctx, length); err != nil {
		return err
	}
	answered := r.answered() - before
	r.Note("round %d: %d requests were answered; all is well again", r.round, answered)
	if answered < 10 {
		return fmt.Errorf("only %d requests were answered in round %d: nothing was tested", answered, r.round)
	}
	if err := r.cleanse(ctx); err != nil {
		return err
	}
	return r.check(ctx)
}

func (r *Run) answered() (sum int64) {
	for _, c := range r.clients {
		sum += c.answered.Load()
	}
	return sum
}

// trouble returns when everything that has happened is undone, and no client writes any more.
func (r *Run) trouble(ctx context.Context, length time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		errs    []error
	)
	run := func(f func() error) {
		running.Go(func() {
			if err := f(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	for _, c := range r.clients {
		run(func() error {
			c.run(ctx)
			return nil
		})
	}
	run(func() error {
		return changeCore(ctx, r.World.Kube.Clientset(), r.random("core", 0))
	})
	for n, replica := range r.World.Replicas {
		random := r.random("faults of a replica", n)
		run(func() error { return r.suffer(ctx, random, r.World.faultsOfReplica(replica, random)) })
	}
	random := r.random("faults of etcd", 0)
	run(func() error { return r.suffer(ctx, random, r.World.faultsOfEtcd(random)) })
	running.Wait()
	for _, replica := range r.World.Replicas {
		if !replica.Running() {
			errs = append(errs, fmt.Errorf("%s has ended by itself", replica.Name))
		}
	}
	return errors.Join(errs...)
}

// suffer has one fault after the other happen until ctx ends. The last one is undone then.
func (r *Run) suffer(ctx context.Context, random *rand.Rand, faults []Fault) error {
	undoing := context.WithoutCancel(ctx)
	for {
		if !sleep(ctx, time.Duration(1000+random.IntN(6000))*time.Millisecond) {
			return nil
		}
		fault := pick(random, faults...)
		r.faults.Add(1)
		r.Note("%s", fault.Name)
		if err := fault.Begin(undoing); err != nil {
			return fmt.Errorf("%s: %w", fault.Name, err)
		}
		sleep(ctx, time.Duration(random.IntN(6000))*time.Millisecond)
		if err := fault.End(undoing); err != nil {
			return fmt.Errorf("%s: undoing it: %w", fault.Name, err)
		}
		r.Note("no longer: %s", fault.Name)
	}
}

// cleanse makes the Gateways that are missing, without which their nodes aren't told anything, and writes routes once more, without
// poison, so that all nodes accept them.
func (r *Run) cleanse(ctx context.Context) error {
	clean := func(random *rand.Rand, mark string) map[string]any {
		for {
			spec := randomRoute(random, mark)
			if hostnames := at[[]any](spec, "hostnames"); hostnames[len(hostnames)-1] != poison {
				return spec
			}
		}
	}
	c, gateway, route := r.clients[len(r.clients)-1], kinds[0], kinds[1]
	for _, name := range gateway.Objects {
		if err := eventually(ctx, func(context.Context) error {
			if c.do(gateway, name, Get) && c.knows(gateway, name) {
				return nil
			}
			if !c.do(gateway, name, Create) {
				return fmt.Errorf("%s can't be created", name)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for _, name := range route.Objects {
		if err := eventually(ctx, func(context.Context) error {
			if !c.do(route, name, Get) {
				return fmt.Errorf("%s can't be read", name)
			}
			if !c.knows(route, name) {
				return nil
			}
			known := c.known[route][name]
			in := Input{Verb: Update, Name: name, Mark: c.mark(), UID: known.UID, Base: known.Version}
			if c.ask(route, in, clean); c.known[route][name].Mark != in.Mark {
				return fmt.Errorf("%s can't be written", name)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// record says how much there was of everything, for who keeps a record of the run.
func (r *Run) record() string {
	responses, rejections := 0, 0
	for _, n := range r.nodes {
		n.mu.Lock()
		responses, rejections = responses+n.responses, rejections+n.rejections
		n.mu.Unlock()
	}
	r.history.mu.Lock()
	defer r.history.mu.Unlock()
	return fmt.Sprintf("%d rounds in %v: %d requests, of which %d were lost and %d refused; %d changes; %d faults; %d responses to nodes, of which %d were rejected",
		r.round, r.clock.now().Round(time.Second), r.history.all, r.history.lost, r.history.refused, r.changes, r.faults.Load(), responses, rejections)
}

// logs is where files about failures go, which outlives the cluster then.
func (r *Run) logs() string { return filepath.Join(r.World.Kube.Dir, "logs") }

// patience is when something that was to become true is given up.
const patience = 90 * time.Second

// eventually waits until check finds nothing wrong.
func eventually(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return fmt.Errorf("after %v: %w", patience, err)
		}
	}
}

// leads says whether a replica is the leader.
func leads(ctx context.Context, replica *cluster.Replica, credentials *rest.Config) (bool, error) {
	metric, err := metric(ctx, replica, credentials, "gateway_apiserver_leader")
	return metric == 1, err
}
