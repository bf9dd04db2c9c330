package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	xdscredentials "google.golang.org/grpc/credentials/xds"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	_ "google.golang.org/grpc/xds" // the resolver
)

// request is what the client sends, again and again.
type request struct {
	url             *url.URL
	method, message string
	host            string // "" for that of the URL
	header          http.Header
	http2, follow   bool
	tls             *tls.Config
}

// send sends requests one after the other, and prints the answers, each followed by an empty line. It ends with the first
// request that is not answered.
func send(ctx context.Context, args []string) error {
	r := request{header: http.Header{}}
	var headers []string
	var count int
	var timeout time.Duration
	var ca string
	flags := pflag.NewFlagSet("client", pflag.ContinueOnError)
	flags.IntVar(&count, "count", 1, "how many requests to send")
	flags.DurationVar(&timeout, "timeout", 5*time.Second, "how long each may take")
	flags.StringArrayVarP(&headers, "header", "H", nil, "header, as Name:value; Host is the authority")
	flags.StringVar(&r.method, "method", http.MethodGet, "method of HTTP")
	flags.StringVar(&r.message, "msg", "HelloWorld", "message of gRPC and TCP")
	flags.BoolVar(&r.http2, "http2", false, "send HTTP/2, with prior knowledge if not by TLS")
	flags.BoolVarP(&r.follow, "follow-redirects", "L", false, "follow redirects")
	flags.StringVar(&ca, "ca", "", "file of the CA of servers, instead of the machine's CAs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return fmt.Errorf("the client takes one URL, not %q", flags.Args())
	}
	var err error
	if r.url, err = url.Parse(flags.Arg(0)); err != nil {
		return err
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return fmt.Errorf("%q is not Name:value", h)
		}
		value = strings.TrimSpace(value)
		if strings.EqualFold(name, host) {
			r.host = value
			continue
		}
		r.header[name] = append(r.header[name], value)
	}
	if r.tls, err = clientTLS(ca); err != nil {
		return err
	}
	one, err := r.client()
	if err != nil {
		return err
	}
	for i := range count {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		answer, err := one(ctx, i)
		cancel()
		if err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		if _, err := fmt.Println(answer); err != nil {
			return err
		}
	}
	return nil
}

func clientTLS(ca string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca == "" {
		return config, nil
	}
	data, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("%s has no certificate", ca)
	}
	return config, nil
}

// client returns what sends one request and returns what to print.
func (r *request) client() (func(context.Context, int) (string, error), error) {
	switch r.url.Scheme {
	case "http", "https":
		return r.httpClient(), nil
	case "grpc", "grpcs":
		return r.grpcClient()
	case "tcp", "tls":
		return r.tcpClient(), nil
	}
	return nil, fmt.Errorf("unknown scheme %q", r.url.Scheme)
}

func (r *request) httpClient() func(context.Context, int) (string, error) {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(!r.http2)
	protocols.SetHTTP2(r.http2)
	protocols.SetUnencryptedHTTP2(r.http2)
	config := r.tls.Clone()
	config.ServerName, _, _ = strings.Cut(r.host, ":")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, Protocols: protocols}}
	if !r.follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return func(ctx context.Context, id int) (string, error) {
		q, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), nil)
		if err != nil {
			return "", err
		}
		q.Header = r.header.Clone()
		q.Header.Set("X-Request-Id", strconv.Itoa(id))
		q.Host = r.host
		answer, err := client.Do(q)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			return "", err
		}
		b := r.begin(id)
		fmt.Fprintf(b, "[%d] ", id)
		writeField(b, statusCode, strconv.Itoa(answer.StatusCode))
		writeHeaders(b, fmt.Sprintf("[%d] ", id), responseHeader, answer.Header)
		writeBody(b, id, string(body))
		return b.String(), nil
	}
}

func (r *request) grpcClient() (func(context.Context, int) (string, error), error) {
	target, security := "dns:///"+r.url.Host, insecure.NewCredentials()
	if r.url.Scheme == "grpcs" {
		security = credentials.NewTLS(r.tls)
	}
	if os.Getenv("GRPC_XDS_BOOTSTRAP") != "" {
		name, err := wholeName(r.url.Host)
		if err != nil {
			return nil, err
		}
		target = "xds:///" + name
		if security, err = xdscredentials.NewClientCredentials(xdscredentials.ClientOptions{FallbackCreds: security}); err != nil {
			return nil, err
		}
	}
	dial := []grpc.DialOption{grpc.WithTransportCredentials(security)}
	if r.host != "" {
		dial = append(dial, grpc.WithAuthority(r.host))
	}
	conn, err := grpc.NewClient(target, dial...)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, id int) (string, error) {
		sent := metadata.Pairs("x-request-id", strconv.Itoa(id))
		for name, values := range r.header {
			sent.Append(name, values...)
		}
		answer, header := &wrapperspb.StringValue{}, metadata.MD{}
		if err := conn.Invoke(metadata.NewOutgoingContext(ctx, sent), echoMethod, wrapperspb.String(r.message), answer, grpc.Header(&header)); err != nil {
			return "", err
		}
		b := r.begin(id)
		writeBody(b, id, answer.GetValue())
		writeHeaders(b, fmt.Sprintf("[%d] ", id), responseHeader, http.Header(header))
		return b.String(), nil
	}, nil
}

// wholeName appends the first search domain to the host of a HOST:PORT that has no dot.
func wholeName(target string) (string, error) {
	name, port, err := net.SplitHostPort(target)
	if err != nil || strings.Contains(name, ".") {
		return target, err
	}
	file, err := os.Open("/etc/resolv.conf")
	if err != nil {
		return "", err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 1 && fields[0] == "search" {
			return net.JoinHostPort(name+"."+fields[1], port), nil
		}
	}
	return target, lines.Err()
}

func (r *request) tcpClient() func(context.Context, int) (string, error) {
	dial := (&net.Dialer{}).DialContext
	if r.url.Scheme == "tls" {
		dial = (&tls.Dialer{Config: r.tls}).DialContext
	}
	return func(ctx context.Context, id int) (string, error) {
		conn, err := dial(ctx, "tcp", r.url.Host)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			if err := conn.SetDeadline(deadline); err != nil {
				return "", err
			}
		}
		if _, err := io.WriteString(conn, r.message+"\n"); err != nil {
			return "", err
		}
		answer, err := io.ReadAll(conn)
		if err != nil {
			return "", err
		}
		if !strings.Contains(string(answer), statusCode+"=200") {
			return "", errors.New("the answer is not that of an echo server")
		}
		b := r.begin(id)
		writeBody(b, id, string(answer))
		return b.String(), nil
	}
}

// begin begins what is printed of an answer.
func (r *request) begin(id int) *strings.Builder {
	b := &strings.Builder{}
	fmt.Fprintf(b, "[%d] ", id)
	writeField(b, "Url", r.url.String())
	return b
}

func writeBody(b *strings.Builder, id int, body string) {
	for line := range strings.Lines(body) {
		if line = strings.TrimSuffix(line, "\n"); line != "" {
			fmt.Fprintf(b, "[%d body] %s\n", id, line)
		}
	}
}
