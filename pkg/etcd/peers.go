package etcd

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/etcd/server/v3/etcdserver/api/etcdhttp"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	"go.etcd.io/etcd/server/v3/etcdserver/api/rafthttp"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"k8s.io/klog/v2"
)

// What peers ask of each other beside etcd's own protocol.
const (
	statusPath = "/gateway-apiserver/status" // GET: peerStatus
	joinPath   = "/gateway-apiserver/join"   // POST: joinRequest, answered by joinResponse
)

const (
	// admitTimeout is for the one who admits a member: two changes of the membership, each agreed on by a majority.
	admitTimeout = 10 * time.Second
	maxBody      = 1 << 20
)

// state is what a member knows of the cluster.
type state string

const (
	// empty is a member that has no data: it never was in the cluster, or has lost it.
	empty state = "empty"
	// joining is an empty member that is about to be added to the cluster.
	joining state = "joining"
	// hasData is a member that isn't, or not yet, in touch with the cluster.
	hasData state = "hasData"
	// voter is a member that was in touch with the cluster since it started, and can admit others.
	voter state = "voter"
)

type peerStatus struct {
	Name    string               `json:"name"`
	State   state                `json:"state"`
	Peers   map[string]string    `json:"peers"`             // as configured: URLs by name
	Cluster types.ID             `json:"cluster,omitempty"` // once etcd runs
	Members []*membership.Member `json:"members,omitempty"` // of the cluster, as a voter knows them
}

// joinRequest asks to be added to the cluster in place of former members with the same name or URL. They are named by
// their IDs, so that a request that is carried out late doesn't remove the member that it should have made.
type joinRequest struct {
	Name     string     `json:"name"`
	Replaces []types.ID `json:"replaces,omitempty"`
}

type joinResponse struct {
	ID      types.ID             `json:"id"` // of the new member
	Members []*membership.Member `json:"members"`
}

// peerServer listens to peers. It answers before etcd runs, and lets etcd answer when it does.
type peerServer struct {
	member Member
	tls    peerTLS
	http   http.Server

	joining   atomic.Bool
	etcd      atomic.Pointer[runningEtcd]
	voter     atomic.Bool
	admitting sync.Mutex
}

// runningEtcd is etcd with what it answers its peers.
type runningEtcd struct {
	*etcdserver.EtcdServer
	handler http.Handler
}

// listenToPeers serves until close. The listener is like that of etcd, but reads the trusted CA at each handshake.
func listenToPeers(m Member) (*peerServer, error) {
	p := &peerServer{member: m, tls: peerTLS{PeerTLS: m.TLS}}
	for _, u := range m.Peers {
		p.tls.hosts = append(p.tls.hosts, hostOf(u))
	}
	if _, err := p.tls.config(); err != nil {
		return nil, err
	}
	l, err := transport.NewListenerWithOpts(m.Listen, "http", transport.WithTimeout(rafthttp.ConnReadTimeout, rafthttp.ConnWriteTimeout))
	if err != nil {
		return nil, fmt.Errorf("listening to peers: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, p.serveStatus)
	mux.HandleFunc("POST "+joinPath, p.serveJoin)
	mux.HandleFunc("/", p.serveEtcd)
	p.http = http.Server{
		Handler:           mux,
		TLSConfig:         p.tls.server(),
		ReadHeaderTimeout: rafthttp.ConnReadTimeout,
		ReadTimeout:       5 * time.Minute, // as etcd: for snapshots
		ErrorLog:          log.New(handshakeErrors{}, "", 0),
	}
	go func() {
		if err := p.http.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			klog.ErrorS(err, "Serving the peers of etcd")
		}
	}()
	return p, nil
}

// handshakeErrors logs them, and nothing else that an HTTP server has to say: etcd's handlers end connections by panics.
type handshakeErrors struct{}

func (handshakeErrors) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("TLS handshake error")) {
		klog.InfoS("Refused a connection to the peers of etcd", "err", string(bytes.TrimSpace(line)))
	}
	return len(line), nil
}

func (p *peerServer) close() { p.http.Close() }

// started lets etcd answer its peers.
func (p *peerServer) started(e *embed.Etcd) {
	p.etcd.Store(&runningEtcd{e.Server, etcdhttp.NewPeerHandler(e.GetLogger(), e.Server)})
	p.joining.Store(false)
}

