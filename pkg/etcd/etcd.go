package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/klog/v2"
)

const (
	// quotaBytes is the size at which etcd refuses writes; etcd recommends no more than 8 GiB.
	quotaBytes = 8 << 30
	// maxSocketPath is the limit of sockaddr_un on Linux, without the terminating zero.
	maxSocketPath = 107
	// snapshotCount is after how many writes a lone member takes a snapshot of its state. A start repeats the writes since the last
	// one: etcd's usual 10,000 take a second.
	snapshotCount = 2_000
	// catchUpEntries is how many writes a lone member keeps in memory: etcd keeps 5,000 for others that are behind, of which there
	// are none.
	catchUpEntries = 100
	// readyTimeout is for a cluster of one, which waits for nobody.
	readyTimeout = 30 * time.Second
)

// Server is a running etcd.
type Server struct {
	etcd      *embed.Etcd
	peers     *peerServer // nil if there can be none
	stopping  *atomic.Bool
	failed    chan error
	dir       string
	endpoint  string
	socketDir string // removed on Stop; empty if the socket is in the data directory
}

// Start runs the only member of a cluster on dir, which is made if it does not exist, and returns when it can be written
// to. A directory that etcd cannot read (damaged, or written by something else) is an error that names it.
func Start(ctx context.Context, dir string) (*Server, error) {
	s, err := open(dir)
	if err != nil {
		return nil, err
	}
	if err := s.startAlone(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("starting etcd on %s: %w", dir, err)
	}
	return s, nil
}

func (s *Server) startAlone(ctx context.Context) error {
	c := s.config()
	c.Name = aloneName
	// A cluster of one has no peers: the advertised peer address only has to be the one in InitialCluster.
	c.InitialCluster = c.Name + "=" + c.AdvertisePeerUrls[0].String()
	c.InitialClusterToken = rand.Text() // as in joiner.plan
	// It elects itself: waiting for the usual second of election timeout would only delay the start.
	c.TickMs, c.ElectionMs = 10, 100
	c.SnapshotCount, c.SnapshotCatchUpEntries = snapshotCount, catchUpEntries
	if err := s.run(c); err != nil {
		return err
	}
	if n := len(s.etcd.Server.Cluster().Members()); n > 1 {
		return fmt.Errorf("this is the data of one of %d members of a cluster, and it can't run alone: name its peers, or restore a backup", n)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := s.waitReady(ctx); err != nil {
		return err
	}
	go s.follow()
	return nil
}

// open makes the directory of a server, and decides where its socket is.
func open(dir string) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the etcd directory: %w", err)
	}
	if err := checkRestored(dir); err != nil {
		return nil, err
	}
	socket, socketDir, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	return &Server{
		stopping: new(atomic.Bool), failed: make(chan error, 1),
		dir: dir, endpoint: "unix://" + socket, socketDir: socketDir,
	}, nil
}

// config is what all members have in common.
func (s *Server) config() *embed.Config {
	c := embed.NewConfig()
	c.Dir = dataDir(s.dir)
	client, _ := url.Parse(s.endpoint)
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	c.ListenPeerUrls = nil // peers, where there are any, are served by peerServer
	c.QuotaBackendBytes = quotaBytes
	c.AutoCompactionMode = embed.CompactorModePeriodic
	c.AutoCompactionRetention = "5m" // as kube-apiserver asks of its etcd; of several members, the leader does it
	c.LogLevel = "error"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(s.stopping))
	return c
}

// dataDir is etcd's own directory in that of a Server.
func dataDir(dir string) string { return filepath.Join(dir, "member") }

// run starts etcd on what the directory has.
func (s *Server) run(c *embed.Config) (err error) {
	if s.etcd, err = start(c); err != nil {
		return fmt.Errorf("%w (is the directory damaged, or not an etcd's? restore it from a backup, or start on an empty one)", err)
	}
	return nil
}

