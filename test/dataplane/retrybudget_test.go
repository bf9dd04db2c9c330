package dataplane_test

import (
	"net/http"
	"testing"
)

// A retry budget limits how many retries are under way; a request beyond it is answered with what its first try was.
func TestRetryBudget(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		constraint string
		second     string // the answer to a request while another one is being retried
	}{
		"spent":     {`{budget: {percent: 0}, minRetryRate: {count: 1, interval: 1s}}`, "503 try 1"},
		"at least":  {`{budget: {percent: 0}, minRetryRate: {count: 2, interval: 1s}}`, "200 try 2"},
		"a percent": {`{budget: {percent: 100, interval: 1h}, minRetryRate: {count: 1, interval: 1s}}`, "200 try 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			retried, release := make(chan struct{}), make(chan struct{})
			tries := make(chan map[string]int, 1) // by path
			tries <- map[string]int{}
			app := recordWith(t, func(w http.ResponseWriter, r received) {
				m := <-tries
				m[r.url]++
				n := m[r.url]
				tries <- m
				switch {
				case n == 1:
					w.WriteHeader(http.StatusServiceUnavailable)
				case r.url == "/first":
					close(retried)
					<-release
				}
				_, _ = w.Write([]byte{'t', 'r', 'y', ' ', byte('0' + n)}) // the test reads it
			})
			port := freePort(t)
			s := play(t, map[string]string{
				"gateway.yaml": gateway(httpListener(port)),
				"app.yaml":     service("app", app.port),
				"policy.yaml":  policy("app", "retryConstraint: "+test.constraint),
				"route.yaml":   routeOf("app", `{retry: {codes: [503], attempts: 1}, backendRefs: [{name: app, port: 80}]}`),
			})
			first := make(chan error, 1)
			go func() { first <- at(port, "/first").wants(t.Context(), "200 try 2") }()
			select {
			case <-retried:
			case err := <-first:
				t.Fatalf("the first request wasn't retried: %v", err)
			}
			second := at(port, "/second").wants(t.Context(), test.second)
			close(release)
			if second != nil {
				t.Error(second)
			}
			if err := <-first; err != nil {
				t.Error(err)
			}
			// It is there again.
			s.answers("200 try 2", at(port, "/third"))
		})
	}
}
