package router

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

// defaultTimeout: "If not specified, the default is 15s" (RouteAction.timeout).
const defaultTimeout = 15 * time.Second

// forwardAction is a compiled RouteAction.
type forwardAction struct {
	always   Forward // but for what is drawn for each request
	clusters []weightedCluster
	weight   uint64 // of all clusters
	mirrors  []mirror
	rewrite  rewrite
}

// weightedCluster is an entry of weighted_clusters; or the cluster of a route without weights, of weight 1.
type weightedCluster struct {
	name   string
	weight uint64
	host   string // rewrites the host, unless empty
	level  *level // nil for the cluster of a route
}

type mirror struct {
	cluster  string
	fraction *fraction // nil is all
}

func newForwardAction(config *routev3.RouteAction, parse FilterParser) (*forwardAction, error) {
	f := &forwardAction{}
	for _, compile := range []func() error{
		func() error { return f.setClusters(config, parse) },
		func() (err error) { f.rewrite, err = newRewrite(config); return err },
		func() error { return f.setTimeouts(config) },
		func() error { return f.setMirrors(config) },
		func() error { return f.setUpgrades(config) },
		func() (err error) {
			f.always.Retry, err = newRetry(config.GetRetryPolicy(), f.always.Timeout)
			return err
		},
	} {
		if err := compile(); err != nil {
			return nil, err
		}
	}
	f.always.NotFoundStatus = map[routev3.RouteAction_ClusterNotFoundResponseCode]int{
		routev3.RouteAction_SERVICE_UNAVAILABLE:   http.StatusServiceUnavailable,
		routev3.RouteAction_NOT_FOUND:             http.StatusNotFound,
		routev3.RouteAction_INTERNAL_SERVER_ERROR: http.StatusInternalServerError,
	}[config.GetClusterNotFoundResponseCode()]
	return f, nil
}

func (f *forwardAction) setClusters(config *routev3.RouteAction, parse FilterParser) error {
	switch specifier := config.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		f.clusters, f.weight = []weightedCluster{{name: specifier.Cluster, weight: 1}}, 1
		return nil
	case *routev3.RouteAction_WeightedClusters:
		for i, w := range specifier.WeightedClusters.GetClusters() {
			cluster, err := newWeightedCluster(w, parse)
			if err != nil {
				return fmt.Errorf("weighted_clusters.clusters[%d] (%s).%w", i, w.GetName(), err)
			}
			f.clusters = append(f.clusters, cluster)
			f.weight += cluster.weight
		}
		if f.weight == 0 || f.weight > math.MaxUint32 {
			return fmt.Errorf("weighted_clusters: the sum of the weights is %d; it must be in 1..%d", f.weight, uint32(math.MaxUint32))
		}
		return nil
	default:
		return fmt.Errorf("cluster_specifier: %T isn't executed", specifier)
	}
}

func newWeightedCluster(config *routev3.WeightedCluster_ClusterWeight, parse FilterParser) (weightedCluster, error) {
	w := weightedCluster{name: config.GetName(), weight: uint64(config.GetWeight().GetValue()), host: config.GetHostRewriteLiteral()}
	if config.GetName() == "" {
		return w, errors.New("name: required")
	}
	if config.GetWeight() == nil {
		return w, errors.New("weight: required")
	}
	var err error
	w.level, err = newLevel(config, parse)
	return w, err
}

func (f *forwardAction) setTimeouts(config *routev3.RouteAction) (err error) {
	f.always.Timeout = defaultTimeout
	if config.GetTimeout() != nil {
		if f.always.Timeout, err = milliseconds("timeout", config.GetTimeout()); err != nil {
			return err
		}
	}
	if config.GetIdleTimeout() != nil {
		idle, err := milliseconds("idle_timeout", config.GetIdleTimeout())
		if err != nil {
			return err
		}
		f.always.IdleTimeout = &idle
	}
	f.always.MaxStreamDuration, err = milliseconds("max_stream_duration.max_stream_duration", config.GetMaxStreamDuration().GetMaxStreamDuration())
	return err
}

// milliseconds reads a duration as Envoy does, which counts in milliseconds; 0 if there is none.
func milliseconds(field string, d *durationpb.Duration) (time.Duration, error) {
	if d == nil {
		return 0, nil
	}
	if err := d.CheckValid(); err != nil {
		return 0, fmt.Errorf("%s: %w", field, err)
	}
	if d.AsDuration() < 0 {
		return 0, fmt.Errorf("%s: negative", field)
	}
	return d.AsDuration().Truncate(time.Millisecond), nil
}