// waitReady waits until the member takes part in the cluster.
func (s *Server) waitReady(ctx context.Context) error {
	select {
	case <-s.etcd.Server.ReadyNotify():
		return nil
	case <-s.etcd.Server.StoppingNotify():
		return s.removed()
	case err := <-s.etcd.Err():
		return s.why(err)
	case <-ctx.Done():
		return fmt.Errorf("not ready: %w", context.Cause(ctx))
	}
}

// follow reports how etcd ends, unless it is stopped.
func (s *Server) follow() {
	var err error
	select {
	case <-s.etcd.Server.StoppingNotify():
		err = s.removed()
	case err = <-s.etcd.Err():
		err = s.why(err)
	}
	if !s.stopping.Load() {
		s.failed <- err
	}
}

// why tells an error of etcd's parts from what comes of all of it being stopped.
func (s *Server) why(err error) error {
	select {
	case <-s.etcd.Server.StoppingNotify():
		return s.removed()
	default:
		return err
	}
}

// removed is why etcd stops when nobody stopped it.
func (s *Server) removed() error {
	return fmt.Errorf("the cluster has removed this member, as when it was restarted once with another directory: what is in %s is "+
		"of no more use; move it away, and start again to join with an empty one", dataDir(s.dir))
}

// Endpoint is the address for etcd clients, a unix:// URL.
func (s *Server) Endpoint() string { return s.endpoint }

// Failed receives an error when etcd ends by itself.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop ends etcd and waits for it.
func (s *Server) Stop() {
	s.stopping.Store(true)
	if s.etcd != nil {
		select {
		case <-s.etcd.Server.ReadyNotify():
		default:
			s.etcd.Server.HardStop() // or Close would wait until it is ready
		}
		s.etcd.Close()
	}
	if s.peers != nil {
		s.peers.close()
	}
	if s.socketDir != "" {
		if err := errors.Join(os.Remove(filepath.Join(s.dir, socketName)), os.RemoveAll(s.socketDir)); err != nil {
			klog.ErrorS(err, "Removing the etcd socket directory", "path", s.socketDir)
		}
	}
}

// start is embed.StartEtcd with its panics turned into errors: etcd panics, or ends the process, on a data directory
// that it cannot make sense of.
func start(c *embed.Config) (e *embed.Etcd, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case runtime.Error: // etcd trips over a log that it could not read
			e, err = nil, errors.New("its files cannot be read")
		default:
			e, err = nil, fmt.Errorf("%v", r)
		}
	}()
	if err := checkDatabase(databasePath(c.Dir)); err != nil {
		return nil, err
	}
	return embed.StartEtcd(c)
}

func databasePath(dataDir string) string { return filepath.Join(dataDir, "member", "snap", "db") }

// checkDatabase opens the database as etcd will. etcd does it in a goroutine of its own, whose panic nobody can recover.
func checkDatabase(path string) error {
	return readDatabase(path, func(*bbolt.Tx) error { return nil })
}

// readDatabase is for one that etcd has not opened. There may be none.
func readDatabase(path string, read func(*bbolt.Tx) error) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	defer db.Close()
	return db.View(read)
}

// socketPath puts the socket into the data directory, or a link to one in a temporary directory if that path is too long
// for a socket.
func socketPath(dir string) (socket, temporary string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	socket = filepath.Join(abs, socketName)
	// etcd puts a lock file beside the socket, so leave room for a suffix.
	if len(socket) <= maxSocketPath-8 {
		return socket, "", nil
	}
	temporary, err = os.MkdirTemp("", "gateway-apiserver-etcd-") // mode 0700
	if err != nil {
		return "", "", fmt.Errorf("making a directory for the etcd socket: %w", err)
	}
	link := socket
	socket = filepath.Join(temporary, socketName)
	err = os.Remove(link) // that of a server that was killed
	if err == nil || errors.Is(err, os.ErrNotExist) {
		err = os.Symlink(socket, link)
	}
	if err != nil {
		return "", "", errors.Join(fmt.Errorf("linking to the etcd socket: %w", err), os.Remove(temporary))
	}
	return socket, temporary, nil
}
