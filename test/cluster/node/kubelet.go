//go:build linux

package node

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const (
	kubeletPort   = 10250
	idleTimeout   = 4 * time.Hour
	streamTimeout = 30 * time.Second
)

// serveKubelet serves what kube-apiserver asks a node for. It returns what ends it.
func (n *Node) serveKubelet(config *tls.Config) (func() error, error) {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"} // SPDY and WebSocket are upgrades of it
	listener, err := tls.Listen("tcp", netip.AddrPortFrom(Address, kubeletPort).String(), config)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", n.serveExec)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLogs)
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(n.logger.Handler(), slog.LevelWarn),
		// A request that goes on for long ends with the node.
		BaseContext: func(net.Listener) context.Context { return n.running },
	}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			n.logger.Error("Serving as a kubelet", "err", err)
		}
	}()
	return server.Close, nil
}

// find returns the container that a request is for.
func (n *Node) find(w http.ResponseWriter, r *http.Request) *runner {
	p := n.podNamed(r.PathValue("namespace"), r.PathValue("pod"))
	if p == nil {
		http.Error(w, "this node doesn't have that Pod", http.StatusNotFound)
		return nil
	}
	found, err := p.runner(r.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	return found
}

func (n *Node) serveExec(w http.ResponseWriter, r *http.Request) {
	target := n.find(w, r)
	if target == nil {
		return
	}
	o, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if o.TTY {
		http.Error(w, "this node has no terminals: ask for none", http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, executor{target}, "", "", "", r.URL.Query()["command"], o, idleTimeout, streamTimeout,
		remotecommand.SupportedStreamingProtocols)
}

// executor executes commands in a container.
type executor struct{ *runner }

// ExecInContainer implements remotecommand.Executor.
func (e executor) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, err io.WriteCloser,
	_ bool, _ <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	var s streams
	if in != nil {
		s.in = in
	}
	if out != nil {
		s.out = out
	}
	if err != nil {
		s.err = err
	}
	return e.exec(ctx, command, s)
}

func (n *Node) serveLogs(w http.ResponseWriter, r *http.Request) {
	target := n.find(w, r)
	if target == nil {
		return
	}
	o, err := logOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	log := target.logOf(o.Previous)
	if log == nil {
		http.Error(w, "there is no log of that container", http.StatusBadRequest)
		return
	}
	controller := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/plain")
	if err := log.send(r.Context(), w, o, func() { _ = controller.Flush() }); err != nil && r.Context().Err() == nil {
		n.logger.Error("Sending a log", "path", r.URL.Path, "err", err)
	}
}

// logOptions reads the query in which kube-apiserver passes PodLogOptions on.
func logOptions(r *http.Request) (*corev1.PodLogOptions, error) {
	o := &corev1.PodLogOptions{}
	query := r.URL.Query()
	var errs []error
	for name, field := range map[string]*bool{"follow": &o.Follow, "previous": &o.Previous, "timestamps": &o.Timestamps} {
		if query.Has(name) {
			var err error
			*field, err = strconv.ParseBool(query.Get(name))
			errs = append(errs, err)
		}
	}
	for name, field := range map[string]**int64{"tailLines": &o.TailLines, "limitBytes": &o.LimitBytes, "sinceSeconds": &o.SinceSeconds} {
		if query.Has(name) {
			number, err := strconv.ParseInt(query.Get(name), 10, 64)
			*field, errs = &number, append(errs, err)
		}
	}
	if query.Has("sinceTime") {
		at, err := time.Parse(time.RFC3339, query.Get("sinceTime"))
		o.SinceTime, errs = &metav1.Time{Time: at}, append(errs, err)
	}
	return o, errors.Join(errs...)
}