func (f *forwardAction) setMirrors(config *routev3.RouteAction) error {
	for i, m := range config.GetRequestMirrorPolicies() {
		if m.GetCluster() == "" {
			return fmt.Errorf("request_mirror_policies[%d].cluster: required", i)
		}
		if !m.GetDisableShadowHostSuffixAppend() {
			return fmt.Errorf("request_mirror_policies[%d].disable_shadow_host_suffix_append: false isn't executed", i)
		}
		out := mirror{cluster: m.GetCluster()}
		if m.GetRuntimeFraction() != nil {
			out.fraction = newFraction(m.GetRuntimeFraction().GetDefaultValue())
		}
		f.mirrors = append(f.mirrors, out)
	}
	return nil
}

func (f *forwardAction) setUpgrades(config *routev3.RouteAction) error {
	for i, u := range config.GetUpgradeConfigs() {
		name := stringmatch.Lower(u.GetUpgradeType())
		if _, known := f.always.Upgrades[name]; known {
			return fmt.Errorf("upgrade_configs[%d]: duplicate upgrade %s", i, name)
		}
		if name == "connect" || name == "connect-udp" {
			return fmt.Errorf("upgrade_configs[%d].upgrade_type: %s isn't executed", i, name)
		}
		if f.always.Upgrades == nil {
			f.always.Upgrades = map[string]bool{}
		}
		f.always.Upgrades[name] = u.GetEnabled() == nil || u.GetEnabled().GetValue()
	}
	return nil
}

// choose draws what is drawn for each request. Weights and fractions are decided by the same number: a request that is in the
// lower half of a route's fraction can always get the same cluster.
func (f *forwardAction) choose(random uint64) (*Forward, *weightedCluster) {
	out := f.always
	cluster := f.pick(random % f.weight)
	out.Cluster = cluster.name
	for _, m := range f.mirrors {
		if m.fraction == nil || m.fraction.has(random) {
			out.Mirrors = append(out.Mirrors, m.cluster)
		}
	}
	return &out, cluster
}

// pick returns the cluster whose interval a number below the sum of the weights falls into.
func (f *forwardAction) pick(number uint64) *weightedCluster {
	for i := range f.clusters {
		if number < f.clusters[i].weight {
			return &f.clusters[i]
		}
		number -= f.clusters[i].weight
	}
	panic("the number isn't below the sum of the weights")
}

// rewrite is what becomes of a request's host and path.
type rewrite struct {
	host                string // empty is none
	appendForwardedHost bool
	prefix              string // replaces what was matched, unless empty
	path                *substitution
}

func newRewrite(config *routev3.RouteAction) (rewrite, error) {
	out := rewrite{
		host: config.GetHostRewriteLiteral(), appendForwardedHost: config.GetAppendXForwardedHost(),
		prefix: config.GetPrefixRewrite(),
	}
	if config.GetRegexRewrite() == nil {
		return out, nil
	}
	if out.prefix != "" {
		return out, errors.New("regex_rewrite: only one of prefix_rewrite and regex_rewrite may be specified")
	}
	var err error
	if out.path, err = newSubstitution(config.GetRegexRewrite().GetPattern().GetRegex(), config.GetRegexRewrite().GetSubstitution()); err != nil {
		return out, fmt.Errorf("regex_rewrite.%w", err)
	}
	return out, nil
}

func (w *rewrite) apply(r *Request, match pathMatch, keepOriginal bool) {
	if w.host != "" {
		if w.appendForwardedHost {
			appendForwardedHost(r.Header, r.Authority)
		}
		if keepOriginal {
			r.Header["X-Envoy-Original-Host"] = []string{r.Authority}
		}
		r.Authority = w.host
	}
	if w.prefix == "" && w.path == nil {
		return
	}
	if keepOriginal {
		r.Header["X-Envoy-Original-Path"] = []string{r.Path}
	}
	if w.prefix != "" {
		_, rest := match.split(r.Path)
		r.Path = w.prefix + rest
		return
	}
	only := pathOnly(r.Path)
	r.Path = w.path.replaceAll(only) + r.Path[len(only):]
}

// appendForwardedHost adds a host to X-Forwarded-Host, unless it is the last there.
func appendForwardedHost(h http.Header, host string) {
	known := strings.Split(strings.Join(h["X-Forwarded-Host"], ","), ",")
	if host != "" && known[len(known)-1] != host {
		addHeader(h, "X-Forwarded-Host", host)
	}
}
