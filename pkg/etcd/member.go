package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/pkg/v3/featuregate"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/features"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

// Member is one of the members of a cluster.
type Member struct {
	// Dir keeps the data; it is made if it does not exist.
	Dir string
	// Name is that of this member in Peers.
	Name string
	// Peers are the URLs (https://HOST:PORT) of all members, this one included, by name. They are the same on all.
	Peers map[string]string
	// Listen is the address for peers, HOST:PORT.
	Listen string
	TLS    PeerTLS
}

func (m Member) validate() error {
	if _, ok := m.Peers[m.Name]; !ok {
		return fmt.Errorf("%q is not among the members of the cluster: %s", m.Name, strings.Join(slices.Sorted(maps.Keys(m.Peers)), ", "))
	}
	for name, peer := range m.Peers {
		if strings.ContainsAny(name, "=, ") {
			return fmt.Errorf("the name of member %q has a sign in it that etcd uses between members", name)
		}
		if u, err := url.Parse(peer); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" || peer != "https://"+u.Host {
			return fmt.Errorf("the URL of member %s is %q: want https://HOST:PORT", name, peer)
		}
	}
	return nil
}

// founder is the member that makes the cluster: there can't be two.
func (m Member) founder() string { return slices.Min(slices.Collect(maps.Keys(m.Peers))) }

// retry is how often others are asked.
var retry = wait.Backoff{Duration: 100 * time.Millisecond, Factor: 1.6, Jitter: 0.5, Steps: 10, Cap: 5 * time.Second}

// StartMember runs a member of a cluster, and returns when it takes part in it: for as long as ctx allows it waits for
// others, and says in the log for whom. The package comment tells how a member joins.
func StartMember(ctx context.Context, m Member) (*Server, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	s, err := open(m.Dir)
	if err != nil {
		return nil, err
	}
	if err := s.startMember(ctx, m); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting etcd member %s on %s: %w", m.Name, m.Dir, err)
	}
	return s, nil
}

func (s *Server) startMember(ctx context.Context, m Member) (err error) {
	if s.peers, err = listenToPeers(m); err != nil {
		return err
	}
	j := &joiner{Server: s, member: m, waiting: waiting{log: klog.FromContext(ctx)}}
	for _, step := range []func(context.Context) error{j.start, j.agree, j.ready, j.vote, j.move} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.peers.voter.Store(true)
	go s.follow()
	return nil
}

// joiner starts a member, in steps.
type joiner struct {
	*Server
	member  Member
	waiting waiting
	// added is the ID of the member that was added to the cluster for this process, if one was.
	added types.ID
}

// until calls step until it has no error, and logs the errors.
func (j *joiner) until(ctx context.Context, step func(context.Context) error) error {
	err := retry.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		err := step(ctx)
		if fatal := new(fatalError); errors.As(err, fatal) {
			return false, fatal.error
		}
		if err != nil {
			j.waiting.reason(err)
		}
		return err == nil, nil
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w while waiting for: %s", err, j.waiting.last)
	}
	return err
}

// fatalError is not worth another try.
type fatalError struct{ error }

// start runs etcd: on what the directory has, or as the first member of a cluster, or as another one.
func (j *joiner) start(ctx context.Context) error {
	return j.until(ctx, func(ctx context.Context) error {
		config, err := j.plan(ctx)
		if err != nil {
			return err
		}
		if config.ClusterState == embed.ClusterStateFlagExisting {
			if j.etcd, err = start(config); err != nil { // as when another member joins at the same time
				return fmt.Errorf("starting as a new member: %w", err)
			}
		} else if err := j.run(config); err != nil {
			return fatalError{err}
		}
		j.peers.started(j.etcd)
		return nil
	})
}

// plan decides how to start, or says for whom to wait.
func (j *joiner) plan(ctx context.Context) (*embed.Config, error) {
	j.peers.joining.Store(false)
	config := j.memberConfig()
	if wal.Exist(logDir(j.dir)) {
		return config, nil // the log says which cluster this is a member of
	}
	if err := checkNoData(databasePath(dataDir(j.dir))); err != nil {
		return nil, fatalError{err}
	}
	answers := j.peers.askAll(ctx)
	if err := oneCluster(answers); err != nil {
		return nil, err
	}
	var refusals []error
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		a := answers[name]
		if a.err != nil || a.State != voter {
			continue
		}
		members, err := j.join(ctx, name, a.Members)
		if err == nil {
			config.ClusterState = embed.ClusterStateFlagExisting
			config.InitialCluster = initialCluster(j.member, members)
			return config, nil
		}
		refusals = append(refusals, fmt.Errorf("joining the cluster through %s: %w", name, err))
	}
	if len(refusals) > 0 {
		return nil, errors.Join(refusals...)
	}
	if err := j.mayFound(answers); err != nil {
		return nil, err
	}
	config.ClusterState = embed.ClusterStateFlagNew
	config.InitialCluster = j.member.Name + "=" + j.member.Peers[j.member.Name]
	config.InitialClusterToken = rand.Text() // the cluster's ID is a hash of it: no other cluster ever had it
	return config, nil
}

// mayFound tells whether this member makes a new cluster, as its only member at first. An empty directory may be one
// that was lost: so not as long as there may be a cluster.
func (j *joiner) mayFound(answers map[string]peerAnswer) error {
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		switch a := answers[name]; {
		case a.err != nil:
			return fmt.Errorf("there may be a cluster, and %s does not answer: %w", name, a.err)
		case a.State != empty:
			return fmt.Errorf("there is a cluster, and %s is not in touch with it yet (%s)", name, a.State)
		case !maps.Equal(a.Peers, j.member.Peers):
			return fmt.Errorf("%s is configured with other peers: %v, not %v", name, a.Peers, j.member.Peers)
		}
	}
	if founder := j.member.founder(); founder != j.member.Name {
		return fmt.Errorf("%s has not yet made the cluster", founder)
	}
	return nil
}

