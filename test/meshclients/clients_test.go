package meshclients

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gateway-apiserver/gateway-apiserver/test/standalone"
)

var (
	grpcio = flag.String("grpcio", "", "the `folder` with what debian.sh has fetched: gRPC's C++ core, for Python")
	grpcJS = flag.String("grpc-js", "", "the `folder` into which npm has installed package-lock.json")
)

func TestMain(m *testing.M) { standalone.Main(m) }

// client is who makes calls.
type client struct {
	name string
	// start returns what makes calls for a workload in a namespace, one after the other, and says what came of each.
	start func(t *testing.T, s *scene, namespace string) func([]request) ([]answer, error)
}

// clients are all that are tested. What they can't do is in the files, call by call, and in README.md.
var clients = []client{
	{"grpc-go", startGo},
	{"grpc-core", startPython},
	{"grpc-js", startJS},
	{"sidecar", startSidecar},
}

// request is a call, as it is written to clients that are processes.
type request struct {
	Host     string      `json:"host"`   // service.namespace:port
	Method   string      `json:"method"` // /service/method
	Metadata [][2]string `json:"metadata"`
}

// answer is what came of a call, as it is read from clients that are processes.
type answer struct {
	Backend string `json:"backend,omitempty"` // the name that it answered
	Code    string `json:"code,omitempty"`    // otherwise the status, as gRPC names it
	Message string `json:"message,omitempty"`
}

// manyCalls are made where more than one outcome is expected. With three of them at equal odds, one doesn't show in 1 of 10^17
// runs; with one at odds of 1 to 3, in 1 of 10^12.
const manyCalls = 100

func TestClients(t *testing.T) {
	t.Parallel()
	scenarios := readScenarios(t)
	s := play(t, scenarios)
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, namespace := range namespaces(scenarios) {
				s.ask(t, c, namespace, scenarios)
			}
		})
	}
}

// namespaces are those that calls are made from.
func namespaces(scenarios []*scenario) []string {
	var all []string
	for _, sc := range scenarios {
		for _, c := range sc.calls {
			all = append(all, c.from)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ask has a client in a namespace make the calls that are made from there, and compares what comes of them.
func (s *scene) ask(t *testing.T, c client, namespace string, scenarios []*scenario) {
	var requests []request
	var tries []string // by request, what the backends know it by
	for _, sc := range scenarios {
		for _, call := range sc.from(namespace) {
			for range call.times(c.name) {
				id := fmt.Sprintf("%s/%s/%d", c.name, namespace, len(requests))
				requests = append(requests, request{
					Host: call.service + "." + sc.name + call.domain + call.port, Method: call.method,
					Metadata: append(slices.Clone(call.metadata), [2]string{callHeader, id}),
				})
				tries = append(tries, id)
			}
		}
	}
	answers, err := c.start(t, s, namespace)(requests)
	if err != nil {
		t.Fatalf("after %d of %d calls from %s: %v", len(answers), len(requests), namespace, err)
	}
	for _, sc := range scenarios {
		calls := sc.from(namespace)
		if len(calls) == 0 {
			continue
		}
		t.Run(sc.name+elsewhere+namespace, func(t *testing.T) {
			for _, call := range calls {
				var outcomes, messages []string
				for range call.times(c.name) {
					outcomes = append(outcomes, s.backends.outcome(answers[0], tries[0]))
					messages = append(messages, answers[0].Message)
					answers, tries = answers[1:], tries[1:]
				}
				if got, want := join(outcomes), call.want(c.name); got != want {
					t.Errorf("%s: got %s, want %s (%s)", call.text, got, want, join(messages))
				}
			}
		})
	}
}

// join returns the different ones of many outcomes.
func join(outcomes []string) string {
	slices.Sort(outcomes)
	return strings.Join(slices.Compact(outcomes), or)
}
