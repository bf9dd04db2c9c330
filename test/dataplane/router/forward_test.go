package router

import (
	"maps"
	"slices"
	"testing"
	"time"
)

// forwarded returns what the action of a route makes of a request with a random number.
func forwarded(t *testing.T, action string, random uint64) *Forward {
	t.Helper()
	r := request("GET http://a.test/")
	r.Random = random
	return compiled(t, withRoutes(`[{match: {prefix: /}, route: `+action+`}]`)).Match(r).Forward
}

func TestWeightedClusters(t *testing.T) {
	t.Parallel()
	const hundred = `{weighted_clusters: {clusters: [{name: a, weight: 30}, {name: none, weight: 0}, {name: b, weight: 30}, {name: c, weight: 40}]}}`
	const many = `{weighted_clusters: {clusters: [{name: a, weight: 2000}, {name: b, weight: 3000}, {name: c, weight: 5000}]}}`
	for _, tt := range []struct {
		action string
		random uint64
		want   string
	}{
		{hundred, 0, "a"},
		{hundred, 29, "a"},
		{hundred, 30, "b"},
		{hundred, 59, "b"},
		{hundred, 60, "c"},
		{hundred, 99, "c"},
		{hundred, 115, "a"},
		{hundred, 445, "b"},
		{hundred, 560, "c"},
		{many, 1150, "a"},
		{many, 4500, "b"},
		{many, 8900, "c"},
		{many, 1<<64 - 1, "a"}, // 18446744073709551615 % 10000 = 1615
		{`{cluster: only}`, 77, "only"},
	} {
		if got := forwarded(t, tt.action, tt.random).Cluster; got != tt.want {
			t.Errorf("%d of %s: got %s, want %s", tt.random, tt.action, got, tt.want)
		}
	}
}

func TestNotFoundStatus(t *testing.T) {
	t.Parallel()
	for action, want := range map[string]int{
		`{cluster: c}`: 503,
		`{cluster: c, cluster_not_found_response_code: SERVICE_UNAVAILABLE}`:   503,
		`{cluster: c, cluster_not_found_response_code: NOT_FOUND}`:             404,
		`{cluster: c, cluster_not_found_response_code: INTERNAL_SERVER_ERROR}`: 500,
	} {
		if got := forwarded(t, action, 0).NotFoundStatus; got != want {
			t.Errorf("%s: got %d", action, got)
		}
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	const unset = time.Duration(-1)
	for _, tt := range []struct {
		action                   string
		timeout, idle, maxStream time.Duration
	}{
		{`{cluster: c}`, 15 * time.Second, unset, 0},
		{`{cluster: c, timeout: 0s, idle_timeout: 0s}`, 0, 0, 0},
		{`{cluster: c, timeout: 30s, idle_timeout: 7s}`, 30 * time.Second, 7 * time.Second, 0},
		{`{cluster: c, timeout: 0.0015s}`, time.Millisecond, unset, 0},
		{`{cluster: c, max_stream_duration: {max_stream_duration: 0.01s}}`, 15 * time.Second, unset, 10 * time.Millisecond},
	} {
		got := forwarded(t, tt.action, 0)
		idle := unset
		if got.IdleTimeout != nil {
			idle = *got.IdleTimeout
		}
		if got.Timeout != tt.timeout || idle != tt.idle || got.MaxStreamDuration != tt.maxStream {
			t.Errorf("%s: got %s, %s and %s", tt.action, got.Timeout, idle, got.MaxStreamDuration)
		}
	}
}

func TestMirrors(t *testing.T) {
	t.Parallel()
	const action = `{cluster: c, request_mirror_policies: [
  {cluster: always, disable_shadow_host_suffix_append: true},
  {cluster: half, disable_shadow_host_suffix_append: true, runtime_fraction: {default_value: {numerator: 50}}},
  {cluster: never, disable_shadow_host_suffix_append: true, runtime_fraction: {default_value: {numerator: 0}}},
  {cluster: few, disable_shadow_host_suffix_append: true, runtime_fraction: {default_value: {numerator: 1, denominator: MILLION}}}]}`
	for random, want := range map[uint64][]string{
		0: {"always", "half", "few"}, 49: {"always", "half"}, 50: {"always"}, 100: {"always", "half"}, 1_000_000: {"always", "half", "few"},
	} {
		if got := forwarded(t, action, random).Mirrors; !slices.Equal(got, want) {
			t.Errorf("%d: got %v, want %v", random, got, want)
		}
	}
}

func TestUpgrades(t *testing.T) {
	t.Parallel()
	got := forwarded(t, `{cluster: c, upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: spdy, enabled: false}, {upgrade_type: x, enabled: true}]}`, 0).Upgrades
	if want := map[string]bool{"websocket": true, "spdy": false, "x": true}; !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	if got := forwarded(t, `{cluster: c}`, 0).Retry; got != nil {
		t.Errorf("without a policy: got %+v", got)
	}
	for _, tt := range []struct {
		policy         string
		connect, reset bool
		codes          []int
		retries        int
		perTry         time.Duration
	}{
		{`{}`, false, false, nil, 1, 0},
		{`{num_retries: 0, per_try_timeout: 2s}`, false, false, nil, 0, 2 * time.Second},
		{`{num_retries: 1, per_try_timeout: 10s}`, false, false, nil, 1, 0}, // not less than the timeout
		{`{retry_on: "connect-failure, reset", num_retries: 3}`, true, true, nil, 3, 0},
		{`{retry_on: reset, retriable_status_codes: [500]}`, false, true, nil, 1, 0},
		{`{retry_on: "retriable-status-codes", retriable_status_codes: [503, 500]}`, false, false, []int{500, 503}, 1, 0},
	} {
		got := forwarded(t, `{cluster: c, timeout: 10s, retry_policy: `+tt.policy+`}`, 0).Retry
		codes := slices.Sorted(maps.Keys(got.OnStatus))
		if got.OnConnectFailure != tt.connect || got.OnReset != tt.reset || !slices.Equal(codes, tt.codes) || got.Retries != tt.retries || got.PerTryTimeout != tt.perTry {
			t.Errorf("%s: got %+v", tt.policy, got)
		}
	}
	if got := forwarded(t, `{cluster: c, timeout: 0s, retry_policy: {per_try_timeout: 20s}}`, 0).Retry.PerTryTimeout; got != 20*time.Second {
		t.Errorf("without a timeout: got %s", got)
	}
}

func TestBackOff(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for policy, want := range map[string][]time.Duration{
		`{}`: {25 * ms, 50 * ms, 100 * ms, 200 * ms, 250 * ms, 250 * ms},
		`{retry_back_off: {base_interval: 0.1s}}`:                          {100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms},
		`{retry_back_off: {base_interval: 0.1s, max_interval: 0.3s}}`:      {100 * ms, 200 * ms, 300 * ms},
		`{retry_back_off: {base_interval: 0.1s, max_interval: 0.1s}}`:      {100 * ms, 100 * ms},
		`{retry_back_off: {base_interval: 0.0001s, max_interval: 0.002s}}`: {ms, 2 * ms, 2 * ms},
	} {
		retry := forwarded(t, `{cluster: c, retry_policy: `+policy+`}`, 0).Retry
		var got []time.Duration
		for i := range want {
			got = append(got, retry.BackOff(i+1))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", policy, got, want)
		}
	}
}
