package hcm_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// authRoute asks an authorization server, whose settings are given in the form of a flow mapping without its braces.
func authRoute(settings string) string {
	return `
  - match: {prefix: /}
    route: {cluster: backend}
    typedPerFilterConfig:
      envoy.filters.http.ext_authz:
        "@type": type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute
        xdsMatcher:
          onNoMatch:
            action:
              name: composite-action
              typedConfig:
                "@type": type.googleapis.com/envoy.extensions.filters.http.composite.v3.ExecuteFilterAction
                typedConfig:
                  name: envoy.filters.http.ext_authz
                  typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz,
                    transportApiVersion: V3, validateMutations: true, ` + settings + `}
`
}

const grpcAuth = "grpcService: {envoyGrpc: {clusterName: auth, authority: auth.example}, timeout: 10s}"

// authServer answers as the test says.
type authServer struct {
	authv3.UnimplementedAuthorizationServer
	mu     sync.Mutex
	asked  *authv3.AttributeContext_Request
	answer *authv3.CheckResponse
}

func (s *authServer) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = r.GetAttributes().GetRequest()
	if s.answer == nil {
		return nil, io.ErrUnexpectedEOF
	}
	return s.answer, nil
}

func (s *authServer) set(answer *authv3.CheckResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.answer = nil, answer
}

// last returns what the server was asked last; nil if nothing.
func (s *authServer) last() *authv3.AttributeContext_HttpRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked.GetHttp()
}

func newAuthServer(t *testing.T, g *gateway) *authServer {
	t.Helper()
	s := &authServer{}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, s)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // calls fail if it does
	t.Cleanup(server.Stop)
	g.cluster("auth", []string{listener.Addr().String()}, http2Cluster)
	return s
}

func headerOption(key, value string, appended *wrapperspb.BoolValue) *corev3.HeaderValueOption {
	//lint:ignore SA1019 servers use it
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: key, Value: value}, Append: appended}
}

func ok(ok *authv3.OkHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok}}
}

func denied(denied *authv3.DeniedHttpResponse) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &rpcstatus.Status{Code: 7}, HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}
}

func TestAuthGRPC(t *testing.T) {
	t.Parallel()
	g := newGateway(t, authRoute(grpcAuth))
	server := newAuthServer(t, g)
	g.cluster("backend", []string{backend(t, echo)})
	for name, test := range map[string]struct {
		answer *authv3.CheckResponse
		status int
		body   string
		path   string
		header []string // that the backend sees
		reply  []string
	}{
		"allowed": {answer: ok(nil), status: 200, header: []string{"X-A: 1", "X-Gone: 1"}},
		"changed": {
			answer: ok(&authv3.OkHttpResponse{
				Headers:              []*corev3.HeaderValueOption{headerOption("x-a", "2", nil), headerOption("x-new", "3", nil), headerOption("x-b", "5", wrapperspb.Bool(true)), headerOption("x-no", "6", wrapperspb.Bool(true))},
				HeadersToRemove:      []string{"x-gone", "host", ":path"},
				ResponseHeadersToAdd: []*corev3.HeaderValueOption{headerOption("x-r", "7", nil)},
				QueryParametersToSet: []*corev3.QueryParameter{{Key: "c", Value: "9"}}, QueryParametersToRemove: []string{"d"},
			}),
			status: 200, path: "/a?b=1&c=9",
			header: []string{"X-A: 2", "X-New: 3", "X-B: 4,5", "X-No", "X-Gone"}, reply: []string{"X-R: 7"},
		},
		"denied": {answer: denied(nil), status: 403, reply: []string{"Content-Type"}},
		"denied in words": {
			answer: denied(&authv3.DeniedHttpResponse{
				Status: &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized}, Body: "who are you?",
				Headers: []*corev3.HeaderValueOption{headerOption("www-authenticate", "Basic", nil), headerOption("set-cookie", "a", nil), headerOption("set-cookie", "b", nil)},
			}),
			status: 401, body: "who are you?", reply: []string{"Www-Authenticate: Basic", "Set-Cookie: a,b", "Content-Type: text/plain"},
		},
		"failed":         {answer: nil, status: 403},
		"invalid header": {answer: ok(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{headerOption("x-a", "a\nb", nil)}}), status: 500},
		"invalid name":   {answer: ok(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{headerOption("x a", "a", nil)}}), status: 500},
		"invalid denial": {answer: denied(&authv3.DeniedHttpResponse{Headers: []*corev3.HeaderValueOption{headerOption("x a", "a", nil)}}), status: 500},
		"invalid query":  {answer: ok(&authv3.OkHttpResponse{QueryParametersToSet: []*corev3.QueryParameter{{Key: "a b", Value: "c"}}}), status: 500},
		"pseudo headers": {answer: ok(&authv3.OkHttpResponse{Headers: []*corev3.HeaderValueOption{headerOption(":path", "/new", nil)}}), status: 200, path: "/new"},
	} {
		t.Run(name, func(t *testing.T) { // they share the server
			server.set(test.answer)
			got := g.do(g.request(http.MethodGet, "/a?b=1&c=2&d=3", nil, "X-A: 1", "X-B: 4", "X-Gone: 1"))
			if got.StatusCode != test.status || test.status != 200 && got.body != test.body {
				t.Fatalf("got %s %q, want %d %q", got.Status, got.body, test.status, test.body)
			}
			for _, want := range test.reply {
				checkHeader(t, got.Header, want)
			}
			if test.status != 200 {
				return
			}
			seen := got.seen(t)
			if test.path != "" && seen.Target != test.path {
				t.Errorf("the backend sees %s, want %s", seen.Target, test.path)
			}
			for _, want := range test.header {
				checkHeader(t, seen.Header, want)
			}
		})
	}
}

