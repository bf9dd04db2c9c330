package ads

import (
	"cmp"
	"log/slog"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// recorder is a handler that tells what it was told, as "Type +set@version -removed" or "Type malformed".
type recorder struct {
	told  chan string
	judge func(Update) error // nil: everything is good
}

// Update implements Handler.
func (r recorder) Update(u Update) error {
	parts := []string{TypeName(u.TypeURL)}
	slices.SortFunc(u.Set, func(a, b Resource) int { return cmp.Compare(a.Name, b.Name) })
	for _, s := range u.Set {
		parts = append(parts, "+"+s.Name+"@"+s.Version)
	}
	for _, name := range u.Removed {
		parts = append(parts, "-"+name)
	}
	r.told <- strings.Join(parts, " ")
	if r.judge == nil {
		return nil
	}
	return r.judge(u)
}

// Malformed implements Handler.
func (r recorder) Malformed(typeURL string) { r.told <- TypeName(typeURL) + " malformed" }

func (r recorder) wants(t *testing.T, want string) {
	t.Helper()
	if got := <-r.told; got != want {
		t.Fatalf("the handler was told %q, want %q", got, want)
	}
}

// run runs a client of the server at address until the test ends.
func run(t *testing.T, address string, node *corev3.Node, judge func(Update) error) (*Client, recorder) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	c := New(conn, node, slog.New(slog.DiscardHandler))
	r := recorder{told: make(chan string, 100), judge: judge}
	ended := make(chan struct{})
	go func() {
		c.Run(t.Context(), r)
		close(ended)
	}()
	t.Cleanup(func() {
		<-ended
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, r
}
