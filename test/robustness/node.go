package robustness

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/nodes"
)

// traceLength is how many messages of a node are kept for who reads what has gone wrong.
const traceLength = 1000

// shownTrace is how much of that an error has.
const shownTrace = 40

// Node is a client of xDS, which keeps what it has over the ends of streams, as Envoy does, and looks after each response whether
// what it has makes sense.
type Node struct {
	Name, Gateway string
	// Delta says which protocol it speaks.
	Delta bool
	// ByName says that it asks for listeners and clusters by their names, as proxyless gRPC clients do. It can't have a cluster
	// before it has the route that leads to it.
	ByName bool
	// Rejects says that it accepts no poison. It keeps what it had instead, so the clusters of that have to stay, too.
	Rejects bool
	// Slow is how long it takes it to apply a response, at most.
	Slow time.Duration

	addresses []string // of the replicas
	random    *rand.Rand
	clock     clock
	listeners *Names // that there were in the Gateway, for ByName

	mu     sync.Mutex
	has    Configuration
	asked  map[string]bool // listeners, if ByName
	trace  []string
	errs   []error
	wrong  []string // after the last response
	starts int      // of streams

	responses, rejections int
}

// Names are a set that grows.
type Names struct {
	mu  sync.Mutex
	all map[string]bool
}

func (n *Names) add(names map[string]Resource) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all = map[string]bool{}
	}
	for name := range names {
		n.all[name] = true
	}
}

func (n *Names) get() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.all)
}

// maxErrors is how much wrong of a node is kept: one thing often leads to others.
const maxErrors = 3

// run keeps a stream open, to any of the replicas, until ctx ends. Now and then it ends one, or starts anew.
func (n *Node) run(ctx context.Context) {
	n.forget()
	for ctx.Err() == nil {
		address := pick(n.random, n.addresses...)
		session, cancel := context.WithTimeout(ctx, time.Duration(10+n.random.IntN(60))*time.Second)
		err := n.session(session, address)
		cancel()
		n.note("the stream to %s ends: %v", address, err)
		if n.random.IntN(4) == 0 {
			n.forget()
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
}

// forget has the node start anew.
func (n *Node) forget() {
	n.mu.Lock()
	n.has, n.asked = newConfiguration(), map[string]bool{}
	n.mu.Unlock()
	n.note("it starts with nothing")
}

func (n *Node) note(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trace = append(n.trace, fmt.Sprintf("%v ", n.clock.now().Round(time.Millisecond))+fmt.Sprintf(format, args...))
	if len(n.trace) > traceLength {
		n.trace = slices.Clone(n.trace[len(n.trace)-traceLength:])
	}
}

// session is one stream.
func (n *Node) session(ctx context.Context, address string) error {
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	n.note("a stream to %s begins", address)
	n.mu.Lock()
	n.starts++
	if n.ByName {
		n.asked = n.listeners.get()
	}
	n.mu.Unlock()
	xds := discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
	if n.Delta {
		stream, err := xds.DeltaAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
		if err != nil {
			return err
		}
		return (&deltaSession{node: n, stream: stream, subscribed: map[string]map[string]bool{}}).run(ctx)
	}
	stream, err := xds.StreamAggregatedResources(ctx, grpc.MaxCallRecvMsgSize(math.MaxInt32))
	if err != nil {
		return err
	}
	return (&sotwSession{node: n, stream: stream, asked: map[string][]string{}, versions: map[string]string{}, nonces: map[string]string{}}).run(ctx)
}

// identity is what the node says of itself.
func (n *Node) identity() *corev3.Node {
	return &corev3.Node{Id: n.Name, Cluster: "robustness", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		nodes.GatewayKey: structpb.NewStringValue(n.Gateway),
	}}}
}

// wildcard says whether the node gets all resources of a type.
func (n *Node) wildcard(typeURL string) bool { return !n.ByName && (typeURL == cds || typeURL == lds) }

// wants are the names of a type to ask for. The caller has the lock.
func (n *Node) wants(typeURL string) map[string]bool {
	if typeURL == lds {
		return n.asked
	}
	return n.has.wants(typeURL)
}

