package upstream

import (
	"sync"
	"sync/atomic"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
)

// limits are the circuit breakers of a cluster. Those that a configuration doesn't set have Envoy's defaults.
type limits struct {
	connections, pending, requests, retries counter
	budget                                  *retryBudget // takes the place of the maximum of retries; may be nil
}

func newLimits(t *clusterv3.CircuitBreakers_Thresholds) *limits {
	l := &limits{
		connections: counter{max: 1024}, pending: counter{max: 1024}, requests: counter{max: 1024}, retries: counter{max: 3},
	}
	if m := t.GetMaxConnections(); m != nil {
		l.connections.max = int64(m.GetValue())
	}
	if m := t.GetMaxRetries(); m != nil {
		l.retries.max = int64(m.GetValue())
	}
	if b := t.GetRetryBudget(); b != nil {
		l.budget = &retryBudget{percent: 20, least: 3, interval: b.GetBudgetInterval().AsDuration()}
		if b.GetBudgetPercent() != nil {
			l.budget.percent = b.GetBudgetPercent().GetValue()
		}
		if b.GetMinRetryConcurrency() != nil {
			l.budget.least = int64(b.GetMinRetryConcurrency().GetValue())
		}
	}
	return l
}

// counter counts what is under way, up to a maximum.
type counter struct {
	max int64
	n   atomic.Int64
}

// take counts one more, if that may be.
func (c *counter) take() bool { return c.takeOf(c.max) }

func (c *counter) takeOf(limit int64) bool {
	if c.n.Add(1) > limit {
		c.n.Add(-1)
		return false
	}
	return true
}

func (c *counter) release() { c.n.Add(-1) }

// retryBudget limits the retries under way by the requests under way, or, with an interval, by those that began in it.
type retryBudget struct {
	percent  float64
	least    int64
	interval time.Duration

	mu    sync.Mutex
	began []time.Time // within the interval
}

// begin counts a request.
func (b *retryBudget) begin(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expire(now)
	b.began = append(b.began, now)
}

func (b *retryBudget) expire(now time.Time) {
	for len(b.began) > 0 && now.Sub(b.began[0]) >= b.interval {
		b.began = b.began[1:]
	}
}

// limit returns how many retries may be under way.
func (b *retryBudget) limit(now time.Time, active int64) int64 {
	if b.interval > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.expire(now)
		active = int64(len(b.began))
	}
	return max(int64(b.percent/100*float64(active)), b.least)
}

// startRequest counts a request, if one more may be under way.
func (l *limits) startRequest() bool {
	if !l.requests.take() {
		return false
	}
	if l.budget != nil && l.budget.interval > 0 {
		l.budget.begin(time.Now())
	}
	return true
}

// TryRetry asks whether a request may be tried once more, by the retry budget or max_retries. If it may, done is to be
// called when it is known how that try ended.
func (c *Cluster) TryRetry() (done func(), ok bool) {
	l := c.limits
	limit := l.retries.max
	if l.budget != nil {
		limit = l.budget.limit(time.Now(), l.requests.n.Load()+l.pending.n.Load())
	}
	if !l.retries.takeOf(limit) {
		return nil, false
	}
	return sync.OnceFunc(l.retries.release), true
}
