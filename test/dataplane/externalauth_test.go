package dataplane_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// An HTTP authorization server is told what the filter allows, refuses in its own words, and its headers reach the backend.
func TestExternalAuthHTTP(t *testing.T) {
	t.Parallel()
	app := record(t, "app")
	auth := recordWith(t, func(w http.ResponseWriter, r received) {
		switch r.header.Get("Authorization") {
		case "good":
			w.Header().Set("X-User", "alice")
			w.Header().Set("X-Internal", "secret")
		case "broken":
			w.WriteHeader(http.StatusInternalServerError)
		default:
			w.Header().Set("Www-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte("who are you?")) // to a recorder, of which the test is the client
		}
	})
	port := freePort(t)
	s := play(t, map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"app.yaml":     service("app", app.port),
		"auth.yaml":    service("auth", auth.port),
		"route.yaml": routeOf("app", `{backendRefs: [{name: app, port: 80}], filters: [{type: ExternalAuth, externalAuth: {
    protocol: HTTP, backendRef: {name: auth, port: 80}, forwardBody: {maxSize: 8},
    http: {path: /check, allowedHeaders: [X-Tenant], allowedResponseHeaders: [X-User]}}}]}`),
	})
	r := at(port, "/x?y=z")
	r.method, r.body = http.MethodPost, "hello"
	r.header = http.Header{"Authorization": {"good"}, "X-Tenant": {"t"}, "X-Other": {"o"}, "X-User": {"mallory"}}

	s.answers("200 app /x?y=z", r)
	asked := auth.one(t)
	if asked.method != http.MethodPost || asked.host != "web.example.com" || asked.url != "/check/x?y=z" || asked.body != "hello" {
		t.Errorf("the authorization server was asked %+v", asked)
	}
	if asked.header.Get("X-Tenant") != "t" || asked.header["X-Other"] != nil || asked.header["X-User"] != nil {
		t.Errorf("the authorization server was told %v", asked.header)
	}
	forwarded := app.one(t)
	if got := forwarded.header["X-User"]; !slices.Equal(got, []string{"alice"}) {
		t.Errorf("the backend was told of the user %q", got)
	}
	if forwarded.header["X-Internal"] != nil || forwarded.header.Get("X-Other") != "o" || forwarded.body != "hello" {
		t.Errorf("the backend got %+v", forwarded)
	}

	r.header.Set("Authorization", "bad")
	if denied := s.ask(r); denied.status != http.StatusUnauthorized || denied.body != "who are you?" ||
		denied.header.Get("Www-Authenticate") != "Basic" {
		t.Errorf("a request that isn't authorized was answered %+v", denied)
	}
	r.header.Set("Authorization", "broken")
	s.answers("403", r)
	auth.requests()
	r.header.Set("Authorization", "good")
	r.body = "too large"
	if answer := s.ask(r); answer.status != http.StatusRequestEntityTooLarge {
		t.Errorf("a request with a large body was answered %+v", answer)
	}
	if got := auth.requests(); len(got) != 0 {
		t.Errorf("the authorization server was asked for a body that is too large: %v", got)
	}
	r.body = ""
	s.apply("auth.yaml", service("auth", freePort(t)))
	s.becomes("403", r)
	s.apply("auth.yaml", service("auth"))
	s.becomes("403", r)
	app.requests()
	s.answers("403", r)
	s.remove("auth.yaml")
	s.becomes("500", r)
	if got := app.requests(); len(got) != 0 {
		t.Errorf("requests that nobody has authorized reached the backend: %v", got)
	}
}

// Without lists, the authorization server is told the few headers that it always is, no body, and all of its headers are copied.
func TestExternalAuthHTTPDefaults(t *testing.T) {
	t.Parallel()
	app := record(t, "app")
	auth := recordWith(t, func(w http.ResponseWriter, _ received) {
		w.Header().Set("X-User", "alice")
		w.Header().Set("X-Groups", "staff")
	})
	port := freePort(t)
	s := play(t, map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"app.yaml":     service("app", app.port),
		"auth.yaml":    service("auth", auth.port),
		"route.yaml": routeOf("app", `{backendRefs: [{name: app, port: 80}], filters: [{type: ExternalAuth, externalAuth: {
    protocol: HTTP, backendRef: {name: auth, port: 80}, http: {}}}]}`),
	})
	r := at(port, "/x")
	r.method, r.body = http.MethodPost, "hello"
	r.header = http.Header{"Authorization": {"good"}, "Cookie": {"a=b"}}
	s.answers("200 app /x", r)
	if asked := auth.one(t); asked.url != "/x" || asked.body != "" ||
		asked.header.Get("Authorization") != "good" || asked.header["Cookie"] != nil {
		t.Errorf("the authorization server was asked %+v", asked)
	}
	forwarded := app.one(t)
	if forwarded.host != "web.example.com" || forwarded.body != "hello" || forwarded.header.Get("X-User") != "alice" ||
		forwarded.header.Get("X-Groups") != "staff" {
		t.Errorf("the backend got %+v", forwarded)
	}
}

