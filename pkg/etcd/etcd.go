package etcd

import (
	"context"
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
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

const (
	// quotaBytes is the size at which etcd refuses writes; etcd recommends no more than 8 GiB.
	quotaBytes = 8 << 30
	// maxSocketPath is the limit of sockaddr_un on Linux, without the terminating zero.
	maxSocketPath = 107
	readyTimeout  = 30 * time.Second
)

// Server is a running etcd.
type Server struct {
	etcd      *embed.Etcd
	stopping  *atomic.Bool
	endpoint  string
	socketDir string // removed on Stop; empty if the socket is in the data directory
}

// Start runs etcd on dir, which is made if it does not exist, and returns when it can be written to. A directory that
// etcd cannot read (damaged, or written by something else) is an error that names it.
func Start(ctx context.Context, dir string) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the etcd directory: %w", err)
	}
	socket, socketDir, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{endpoint: "unix://" + socket, socketDir: socketDir, stopping: new(atomic.Bool)}
	if s.etcd, err = start(config(dir, s.endpoint, s.stopping)); err != nil {
		s.removeSocketDir()
		return nil, fmt.Errorf("starting etcd on %s: %w (is the directory damaged, or not an etcd's? restore it from a backup, or start on an empty one)", dir, err)
	}
	ready, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	select {
	case <-s.etcd.Server.ReadyNotify():
		return s, nil
	case err = <-s.etcd.Err():
	case <-ready.Done():
		err = fmt.Errorf("not ready: %w", ready.Err())
	}
	s.Stop()
	return nil, fmt.Errorf("starting etcd on %s: %w", dir, err)
}

// Endpoint is the address for etcd clients, a unix:// URL.
func (s *Server) Endpoint() string { return s.endpoint }

// Failed receives an error when etcd ends by itself.
func (s *Server) Failed() <-chan error { return s.etcd.Err() }

// Stop ends etcd and waits for it.
func (s *Server) Stop() {
	s.stopping.Store(true)
	s.etcd.Close()
	s.removeSocketDir()
}

func (s *Server) removeSocketDir() {
	if s.socketDir != "" {
		if err := os.RemoveAll(s.socketDir); err != nil {
			klog.ErrorS(err, "Removing the etcd socket directory", "path", s.socketDir)
		}
	}
}

func config(dir, endpoint string, stopping *atomic.Bool) *embed.Config {
	c := embed.NewConfig()
	c.Name = "embedded"
	c.Dir = filepath.Join(dir, "member")
	client, _ := url.Parse(endpoint)
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	// A cluster of one has no peers: the advertised peer address only has to be the one in InitialCluster, and nothing listens.
	c.ListenPeerUrls = nil
	c.InitialCluster = c.Name + "=" + c.AdvertisePeerUrls[0].String()
	c.QuotaBackendBytes = quotaBytes
	c.AutoCompactionMode = embed.CompactorModePeriodic
	c.AutoCompactionRetention = "5m" // as kube-apiserver asks of its etcd
	// A cluster of one elects itself: waiting for the usual second of election timeout would only delay the start.
	c.TickMs, c.ElectionMs = 10, 100
	c.LogLevel = "error"
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger(stopping))
	return c
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
	if err := checkDatabase(filepath.Join(c.Dir, "member", "snap", "db")); err != nil {
		return nil, err
	}
	return embed.StartEtcd(c)
}

// checkDatabase opens the database as etcd will. etcd does it in a goroutine of its own, whose panic nobody can recover.
func checkDatabase(path string) error {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	return db.Close()
}

// logger sends etcd's errors to klog. A fatal entry panics instead of ending the process, so that start can report it.
func logger(stopping *atomic.Bool) *zap.Logger {
	return zap.New(klogCore{LevelEnabler: zapcore.ErrorLevel, stopping: stopping}, zap.WithFatalHook(zapcore.WriteThenPanic))
}

// klogCore is a zapcore.Core that writes to klog.
type klogCore struct {
	zapcore.LevelEnabler
	stopping *atomic.Bool
}

func (c klogCore) With([]zapcore.Field) zapcore.Core { return c }

func (c klogCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) && !c.expected(e) {
		return checked.AddCore(e, c)
	}
	return checked
}

// expected tells the entries that etcd logs as errors and that are none: its listeners end when it is stopped, and a
// new member has no raft term yet when it first looks for the version of its storage.
func (c klogCore) expected(e zapcore.Entry) bool {
	return e.Level == zapcore.ErrorLevel && (c.stopping.Load() || e.Message == "failed to update storage version")
}

func (c klogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if e.Level >= zapcore.DPanicLevel {
		return nil // the panic carries the message, and is reported once, by start
	}
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	kv := make([]any, 0, 2*len(enc.Fields))
	for k, v := range enc.Fields {
		kv = append(kv, k, v)
	}
	klog.ErrorS(errors.New(e.Message), "etcd reports an error", kv...)
	return nil
}

func (klogCore) Sync() error { return nil }

// socketPath puts the socket into the data directory, or into a temporary directory if that path is too long for a socket.
func socketPath(dir string) (socket, temporary string, err error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", "", err
	}
	socket = filepath.Join(abs, "etcd.sock")
	// etcd puts a lock file beside the socket, so leave room for a suffix.
	if len(socket) <= maxSocketPath-8 {
		return socket, "", nil
	}
	temporary, err = os.MkdirTemp("", "gateway-apiserver-etcd-") // mode 0700
	if err != nil {
		return "", "", fmt.Errorf("making a directory for the etcd socket: %w", err)
	}
	return filepath.Join(temporary, "etcd.sock"), temporary, nil
}
