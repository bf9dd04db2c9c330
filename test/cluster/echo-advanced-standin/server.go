package main

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

type options struct {
	http, grpc, tcp, tls []int
	cert, key, version   string
}

// serve serves until the context ends.
func serve(ctx context.Context, args []string) error {
	var o options
	flags := pflag.NewFlagSet("echo-advanced-standin", pflag.ContinueOnError)
	flags.IntSliceVar(&o.http, "port", []int{8080}, "ports for HTTP")
	flags.IntSliceVar(&o.grpc, "grpc", []int{7070}, "ports for gRPC")
	flags.IntSliceVar(&o.tcp, "tcp", []int{9090}, "ports for TCP")
	flags.IntSliceVar(&o.tls, "tls", nil, "which of the ports are by TLS")
	flags.StringVar(&o.cert, "crt", "", "file of the certificate for TLS")
	flags.StringVar(&o.key, "key", "", "file of its key")
	flags.StringVar(&o.version, "version", "", "version that answers have in them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown arguments: %s", strings.Join(flags.Args(), " "))
	}
	servers, ctx := errgroup.WithContext(ctx)
	for _, kind := range []struct {
		name   string
		ports  []int
		serve  func(context.Context, net.Listener, endpoint) error
		protos []string
	}{
		{"HTTP", o.http, serveHTTP, []string{"h2", "http/1.1"}},
		{"gRPC", o.grpc, serveGRPC, []string{"h2"}},
		{"TCP", o.tcp, serveTCP, nil},
	} {
		for _, port := range kind.ports {
			listener, err := o.listen(port, kind.protos)
			if err != nil {
				return err
			}
			slog.Info("Serving", "protocol", kind.name, "port", port, "tls", slices.Contains(o.tls, port))
			servers.Go(func() error { return kind.serve(ctx, listener, endpoint{port: port, version: o.version}) })
		}
	}
	return servers.Wait()
}

func (o *options) listen(port int, protocols []string) (net.Listener, error) {
	listener, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil || !slices.Contains(o.tls, port) {
		return listener, err
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if errors.Is(err, fs.ErrNotExist) {
		pair, err = makeCertificate()
	}
	if err != nil {
		return nil, fmt.Errorf("TLS on port %d: %w", port, err)
	}
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: protocols, MinVersion: tls.VersionTLS12}), nil
}

// makeCertificate makes one for this machine's name, since the image that this stands in for has one.
func makeCertificate() (tls.Certificate, error) {
	ca, err := pki.NewCA(pkix.Name{CommonName: "echo-advanced-standin"}, time.Now(), 24*time.Hour)
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, key, err := ca.IssueServer(ownName(), []string{ownName()}, nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// endpoint is a port that is served.
type endpoint struct {
	port    int
	version string
}

func serveHTTP(ctx context.Context, listener net.Listener, e endpoint) error {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: e, Protocols: protocols, ReadHeaderTimeout: time.Minute}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// ServeHTTP implements http.Handler: it answers what the request was.
func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	slog.Info("Request", "method", r.Method, "url", r.RequestURI, "host", r.Host, "from", r.RemoteAddr)
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	negotiated := ""
	if r.TLS != nil {
		negotiated = r.TLS.NegotiatedProtocol
	}
	var b strings.Builder
	writeField(&b, serviceVersion, e.version)
	writeField(&b, servicePort, strconv.Itoa(e.port))
	writeField(&b, host, r.Host)
	writeField(&b, requestURL, r.RequestURI)
	writeField(&b, method, r.Method)
	writeField(&b, protocol, r.Proto)
	writeField(&b, requesterIP, from)
	writeField(&b, alpn, negotiated)
	writeHeaders(&b, "", requestHeader, r.Header)
	writeField(&b, hostname, ownName())
	w.Header().Set("Content-Type", "application/text")
	if _, err := io.WriteString(w, b.String()); err != nil {
		slog.Warn("Answering", "err", err)
	}
}

func serveGRPC(ctx context.Context, listener net.Listener, e endpoint) error {
	server := grpc.NewServer()
	server.RegisterService(&echoService, e)
	healthv1.RegisterHealthServer(server, health.NewServer())
	defer context.AfterFunc(ctx, server.Stop)()
	return server.Serve(listener)
}

// Echo answers what the request was.
func (e endpoint) Echo(ctx context.Context, request *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	received, _ := metadata.FromIncomingContext(ctx)
	header := http.Header{}
	for key, values := range received {
		if !strings.HasSuffix(key, "-bin") {
			header[key] = values
		}
	}
	from := ""
	if p, ok := peer.FromContext(ctx); ok {
		from, _, _ = net.SplitHostPort(p.Addr.String())
	}
	slog.Info("Call", "host", header[":authority"], "from", from)
	var b strings.Builder
	for _, authority := range header[":authority"] {
		writeField(&b, host, authority)
	}
	writeHeaders(&b, "", requestHeader, header)
	// The suite wants the status of HTTP.
	writeField(&b, statusCode, strconv.Itoa(http.StatusOK))
	writeField(&b, serviceVersion, e.version)
	writeField(&b, servicePort, strconv.Itoa(e.port))
	writeField(&b, requesterIP, from)
	writeField(&b, protocol, "GRPC")
	writeField(&b, "Echo", request.GetValue())
	writeField(&b, hostname, ownName())
	return wrapperspb.String(b.String()), nil
}

func serveTCP(ctx context.Context, listener net.Listener, e endpoint) error {
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		go func() {
			defer conn.Close()
			if err := e.echo(conn); err != nil {
				slog.Warn("TCP", "from", conn.RemoteAddr(), "err", err)
			}
		}()
	}
}

// echo answers a message, and ends.
func (e endpoint) echo(conn net.Conn) error {
	message := make([]byte, 4096)
	n, err := conn.Read(message)
	if err != nil {
		return err
	}
	slog.Info("Message", "from", conn.RemoteAddr())
	from, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
	var b strings.Builder
	writeField(&b, statusCode, strconv.Itoa(http.StatusOK))
	writeField(&b, serviceVersion, e.version)
	writeField(&b, servicePort, strconv.Itoa(e.port))
	writeField(&b, requesterIP, from)
	writeField(&b, protocol, "TCP")
	writeField(&b, hostname, ownName())
	b.Write(message[:n])
	_, err = io.WriteString(conn, b.String())
	return err
}