// authorizer is an authorization server of Envoy's protocol, which keeps what it was told of the last request.
type authorizer struct {
	authv3.UnimplementedAuthorizationServer
	mu   sync.Mutex
	told *authv3.AttributeContext_HttpRequest
}

// Check lets those pass whose Authorization is good.
func (a *authorizer) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told = r.GetAttributes().GetRequest().GetHttp()
	if a.told.GetHeaders()["authorization"] != "good" {
		return &authv3.CheckResponse{
			Status: &statusv3.Status{Code: int32(codes.PermissionDenied)},
			HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
				Status:  &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized},
				Headers: []*corev3.HeaderValueOption{headerOption("Www-Authenticate", "Basic")},
				Body:    "who are you?",
			}},
		}, nil
	}
	return &authv3.CheckResponse{
		Status: &statusv3.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers:              []*corev3.HeaderValueOption{headerOption("X-User", "alice")},
			HeadersToRemove:      []string{"authorization"},
			ResponseHeadersToAdd: []*corev3.HeaderValueOption{headerOption("X-Checked", "yes")},
		}},
	}, nil
}

// last returns what the server was told of the last request.
func (a *authorizer) last() *authv3.AttributeContext_HttpRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.told
}

func headerOption(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}}
}

// A gRPC authorization server is told of all headers or those that the filter lists, and what it answers is done.
func TestExternalAuthGRPC(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	auth, server := &authorizer{}, grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, auth)
	go func() { _ = server.Serve(l) }() // until it is stopped
	t.Cleanup(server.Stop)

	app := record(t, "app")
	port := freePort(t)
	authorized := func(settings string) string {
		return routeOf("app", `{backendRefs: [{name: app, port: 80}], filters: [{type: ExternalAuth, externalAuth: {
    protocol: GRPC, backendRef: {name: auth, port: 80}, `+settings+`}}]}`)
	}
	s := play(t, map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"app.yaml":     service("app", app.port),
		"auth.yaml":    service("auth", portOf(l)),
		"route.yaml":   authorized("grpc: {}, forwardBody: {maxSize: 8}"),
	})
	r := at(port, "/x?y=z")
	r.method, r.body = http.MethodPost, "hello"
	r.header = http.Header{"Authorization": {"good"}, "X-Other": {"o"}}

	if answer := s.ask(r); answer.status != http.StatusOK || answer.header.Get("X-Checked") != "yes" {
		t.Errorf("an authorized request was answered %+v", answer)
	}
	if told := auth.last(); told.GetMethod() != http.MethodPost || told.GetHost() != "web.example.com" || told.GetPath() != "/x?y=z" ||
		told.GetBody() != "hello" || told.GetHeaders()["x-other"] != "o" {
		t.Errorf("the authorization server was told %v", told)
	}
	if got := app.one(t); got.body != "hello" || got.header.Get("X-User") != "alice" || got.header["Authorization"] != nil {
		t.Errorf("the backend got %+v", got)
	}
	r.header.Set("Authorization", "bad")
	if denied := s.ask(r); denied.status != http.StatusUnauthorized || denied.body != "who are you?" ||
		denied.header.Get("Www-Authenticate") != "Basic" {
		t.Errorf("a request that isn't authorized was answered %+v", denied)
	}

	r.header.Set("Authorization", "good")
	s.apply("route.yaml", authorized("grpc: {allowedHeaders: [Authorization]}"))
	s.eventually(func() error {
		if err := r.wants(t.Context(), "200 app /x?y=z"); err != nil {
			return err
		}
		if told := auth.last(); !slices.Equal(slices.Collect(maps.Keys(told.GetHeaders())), []string{"authorization"}) || told.GetBody() != "" {
			return fmt.Errorf("the authorization server was told %v", told)
		}
		return nil
	})
	app.requests()
	server.Stop()
	s.answers("403", r)
	if got := app.requests(); len(got) != 0 {
		t.Errorf("requests that nobody has authorized reached the backend: %v", got)
	}
}
