package dataplane_test

import (
	"fmt"
	"net/http"
	"testing"
)

// enough requests that each of two backends gets some, but for once in 2^63 times.
const enough = 64

// Filters of one of two backends are executed for the requests that are forwarded to it, and only for those. Both get some.
func TestBackendFilters(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		filter string
		want   string // of the responses for the backend with the filter
		// seen is what that backend gets of each request; empty if it gets none.
		seen func(received) string
		got  string
	}{
		"rewritten path": {
			filter: `{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}`,
			want:   "200 changed /new/x?y=z", seen: func(r received) string { return r.url }, got: "/new/x?y=z",
		},
		"rewritten host": {
			filter: `{type: URLRewrite, urlRewrite: {hostname: new.example.com}}`,
			want:   "200 changed /app/x?y=z", seen: func(r received) string { return r.host }, got: "new.example.com",
		},
		"header of the request": {
			filter: `{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: a}]}}`,
			want:   "200 changed /app/x?y=z", seen: func(r received) string { return r.header.Get("X-Set") }, got: "a",
		},
		"redirect": {
			filter: `{type: RequestRedirect, requestRedirect: {scheme: https, hostname: new.example.com, statusCode: 301}}`,
			want:   "301 https://new.example.com/app/x?y=z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain, changed := record(t, "plain"), record(t, "changed")
			port := freePort(t)
			s := play(t, splitFiles(port, plain, changed, test.filter))
			answers := map[string]int{}
			for range enough {
				answer := s.ask(at(port, "/app/x?y=z"))
				answers[fmt.Sprintf("%d %s%s", answer.status, answer.header.Get("Location"), answer.body)]++
			}
			toPlain := answers["200 plain /app/x?y=z"]
			if len(answers) != 2 || toPlain == 0 || answers[test.want] == 0 {
				t.Errorf("answered %v", answers)
			}
			for _, r := range plain.requests() {
				if r.host != "web.example.com" || r.header["X-Set"] != nil {
					t.Errorf("the other backend got %+v", r)
				}
			}
			seen := changed.requests()
			if test.seen == nil && len(seen) != 0 || test.seen != nil && len(seen) != answers[test.want] {
				t.Errorf("%d requests reached the backend, of %d", len(seen), answers[test.want])
			}
			for _, r := range seen {
				if got := test.seen(r); got != test.got {
					t.Errorf("the backend got %q, want %q", got, test.got)
				}
			}
		})
	}
}

// splitFiles are a Gateway and a route that shares the requests for /app out to two backends, the second of which has a filter.
func splitFiles(port string, plain, changed *recorder, filter string) map[string]string {
	return map[string]string{
		"gateway.yaml": gateway(httpListener(port)),
		"plain.yaml":   service("plain", plain.port),
		"changed.yaml": service("changed", changed.port),
		"route.yaml": routeOf("app", `{matches: [{path: {value: /app}}],
    backendRefs: [{name: plain, port: 80}, {name: changed, port: 80, filters: [`+filter+`]}]}`),
	}
}

// Copies are sent of the requests for the backend whose filter says so.
func TestBackendFilterMirror(t *testing.T) {
	t.Parallel()
	plain, mirrored, mirror := record(t, "plain"), record(t, "mirrored"), record(t, "mirror")
	port := freePort(t)
	files := splitFiles(port, plain, mirrored, `{type: RequestMirror, requestMirror: {backendRef: {name: mirror, port: 80}}}`)
	files["mirror.yaml"] = service("mirror", mirror.port)
	s := play(t, files)
	want := map[string]bool{} // paths
	for i := range enough {
		path := fmt.Sprintf("/app/%d", i)
		switch answer := s.ask(at(port, path)); answer.body {
		case "mirrored " + path:
			want[path] = true
		case "plain " + path:
		default:
			t.Errorf("answered %+v", answer)
		}
	}
	if len(want) == 0 || len(want) == enough {
		t.Errorf("%d of %d requests reached the backend that is mirrored", len(want), enough)
	}
	copies := 0
	s.eventually(func() error {
		for _, r := range mirror.requests() {
			if !want[r.url] {
				t.Errorf("a copy too many: %+v", r)
			}
			copies++
		}
		if copies < len(want) {
			return fmt.Errorf("%d of %d requests were mirrored", copies, len(want))
		}
		return nil
	})
}

// Who isn't authorized doesn't reach the backend whose filter asks for it, and the other one as before.
func TestBackendFilterExternalAuth(t *testing.T) {
	t.Parallel()
	plain, guarded := record(t, "plain"), record(t, "guarded")
	auth := recordWith(t, func(w http.ResponseWriter, r received) {
		if r.header.Get("Authorization") != "good" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	port := freePort(t)
	files := splitFiles(port, plain, guarded, `{type: ExternalAuth,
      externalAuth: {protocol: HTTP, http: {}, backendRef: {name: auth, port: 80}}}`)
	files["auth.yaml"] = service("auth", auth.port)
	s := play(t, files)
	for _, test := range []struct{ authorization, guarded string }{{"bad", "401 "}, {"good", "200 guarded /app"}} {
		r := at(port, "/app")
		r.header = http.Header{"Authorization": {test.authorization}}
		answers := map[string]int{}
		for range enough {
			answer := s.ask(r)
			answers[fmt.Sprintf("%d %s", answer.status, answer.body)]++
		}
		if len(answers) != 2 || answers["200 plain /app"] == 0 || answers[test.guarded] == 0 {
			t.Errorf("with Authorization %s, answered %v", test.authorization, answers)
		}
		if got := len(auth.requests()); got != answers[test.guarded] {
			t.Errorf("the authorization server was asked %d times, want %d", got, answers[test.guarded])
		}
	}
}