// apply takes in a response, and returns why the node rejects it. All is what there is of a type, if the response has all.
func (n *Node) apply(ctx context.Context, typeURL string, set map[string]Resource, removed []string, all bool) error {
	if n.Slow > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(n.Slow)):
		}
	}
	rejected := n.reject(set)
	n.note("%s%s", describeResponse(typeURL, set, removed, all), rejectedNote(rejected))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.responses++
	if rejected != nil {
		n.rejections++
	}
	if rejected != nil && !n.Delta {
		return rejected // as a whole
	}
	has := n.has[typeURL]
	if all {
		for name := range has {
			if _, is := set[name]; !is {
				delete(has, name)
			}
		}
	}
	for name, r := range set {
		if r.stream = n.starts; !n.Rejects || !r.poisoned() {
			has[name] = r
		}
	}
	for _, name := range removed {
		delete(has, name)
	}
	n.drop()
	if typeURL == lds {
		n.listeners.add(has)
	}
	if !n.ByName {
		n.notice(n.has.dangling(n.judged()))
	}
	return rejected
}

// judged is the first stream whose routes must have their clusters. In the delta protocol a node says what it has from other
// streams. In the other one a server can't know that, and answers the first request, for clusters, with those that there are:
// only what it has sent on the same stream is up to it.
func (n *Node) judged() int {
	if n.Delta {
		return 0
	}
	return n.starts
}

// notice keeps what is wrong, once. The caller has the lock.
func (n *Node) notice(wrong []string) {
	for _, w := range wrong {
		if !slices.Contains(n.wrong, w) && len(n.errs) < maxErrors {
			n.errs = append(n.errs, errors.New(w+"\n"+strings.Join(n.trace[max(0, len(n.trace)-shownTrace):], "\n")))
		}
	}
	n.wrong = wrong
}

// drop forgets what nothing refers to any more, and is no longer asked for.
func (n *Node) drop() {
	for _, typeURL := range []string{rds, cds, eds, sds} {
		if n.wildcard(typeURL) {
			continue
		}
		wants := n.has.wants(typeURL)
		maps.DeleteFunc(n.has[typeURL], func(name string, _ Resource) bool { return !wants[name] })
	}
}

// reject is why the node doesn't accept resources; the message names them, as Envoy's does.
func (n *Node) reject(set map[string]Resource) error {
	if !n.Rejects {
		return nil
	}
	for name, r := range set {
		if r.poisoned() {
			return fmt.Errorf("adding or updating %s %s: it has the domain %s", short(rds), name, poison)
		}
	}
	return nil
}

func rejectedNote(err error) string {
	if err == nil {
		return ""
	}
	return " (rejected: " + err.Error() + ")"
}

func describeResponse(typeURL string, set map[string]Resource, removed []string, all bool) string {
	text := short(typeURL)
	if all {
		text += " (all)"
	}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		text += fmt.Sprintf(" +%s", name)
		if clusters := slices.Sorted(maps.Keys(set[name].refers[cds])); len(clusters) > 0 {
			text += fmt.Sprint(clusters)
		}
	}
	for _, name := range removed {
		text += " -" + name
	}
	return text
}

func errorDetail(rejected error) *statuspb.Status {
	if rejected == nil {
		return nil
	}
	return &statuspb.Status{Code: int32(codes.InvalidArgument), Message: rejected.Error()}
}

// differs says in what the node doesn't have what it should.
func (n *Node) differs(want Configuration) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ByName {
		want = want.from(n.asked)
	}
	return n.has.differs(want)
}

// check returns what was wrong with what the node was sent.
func (n *Node) check() []error {
	n.mu.Lock()
	defer n.mu.Unlock()
	errs := n.errs
	n.errs = nil
	for i := range errs {
		errs[i] = fmt.Errorf("%s, a node of %s: %w", n.Name, n.Gateway, errs[i])
	}
	return errs
}

// history is what has last happened to the node.
func (n *Node) history() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.trace, "\n")
}
