package router

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestInvalid lists what Envoy refuses, and what it would execute and this package doesn't.
func TestInvalid(t *testing.T) {
	t.Parallel()
	route := func(r string) string { return withRoutes(`[{name: it, ` + r + `}]`) }
	action := func(a string) string { return route(`match: {prefix: /}, route: ` + a) }
	match := func(m string) string { return route(`match: ` + m + `, route: {cluster: c}`) }
	hosts := func(a, b string) string {
		return `{name: table, virtual_hosts: [{name: first, domains: ` + a + `}, {name: second, domains: ` + b + `}]}`
	}
	for _, tt := range []struct{ name, config, want string }{
		{"two hosts", hosts(`[a.test]`, `[b.test, A.TEST]`), `virtual_hosts[1] (second).domain "a.test": duplicate, virtual host "first" has it`},
		{"two suffixes", hosts(`["*.test"]`, `["*.TEST"]`), `domain "*.test": duplicate`},
		{"two prefixes", hosts(`["a.*"]`, `["A.*"]`), `domain "a.*": duplicate`},
		{"two wildcards", hosts(`["*"]`, `["*"]`), `domain "*": only a single one is permitted, and virtual host "first" has it`},
		{"no domain", hosts(`[]`, `[b]`), `Domains: value must contain at least 1 item(s)`},
		{"no name", `{virtual_hosts: [{domains: [a]}]}`, `Name: value length must be at least 1`},
		{"no action", route(`match: {prefix: /}`), `Action: value is required`},
		{"no match", route(`route: {cluster: c}`), `Match: value is required`},
		{"no path", match(`{}`), `PathSpecifier: value is required`},

		{"expression", match(`{safe_regex: {regex: "/(+a"}}`), `virtual_hosts[0] (all).routes[0] (it).match.safe_regex.regex: error parsing regexp: missing argument to repetition operator`},
		{"empty expression", match(`{safe_regex: {regex: ""}}`), `Regex: value length must be at least 1`},
		{"header expression", match(`{prefix: /, headers: [{name: a, string_match: {safe_regex: {regex: "["}}}]}`), `match.headers[0] (a).safe_regex.regex: error parsing regexp`},
		{"query expression", match(`{prefix: /, query_parameters: [{name: a, string_match: {safe_regex: {regex: "["}}}]}`), `match.query_parameters[0] (a).safe_regex.regex: error parsing regexp`},
		{"expression in any case", match(`{prefix: /, headers: [{name: a, string_match: {ignore_case: true, safe_regex: {regex: "a"}}}]}`), `match.headers[0] (a).ignore_case: has no effect for safe_regex`},
		{"trailing slash", match(`{path_separated_prefix: /a/}`), `PathSeparatedPrefix: value does not match`},
		{"query in a path", match(`{path_separated_prefix: "/a?b"}`), `PathSeparatedPrefix: value does not match`},

		{"two rewrites", action(`{cluster: c, prefix_rewrite: /a, regex_rewrite: {pattern: {regex: a}, substitution: b}}`), `route.regex_rewrite: only one of prefix_rewrite and regex_rewrite may be specified`},
		{"rewrite expression", action(`{cluster: c, regex_rewrite: {pattern: {regex: "a{2000}"}, substitution: b}}`), `route.regex_rewrite.pattern.regex: error parsing regexp: invalid repeat count`},
		{"rewrite group", action(`{cluster: c, regex_rewrite: {pattern: {regex: "(a)"}, substitution: '\2'}}`), `route.regex_rewrite.substitution "\\2"`},
		{"rewrite escape", action(`{cluster: c, regex_rewrite: {pattern: {regex: "(a)"}, substitution: 'a\'}}`), `route.regex_rewrite.substitution "a\\"`},
		{"line break", action(`{cluster: c, prefix_rewrite: "/a\nb"}`), `PrefixRewrite: value does not match`},
		{"line break in a host", action(`{cluster: c, host_rewrite_literal: "a\nb"}`), `HostRewriteLiteral: value does not match`},
		{"no cluster", action(`{prefix_rewrite: /a}`), `ClusterSpecifier: value is required`},
		{"no weight", action(`{weighted_clusters: {clusters: [{name: a}, {name: b, weight: 1}]}}`), `route.weighted_clusters.clusters[0] (a).weight: required`},
		{"no name of a cluster", action(`{weighted_clusters: {clusters: [{weight: 1}]}}`), `route.weighted_clusters.clusters[0] ().name: required`},
		{"weights of 0", action(`{weighted_clusters: {clusters: [{name: a, weight: 0}]}}`), `route.weighted_clusters: the sum of the weights is 0`},
		{"too much weight", action(`{weighted_clusters: {clusters: [{name: a, weight: 4294967295}, {name: b, weight: 1}]}}`), `route.weighted_clusters: the sum of the weights is 4294967296`},
		{"negative timeout", action(`{cluster: c, timeout: -1s}`), `route.timeout: negative`},
		{"negative idle timeout", action(`{cluster: c, idle_timeout: -1s}`), `route.idle_timeout: negative`},
		{"mirror without a cluster", action(`{cluster: c, request_mirror_policies: [{disable_shadow_host_suffix_append: true}]}`), `route.request_mirror_policies[0].cluster: required`},
		{"two upgrades", action(`{cluster: c, upgrade_configs: [{upgrade_type: websocket}, {upgrade_type: WebSocket}]}`), `route.upgrade_configs[1]: duplicate upgrade websocket`},
		{"back-off", action(`{cluster: c, retry_policy: {retry_back_off: {base_interval: 2s, max_interval: 1s}}}`), `route.retry_policy.retry_back_off.max_interval: must be greater`},
		{"back-off of 0", action(`{cluster: c, retry_policy: {retry_back_off: {base_interval: 0s}}}`), `BaseInterval: value must be greater than 0s`},
		{"negative try", action(`{cluster: c, retry_policy: {per_try_timeout: -1s}}`), `route.retry_policy.per_try_timeout: negative`},

		{"pseudo header", route(`match: {prefix: /}, route: {cluster: c}, request_headers_to_add: [{header: {key: ":path", value: a}}]`), `request_headers_to_add[0] (:path): :-prefixed or host headers may not be modified`},
		{"host", route(`match: {prefix: /}, route: {cluster: c}, response_headers_to_add: [{header: {key: Host, value: a}}]`), `response_headers_to_add[0] (Host): :-prefixed or host headers`},
		{"pseudo header removed", withRoutes(`[]`) + "\nrequest_headers_to_remove: [':path']", `request_headers_to_remove[0]: ":path": :-prefixed or host headers may not be removed`},
		{"host removed", withRoutes(`[]`) + "\n  response_headers_to_remove: [host]", `virtual_hosts[0] (all).response_headers_to_remove[0]: "host"`},
		{"percent sign", route(`match: {prefix: /}, route: {cluster: c}, request_headers_to_add: [{header: {key: a, value: 100%}}]`), `header.value: "100%": the command operator at "%" isn't executed`},
		{"command operator", route(`match: {prefix: /}, route: {cluster: c}, request_headers_to_add: [{header: {key: a, value: "%%a%PROTOCOL%"}}]`), `header.value: "%%a%PROTOCOL%": the command operator at "%PROTOCOL%" isn't executed`},
		{"header of a cluster", action(`{weighted_clusters: {clusters: [{name: a, weight: 1, request_headers_to_remove: [host]}]}}`), `route.weighted_clusters.clusters[0] (a).request_headers_to_remove[0]`},

		{"redirect expression", route(`match: {prefix: /}, redirect: {regex_rewrite: {pattern: {regex: "("}, substitution: a}}`), `redirect.regex_rewrite.pattern.regex: error parsing regexp`},
		{"line break in a redirect", route(`match: {prefix: /}, redirect: {host_redirect: "a\nb"}`), `HostRedirect: value does not match`},
		{"body", "max_direct_response_body_size_bytes: 3\n" + route(`match: {prefix: /}, direct_response: {status: 200, body: {inline_string: Four}}`), `direct_response.body: 4 bytes; the maximum is 3`},
		{"status", route(`match: {prefix: /}, direct_response: {status: 199}`), `Status: value must be inside range`},

		{"not executed: a field of the table", `{validate_clusters: true}`, `validate_clusters: not executed`},
		{"not executed: a field of a virtual host", `{virtual_hosts: [{name: v, domains: [a], require_tls: ALL}]}`, `virtual_hosts[0].require_tls: not executed`},
		{"not executed: a field of a route", route(`match: {prefix: /}, route: {cluster: c}, decorator: {operation: a}`), `virtual_hosts[0].routes[0].decorator: not executed`},
		{"not executed: a field of a match", match(`{prefix: /, tls_context: {}}`), `routes[0].match.tls_context: not executed`},
		{"not executed: a deprecated header match", match(`{prefix: /, headers: [{name: a, exact_match: b}]}`), `match.headers[0].exact_match: not executed`},
		{"not executed: a deprecated header mutation", route(`match: {prefix: /}, route: {cluster: c}, request_headers_to_add: [{header: {key: a, value: b}, append: true}]`), `request_headers_to_add[0].append: not executed`},
		{"not executed: a path", match(`{connect_matcher: {}}`), `routes[0].match.connect_matcher: not executed`},
		{"not executed: a runtime key", match(`{prefix: /, runtime_fraction: {runtime_key: a, default_value: {numerator: 1}}}`), `match.runtime_fraction.runtime_key: not executed`},
		{"not executed: an engine", match(`{safe_regex: {google_re2: {}, regex: a}}`), `match.safe_regex.google_re2: not executed`},
		{"not executed: a cluster", action(`{cluster_header: a}`), `routes[0].route.cluster_header: not executed`},
		{"not executed: a field of an action", action(`{cluster: c, hash_policy: [{header: {header_name: a}}]}`), `route.hash_policy: not executed`},
		{"not executed: an upgrade", action(`{cluster: c, upgrade_configs: [{upgrade_type: CONNECT}]}`), `route.upgrade_configs[0].upgrade_type: connect isn't executed`},
		{"not executed: another host for mirrors", action(`{cluster: c, request_mirror_policies: [{cluster: m}]}`), `route.request_mirror_policies[0].disable_shadow_host_suffix_append: false isn't executed`},
		{"not executed: a retry condition", action(`{cluster: c, retry_policy: {retry_on: "reset,5xx"}}`), `route.retry_policy.retry_on: "5xx" isn't executed`},
		{"not executed: a field of a cluster's header", action(`{weighted_clusters: {clusters: [{name: a, weight: 1, metadata_match: {}}]}}`), `route.weighted_clusters.clusters[0].metadata_match: not executed`},
		{"not executed: a body from a file", route(`match: {prefix: /}, direct_response: {status: 200, body: {filename: /etc/motd}}`), `direct_response.body.filename: not executed`},
		{"not executed: a Location", route(`match: {prefix: /}, direct_response: {status: 302}`), `direct_response.status: 201 and redirections`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Compile(parsed(t, tt.config), nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// What this version of the API doesn't have can't be executed either.
func TestUnknownField(t *testing.T) {
	t.Parallel()
	config := parsed(t, withRoutes(`[{match: {prefix: /}, route: {cluster: c}}]`))
	config.VirtualHosts[0].Routes[0].Match.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 4000, protowire.VarintType), 1))
	if _, err := Compile(config, nil); err == nil || !strings.Contains(err.Error(), "virtual_hosts[0].routes[0].match: has a field that") {
		t.Errorf("got %v", err)
	}
}
