package hcm_test

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm"
)

func TestInvalid(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]struct{ old, new string }{
		"server_name: not executed":                                          {"statPrefix: test", "statPrefix: test\nserverName: a"},
		"codec_type: HTTP3 isn't executed":                                   {"statPrefix: test", "statPrefix: test\ncodecType: HTTP3"},
		"invalid HttpConnectionManager.RouteSpecifier: value is required":    {"rds: {configSource: {ads: {}, resourceApiVersion: V3}, routeConfigName: table}", ""},
		"rds.config_source.path: not executed":                               {"ads: {}, ", "path: a, "},
		"http_filters[0]: envoy.filters.http.router must be the last filter": {"name: envoy.filters.http.cors", "name: envoy.filters.http.router"},
		"http_filters[0] (envoy.filters.http.fault): isn't executed":         {"name: envoy.filters.http.cors", "name: envoy.filters.http.fault"},
		"http_filters[3] (envoy.filters.http.router): start_child_span: not executed": {
			"suppressEnvoyHeaders: true", "suppressEnvoyHeaders: true, startChildSpan: true",
		},
		"common_http_protocol_options.max_headers_count: not executed": {"idleTimeout: 3600s", "idleTimeout: 3600s, maxHeadersCount: 5"},
		"internal_address_config.unix_sockets: not executed":           {"internalAddressConfig: {}", "internalAddressConfig: {unixSockets: true}"},
		`upgrade_configs[0].upgrade_type: "connect" isn't executed`:    {"upgradeType: websocket", "upgradeType: CONNECT"},
	} {
		text := strings.Replace(edge, change.old, change.new, 1)
		if text == edge {
			t.Fatalf("%s: nothing is changed", want)
		}
		_, err := hcm.New(fromYAML(t, text, &hcmv3.HttpConnectionManager{}), hcm.Deps{Logger: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestInvalidFilterConfigs(t *testing.T) {
	t.Parallel()
	for want, config := range map[string]string{
		"filter_enabled: not executed": `{name: envoy.filters.http.cors, config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy,
			filterEnabled: {defaultValue: {numerator: 1}}}}`,
		"no such filter":          `{name: envoy.filters.http.fault, config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy}}`,
		"mismatched message type": `{name: envoy.filters.http.ext_authz, config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy}}`,
		"stateful_session.strict: not executed": `{name: envoy.filters.http.stateful_session, config: {
			"@type": type.googleapis.com/envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute, statefulSession: {strict: true}}}`,
		"xds_matcher.matcher_list: not executed": `{name: envoy.filters.http.ext_authz, config: {
			"@type": type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcherPerRoute,
			xdsMatcher: {matcherList: {matchers: [{predicate: {singlePredicate: {input: {name: a, typedConfig: {"@type": type.googleapis.com/google.protobuf.Duration, value: 1s}},
			valueMatch: {exact: a}}}, onMatch: {action: {name: a, typedConfig: {"@type": type.googleapis.com/google.protobuf.Duration, value: 1s}}}}]}}}}`,
	} {
		// A filter of a manager carries a name and an Any, as an entry of a typed_per_filter_config does.
		entry := fromYAML(t, strings.Replace(config, "config:", "typedConfig:", 1), &hcmv3.HttpFilter{})
		if _, err := hcm.ParseFilterConfig(entry.GetName(), entry.GetTypedConfig()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := hcm.ParseFilterConfig("envoy.filters.http.cors", &anypb.Any{TypeUrl: "type.googleapis.com/a.B"}); err == nil {
		t.Error("an unknown message is accepted")
	}
}

// TestReadiness is the listener that a bootstrap has.
func TestReadiness(t *testing.T) {
	t.Parallel()
	var failing atomic.Bool
	config := fromYAML(t, `
statPrefix: readiness
codecType: HTTP1
routeConfig: {name: readiness}
httpFilters:
- name: envoy.filters.http.health_check
  typedConfig:
    "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
    passThroughMode: false
    headers: [{name: ":path", stringMatch: {exact: /ready}}]
- name: envoy.filters.http.router
  typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
requestHeadersTimeout: 5s
`, &hcmv3.HttpConnectionManager{})
	g := newGateway(t, "", func(c *hcmv3.HttpConnectionManager) {
		c.Reset()
		c.StatPrefix, c.CodecType, c.RouteSpecifier = config.GetStatPrefix(), config.GetCodecType(), config.GetRouteSpecifier()
		c.HttpFilters, c.RequestHeadersTimeout = config.GetHttpFilters(), config.GetRequestHeadersTimeout()
	})
	g.failing = failing.Load
	if names := g.manager.RouteNames(); len(names) > 0 {
		t.Errorf("RouteNames: %v", names)
	}
	for _, test := range []struct {
		path    string
		failing bool
		status  int
	}{{"/ready", false, 200}, {"/ready", true, 503}, {"/", true, 404}, {"/ready/", false, 404}} {
		failing.Store(test.failing)
		got := g.get(test.path)
		if got.StatusCode != test.status || got.Header.Get("Server") != "envoy" {
			t.Errorf("%s, failing %v: got %s from %q, want %d", test.path, test.failing, got.Status, got.Header.Get("Server"), test.status)
		}
	}
	if _, err := g.client(true).Do(g.request(http.MethodGet, "/ready", nil)); err == nil {
		t.Error("HTTP/2 is spoken")
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	g := newGateway(t, `
  - {name: rewritten, match: {prefix: /old}, route: {cluster: backend, prefixRewrite: /new}}
  - {name: unknown, match: {prefix: /unknown}, route: {cluster: unknown}}
  - {name: refused, match: {prefix: /refused}, route: {cluster: refused, retryPolicy: {retryOn: connect-failure, numRetries: 1, retryBackOff: {baseInterval: 0.001s}}}}
`, func(c *hcmv3.HttpConnectionManager) {
		c.AccessLog = []*accesslogv3.AccessLog{fromYAML(t, `
name: envoy.access_loggers.file
typedConfig:
  "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
  path: `+path+`
  logFormat:
    textFormatSource:
      inlineString: "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_HOST% %UPSTREAM_REQUEST_ATTEMPT_COUNT%\n"
`, &accesslogv3.AccessLog{})}
	})
	address, nobody := backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("abc")) }), refused(t)
	g.cluster("backend", []string{address})
	g.cluster("refused", []string{nobody})
	client := g.client(false) // lines of one connection are in order
	for _, r := range []*http.Request{
		g.request(http.MethodPost, "/old/a", strings.NewReader("hello")), g.request(http.MethodGet, "/unknown", nil),
		g.request(http.MethodGet, "/refused", nil), g.request(http.MethodGet, "/none", nil), g.request(http.MethodGet, "/a%2Fb", nil),
	} {
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		g.read(response)
	}
	g.manager.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for i, want := range []string{
		"POST /new/a HTTP/1.1 200 - via_upstream 5 3 rewritten backend " + address + " 1",
		"GET /unknown HTTP/1.1 503 NC cluster_not_found 0 0 unknown unknown - 0",
		"GET /refused HTTP/1.1 503 UF,URX upstream_reset_before_response_started{remote_connection_failure|",
		"GET /none HTTP/1.1 404 NR route_not_found 0 0 - - - 0",
		"GET /a/b HTTP/1.1 307 - path_normalization_failed 0 0 - - - 0",
	} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("got  %s\nwant %s", lines[i], want)
		}
	}
}