// join asks a peer to add this member to the cluster, in place of the one that it was, and returns its members. Another
// try goes on with the member that was added, which has never run.
func (j *joiner) join(ctx context.Context, peer string, members []*membership.Member) ([]*membership.Member, error) {
	j.peers.joining.Store(true)
	request := joinRequest{Name: j.member.Name}
	for _, m := range members {
		if m.ID == j.added {
			return members, nil
		}
		if isPeer(m, j.member.Name, j.member.Peers[j.member.Name]) {
			request.Replaces = append(request.Replaces, m.ID)
		}
	}
	response, err := j.peers.askToJoin(ctx, peer, request)
	if err != nil {
		return nil, err
	}
	j.added = response.ID
	return response.Members, nil
}

// agree refuses to make a second cluster of one that was restored while others still had their data, or whose directories
// were mixed up. Each member is asked after this one has begun to tell its own cluster, so one of any two notices.
func (j *joiner) agree(ctx context.Context) error {
	answers := j.peers.askAll(ctx)
	answers[j.member.Name] = peerAnswer{peerStatus: peerStatus{Cluster: j.etcd.Server.Cluster().ID()}}
	return oneCluster(answers)
}

func oneCluster(answers map[string]peerAnswer) error {
	var first string
	for _, name := range slices.Sorted(maps.Keys(answers)) {
		switch cluster := answers[name].Cluster; {
		case cluster == 0:
		case first == "":
			first = name
		case cluster != answers[first].Cluster:
			return fmt.Errorf("%s and %s have the data of different clusters: stop all members, and move away the directories of those whose data "+
				"is not to be kept; they join the others with empty ones", first, name)
		}
	}
	return nil
}

// ready waits for a majority of the cluster.
func (j *joiner) ready(ctx context.Context) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, readyTimeout)
		err := j.waitReady(bounded)
		late := bounded.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !late {
			return err
		}
		j.waiting.reason(errors.New("a majority of the cluster's members"))
	}
}

// vote waits until the member has all data and votes.
func (j *joiner) vote(ctx context.Context) error {
	return j.until(ctx, func(ctx context.Context) error {
		self, err := j.self()
		if err != nil || !self.IsLearner {
			return err
		}
		if _, err := j.etcd.Server.PromoteMember(ctx, uint64(self.ID)); err != nil {
			return fmt.Errorf("becoming a voter: %w", err)
		}
		return nil
	})
}

// move tells the cluster the URL of this member, if it was another one before: a cluster of one has none that others
// could reach.
func (j *joiner) move(ctx context.Context) error {
	peer := j.member.Peers[j.member.Name]
	return j.until(ctx, func(ctx context.Context) error {
		self, err := j.self()
		if err != nil || slices.Equal(self.PeerURLs, []string{peer}) {
			return err
		}
		moved := membership.Member{ID: self.ID, RaftAttributes: membership.RaftAttributes{PeerURLs: []string{peer}}}
		if _, err := j.etcd.Server.UpdateMember(ctx, moved); err != nil {
			return fmt.Errorf("changing the member's URL: %w", err)
		}
		return nil
	})
}

// self is this member, as it knows the cluster.
func (j *joiner) self() (*membership.Member, error) {
	server := j.etcd.Server
	self := server.Cluster().Member(server.MemberID())
	select {
	case <-server.StoppingNotify():
		self = nil
	default:
	}
	if self == nil {
		return nil, fatalError{j.removed()}
	}
	return self, nil
}

func (j *joiner) memberConfig() *embed.Config {
	c := j.config()
	c.Name = j.member.Name
	self, _ := url.Parse(j.member.Peers[j.member.Name])
	c.AdvertisePeerUrls = []url.URL{*self}
	c.PeerTLSInfo = j.peers.tls.info()
	c.MaxLearners = len(j.member.Peers) // all may join at once
	// A member whose data isn't that of the others doesn't start.
	if err := c.ServerFeatureGate.(featuregate.MutableFeatureGate).SetFromMap(map[string]bool{string(features.InitialCorruptCheck): true}); err != nil {
		panic(err) // no such feature
	}
	return c
}

// initialCluster names the members for etcd, which needs the name of this one, and the URLs of all.
func initialCluster(m Member, members []*membership.Member) string {
	var all []string
	for _, other := range members {
		name := other.ID.String()
		if slices.Contains(other.PeerURLs, m.Peers[m.Name]) {
			name = m.Name
		}
		for _, peer := range other.PeerURLs {
			all = append(all, name+"="+peer)
		}
	}
	return strings.Join(all, ",")
}

// logDir is where etcd keeps its log: without one, a member has never run.
func logDir(dir string) string { return filepath.Join(dataDir(dir), "member", "wal") }

// checkNoData refuses a database with data in it and without a log, to which etcd would add the log of the cluster. One
// without data is left by a process that died before it had joined.
func checkNoData(path string) error {
	return readDatabase(path, func(tx *bbolt.Tx) error {
		if b := tx.Bucket([]byte("key")); b != nil {
			if k, _ := b.Cursor().First(); k != nil {
				return fmt.Errorf("%s is a database without a log: move the directory away to join with an empty one", path)
			}
		}
		return nil
	})
}

// waiting logs why a member waits: at once when the reason changes, and else once in a while.
type waiting struct {
	log  klog.Logger
	last string
	when time.Time
}

const waitingInterval = time.Minute

func (w *waiting) reason(err error) {
	if err.Error() == w.last && time.Since(w.when) < waitingInterval {
		return
	}
	w.last, w.when = err.Error(), time.Now()
	w.log.Info("etcd waits", "for", w.last)
}