// TestAuthRequest: what a server is told.
func TestAuthRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings string
		body     string
		status   int
		told     string // body
		header   []string
	}{
		"all headers": {settings: grpcAuth, body: "hello", status: 200, header: []string{":authority", ":method", ":path", ":scheme", "x-a", "x-b", "content-length"}},
		"some headers": {
			settings: grpcAuth + `, allowedHeaders: {patterns: [{exact: x-a}, {exact: "x-request-id"}]}`, body: "hello", status: 200,
			header: []string{"x-a", "x-request-id"},
		},
		"body": {
			settings: grpcAuth + `, withRequestBody: {maxRequestBytes: 5}, allowedHeaders: {patterns: [{exact: x-a}]}`, body: "hello", status: 200,
			told: "hello", header: []string{"x-a", "x-envoy-auth-partial-body"},
		},
		"no body": {
			settings: grpcAuth + `, withRequestBody: {maxRequestBytes: 5}, allowedHeaders: {patterns: [{exact: x-a}]}`, status: 200, header: []string{"x-a"},
		},
		"too large a body": {settings: grpcAuth + `, withRequestBody: {maxRequestBytes: 4}`, body: "hello", status: 413},
		"part of the body": {
			settings: grpcAuth + `, withRequestBody: {maxRequestBytes: 4, allowPartialMessage: true}`, body: "hello", status: 200, told: "hell",
			header: []string{"x-envoy-auth-partial-body"},
		},
		"larger than what is kept": {
			settings: grpcAuth + `, withRequestBody: {maxRequestBytes: 100000}`, body: strings.Repeat("a", 100000), status: 200,
			told: strings.Repeat("a", 100000),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, authRoute(test.settings))
			server := newAuthServer(t, g)
			server.set(ok(nil))
			g.cluster("backend", []string{backend(t, func(w http.ResponseWriter, r *http.Request) {
				data, _ := io.ReadAll(r.Body) // what is missing, the test sees
				_, _ = w.Write(data)
			})})
			got := g.do(g.request(http.MethodPost, "/a//b?c", strings.NewReader(test.body), "X-A: 1", "X-B: 2"))
			if got.StatusCode != test.status || test.status == 200 && got.body != test.body {
				t.Fatalf("got %s and a body of %d bytes, want %d", got.Status, len(got.body), test.status)
			}
			asked := server.last()
			if test.status != 200 {
				if asked != nil || got.body != "Payload Too Large" {
					t.Errorf("got %q, asked %v", got.body, asked)
				}
				return
			}
			if asked.GetMethod() != "POST" || asked.GetPath() != "/a/b?c" || asked.GetHost() != g.address || asked.GetScheme() != "http" || asked.GetProtocol() != "HTTP/1.1" {
				t.Errorf("asked of %v", asked)
			}
			if asked.GetBody() != test.told {
				t.Errorf("told a body of %d bytes, want %d", len(asked.GetBody()), len(test.told))
			}
			all := strings.Contains(name, "some") || strings.Contains(name, "body") && !strings.Contains(name, "part")
			for _, want := range test.header {
				if _, known := asked.GetHeaders()[want]; !known {
					t.Errorf("not told %s: %v", want, asked.GetHeaders())
				}
			}
			if all && len(asked.GetHeaders()) != len(test.header) {
				t.Errorf("told %v, want only %v", asked.GetHeaders(), test.header)
			}
		})
	}
}

func TestAuthFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings string
		status   int
		header   string
	}{
		"default":          {grpcAuth, 403, ""},
		"another status":   {grpcAuth + ", statusOnError: {code: 503}", 503, ""},
		"allowed":          {grpcAuth + ", failureModeAllow: true", 200, "X-Envoy-Auth-Failure-Mode-Allowed"},
		"allowed and said": {grpcAuth + ", failureModeAllow: true, failureModeAllowHeaderAdd: true", 200, "X-Envoy-Auth-Failure-Mode-Allowed: true"},
		"timeout":          {"grpcService: {envoyGrpc: {clusterName: stuck}, timeout: 0.05s}", 403, ""},
		"no cluster":       {"grpcService: {envoyGrpc: {clusterName: unknown}}", 403, ""},
		"HTTP":             {"httpService: {serverUri: {uri: 'http://a', cluster: auth, timeout: 1s}}", 403, ""},
		"HTTP, timeout":    {"httpService: {serverUri: {uri: 'http://a', cluster: stuck1, timeout: 0.05s}}", 403, ""},
		"HTTP, 500":        {"httpService: {serverUri: {uri: 'http://a', cluster: broken, timeout: 1s}}", 403, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, authRoute(test.settings))
			g.cluster("auth", []string{refused(t)}, http2Cluster)
			address, _ := stuck(t)
			g.cluster("stuck", []string{address}, http2Cluster)
			g.cluster("stuck1", []string{address})
			g.cluster("broken", []string{backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })})
			g.cluster("backend", []string{backend(t, echo)})
			got := g.get("/")
			if got.StatusCode != test.status {
				t.Fatalf("got %s, want %d", got.Status, test.status)
			}
			if test.header != "" {
				checkHeader(t, got.seen(t).Header, test.header)
			}
		})
	}
}

func TestAuthHTTP(t *testing.T) {
	t.Parallel()
	const settings = `httpService: {serverUri: {uri: 'http://auth', cluster: auth, timeout: 10s}, pathPrefix: /check,
		authorizationResponse: {allowedUpstreamHeaders: {patterns: [{exact: x-user}]}}}, allowedHeaders: {patterns: [{exact: x-a}]}`
	for name, test := range map[string]struct {
		settings string
		handler  http.HandlerFunc
		status   int
		body     string
		backend  []string
		reply    []string
	}{
		"allowed": {settings: settings, handler: func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "POST" || r.RequestURI != "/check/a?b" || r.Host != "example.com" {
				http.Error(w, fmt.Sprint(r.Method, r.RequestURI, r.Host), http.StatusBadRequest)
				return
			}
			var names []string
			for name := range r.Header {
				names = append(names, name)
			}
			slices.Sort(names)
			data, _ := io.ReadAll(r.Body) // there is none
			w.Header().Set("X-User", fmt.Sprint(names, len(data)))
			w.Header().Set("X-Other", "1")
			w.Header().Set("X-Envoy-Auth-Headers-To-Remove", "authorization, x-c")
		}, status: 200, backend: []string{
			"X-User: [Authorization Content-Length X-A X-Envoy-Internal X-Forwarded-For] 0", "X-Other", "Authorization", "X-C", "X-A: 1",
		}},
		"body": {settings: settings + ", withRequestBody: {maxRequestBytes: 100}", handler: func(w http.ResponseWriter, r *http.Request) {
			data, _ := io.ReadAll(r.Body) // what is missing, the test sees
			w.Header().Set("X-User", string(data)+r.Header.Get("X-Envoy-Auth-Partial-Body"))
		}, status: 200, backend: []string{"X-User: hellofalse"}},
		"denied": {settings: settings, handler: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://login")
			w.Header().Set("X-User", "nobody")
			w.WriteHeader(http.StatusFound)
			_, _ = io.WriteString(w, "who?")
		}, status: 302, body: "who?", reply: []string{"Location: http://login", "X-User: nobody"}},
		"another success": {settings: settings, handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, status: 202},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, authRoute(test.settings))
			g.cluster("auth", []string{backend(t, test.handler)})
			g.cluster("backend", []string{backend(t, echo)})
			r := g.request(http.MethodPost, "/a?b", strings.NewReader("hello"), "X-A: 1", "X-C: 1", "Authorization: a", "X-B: 1")
			r.Host = "example.com"
			got := g.do(r)
			if got.StatusCode != test.status || test.body != "" && got.body != test.body {
				t.Fatalf("got %s %q, want %d %q", got.Status, got.body, test.status, test.body)
			}
			for _, want := range test.reply {
				checkHeader(t, got.Header, want)
			}
			for _, want := range test.backend {
				checkHeader(t, got.seen(t).Header, want)
			}
		})
	}
}