func (p *peerServer) serveEtcd(w http.ResponseWriter, r *http.Request) {
	e := p.etcd.Load()
	if e == nil {
		http.Error(w, "etcd does not run yet", http.StatusServiceUnavailable)
		return
	}
	e.handler.ServeHTTP(w, r)
}

func (p *peerServer) serveStatus(w http.ResponseWriter, _ *http.Request) {
	s := peerStatus{Name: p.member.Name, Peers: p.member.Peers, State: empty}
	e := p.etcd.Load()
	if e != nil {
		s.Cluster = e.Cluster().ID()
	}
	switch {
	case p.voter.Load():
		s.State, s.Members = voter, e.Cluster().Members()
	case wal.Exist(logDir(p.member.Dir)):
		s.State = hasData
	case p.joining.Load():
		s.State = joining
	}
	answer(w, s)
}

func (p *peerServer) serveJoin(w http.ResponseWriter, r *http.Request) {
	var request joinRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	peer, ok := p.member.Peers[request.Name]
	if !ok || request.Name == p.member.Name {
		http.Error(w, fmt.Sprintf("%q is not among the peers that %s is configured with", request.Name, p.member.Name), http.StatusForbidden)
		return
	}
	if err := r.TLS.PeerCertificates[0].VerifyHostname(hostOf(peer)); err != nil {
		http.Error(w, fmt.Sprintf("the certificate is not that of %s: %v", request.Name, err), http.StatusForbidden)
		return
	}
	if !p.voter.Load() {
		http.Error(w, p.member.Name+" is not in touch with the cluster", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), admitTimeout)
	defer cancel()
	response, err := p.admit(ctx, p.etcd.Load().EtcdServer, request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	klog.InfoS("A member joins the etcd cluster", "name", request.Name, "id", response.ID.String(), "replaces", request.Replaces)
	answer(w, response)
}

// admit replaces a member by a new one. It is a learner: until it has all data and votes, it doesn't count in a
// majority. etcd refuses changes that would cost the cluster its majority.
func (p *peerServer) admit(ctx context.Context, server *etcdserver.EtcdServer, request joinRequest) (*joinResponse, error) {
	p.admitting.Lock()
	defer p.admitting.Unlock()
	peer := p.member.Peers[request.Name]
	// The cluster shall not wait for a member that its address doesn't lead to, nor lose one that is well.
	switch s, err := p.ask(ctx, request.Name); {
	case err != nil:
		return nil, fmt.Errorf("%s can't be reached at %s: %w", request.Name, peer, err)
	case s.State != joining:
		return nil, fmt.Errorf("%s, at %s, does not join (%s)", request.Name, peer, s.State)
	}
	if err := server.LinearizableReadNotify(ctx); err != nil {
		return nil, err
	}
	for _, m := range server.Cluster().Members() {
		if !slices.Contains(request.Replaces, m.ID) || !isPeer(m, request.Name, peer) {
			continue
		}
		if _, err := server.RemoveMember(ctx, uint64(m.ID)); err != nil {
			return nil, fmt.Errorf("removing the former member %s: %w", m.ID, err)
		}
	}
	urls, err := types.NewURLs([]string{peer})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	added := membership.NewMemberAsLearner("", urls, rand.Text(), &now) // its ID is a hash of all this: no member ever had it
	members, err := server.AddMember(ctx, *added)
	if errors.Is(err, etcderrors.ErrUnhealthy) {
		return nil, fmt.Errorf("adding a member: %w: a majority has to be connected for %s", err, etcdserver.HealthInterval)
	}
	if err != nil {
		return nil, fmt.Errorf("adding a member: %w", err)
	}
	return &joinResponse{ID: added.ID, Members: members}, nil
}

// isPeer tells whether m is, or was, the peer with that name and URL. One that was added and never started has no name.
func isPeer(m *membership.Member, name, peer string) bool {
	return m.Name == name || slices.Contains(m.PeerURLs, peer)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		klog.V(2).InfoS("A peer of etcd did not wait for its answer", "err", err)
	}
}

func hostOf(peerURL string) string {
	u, err := url.Parse(peerURL)
	if err != nil { // not after Member.validate
		return ""
	}
	return u.Hostname()
}
