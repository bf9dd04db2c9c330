package upstream

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func withThresholds(c *clusterv3.Cluster, t *clusterv3.CircuitBreakers_Thresholds) *clusterv3.Cluster {
	c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{t}}
	return c
}

func TestTryRetry(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		thresholds *clusterv3.CircuitBreakers_Thresholds
		active     int64
		want       int
	}{
		"Envoy's default":    {&clusterv3.CircuitBreakers_Thresholds{}, 100, 3},
		"max_retries":        {&clusterv3.CircuitBreakers_Thresholds{MaxRetries: wrapperspb.UInt32(5)}, 0, 5},
		"none":               {&clusterv3.CircuitBreakers_Thresholds{MaxRetries: wrapperspb.UInt32(0)}, 0, 0},
		"a budget":           {&clusterv3.CircuitBreakers_Thresholds{RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{BudgetPercent: &typev3.Percent{Value: 25}}}, 42, 10},
		"a budget's default": {&clusterv3.CircuitBreakers_Thresholds{RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{}}, 50, 10},
		"a budget's least":   {&clusterv3.CircuitBreakers_Thresholds{RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{}}, 0, 3},
		"a budget's least, said": {&clusterv3.CircuitBreakers_Thresholds{RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
			MinRetryConcurrency: wrapperspb.UInt32(7),
		}}, 0, 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, withThresholds(eds(), tt.thresholds))
			c.limits.requests.n.Store(tt.active)
			var last func()
			for i := range tt.want {
				done, ok := c.TryRetry()
				if !ok {
					t.Fatalf("retry %d of %d isn't allowed", i+1, tt.want)
				}
				last = done
			}
			if _, ok := c.TryRetry(); ok {
				t.Fatalf("more than %d retries are allowed", tt.want)
			}
			if last != nil {
				last()
				last()
				if _, ok := c.TryRetry(); !ok {
					t.Error("a retry has ended, and none takes its place")
				}
				if _, ok := c.TryRetry(); ok {
					t.Error("a retry that was ended twice counts twice")
				}
			}
		})
	}
}

// With an interval, requests count from their beginning to its end, under way or not.
func TestBudgetInterval(t *testing.T) {
	t.Parallel()
	l := newLimits(&clusterv3.CircuitBreakers_Thresholds{RetryBudget: &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
		BudgetPercent: &typev3.Percent{Value: 50}, BudgetInterval: durationpb.New(10 * time.Second), MinRetryConcurrency: wrapperspb.UInt32(1),
	}})
	start := time.Now()
	for i := range 10 {
		l.budget.begin(start.Add(time.Duration(i) * time.Second))
	}
	for after, want := range map[time.Duration]int64{9 * time.Second: 5, 13 * time.Second: 3, time.Minute: 1} {
		l := &retryBudget{percent: 50, least: 1, interval: l.budget.interval, began: append([]time.Time(nil), l.budget.began...)}
		if got := l.limit(start.Add(after), 100); got != want {
			t.Errorf("after %s, %d retries may be under way, want %d", after, got, want)
		}
	}
}

func TestMaxConnections(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := newCluster(t, withThresholds(eds(), &clusterv3.CircuitBreakers_Thresholds{MaxConnections: wrapperspb.UInt32(2)}), listener.Addr().String())
	h := pick(t, c)
	first, err := c.Dial(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.DialUDP(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := c.Dial(t.Context(), h); !errors.Is(err, ErrOverflow) {
		t.Errorf("a third connection of two: %v", err)
	}
	if _, err := c.DialUDP(t.Context(), h); !errors.Is(err, ErrOverflow) {
		t.Errorf("a third socket of two: %v", err)
	}
	_ = first.Close()
	_ = first.Close() // it is to count once
	again, err := c.Dial(t.Context(), h)
	if err != nil {
		t.Fatalf("a connection was closed, and none takes its place: %v", err)
	}
	defer again.Close()
	if _, err := c.Dial(t.Context(), h); !errors.Is(err, ErrOverflow) {
		t.Errorf("a connection that was closed twice counts twice: %v", err)
	}
}

func TestOverflow(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, block(release))
	defer close(release)
	for what, limit := range map[string]func(*limits) *counter{
		"max_requests":         func(l *limits) *counter { return &l.requests },
		"max_pending_requests": func(l *limits) *counter { return &l.pending },
	} {
		c := newCluster(t, eds(), s.address())
		limit(c.limits).max = 0
		body := &closed{}
		r := request(t, "POST", "/", nil)
		r.Body = body
		_, err := c.RoundTrip(context.Background(), pick(t, c), r)
		if !errors.Is(err, ErrOverflow) || !body.closed {
			t.Errorf("%s: %v; the body is closed: %t", what, err, body.closed)
		}
	}
}
