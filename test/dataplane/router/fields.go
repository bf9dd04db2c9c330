package router

import (
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/stringmatch"
)

// executed are the fields that this package executes, and typed_per_filter_config, which it hands out.
var executed = strict.Fields{
	"envoy.config.route.v3.RouteConfiguration": "name metadata virtual_hosts ignore_port_in_host_matching most_specific_header_mutations_wins " +
		"max_direct_response_body_size_bytes " + mutationFields + " typed_per_filter_config",
	"envoy.config.route.v3.VirtualHost": "name domains routes " + mutationFields + " typed_per_filter_config",
	"envoy.config.route.v3.Route":       "name metadata match route redirect direct_response " + mutationFields + " typed_per_filter_config",

	"envoy.config.route.v3.RouteMatch": "prefix path safe_regex path_separated_prefix case_sensitive headers query_parameters " +
		"grpc runtime_fraction",
	"envoy.config.route.v3.RouteMatch.GrpcRouteMatchOptions": "",
	"envoy.config.route.v3.HeaderMatcher":                    "name present_match string_match invert_match treat_missing_header_as_empty",
	"envoy.config.route.v3.QueryParameterMatcher":            "name string_match present_match",
	"envoy.type.matcher.v3.StringMatcher":                    stringmatch.Fields["envoy.type.matcher.v3.StringMatcher"],
	"envoy.type.matcher.v3.RegexMatcher":                     stringmatch.Fields["envoy.type.matcher.v3.RegexMatcher"],
	"envoy.config.core.v3.RuntimeFractionalPercent":          "default_value",
	"envoy.type.v3.FractionalPercent":                        "numerator denominator",
	"envoy.type.matcher.v3.RegexMatchAndSubstitute":          "pattern substitution",
	"envoy.config.route.v3.RouteAction": "cluster weighted_clusters cluster_not_found_response_code prefix_rewrite regex_rewrite " +
		"host_rewrite_literal append_x_forwarded_host timeout idle_timeout max_stream_duration retry_policy request_mirror_policies " +
		"upgrade_configs",
	"envoy.config.route.v3.WeightedCluster":                 "clusters",
	"envoy.config.route.v3.WeightedCluster.ClusterWeight":   "name weight host_rewrite_literal " + mutationFields + " typed_per_filter_config",
	"envoy.config.route.v3.RouteAction.MaxStreamDuration":   "max_stream_duration",
	"envoy.config.route.v3.RouteAction.RequestMirrorPolicy": "cluster runtime_fraction disable_shadow_host_suffix_append",
	"envoy.config.route.v3.RouteAction.UpgradeConfig":       "upgrade_type enabled",
	"envoy.config.route.v3.RetryPolicy":                     "retry_on num_retries per_try_timeout retriable_status_codes retry_back_off",
	"envoy.config.route.v3.RetryPolicy.RetryBackOff":        "base_interval max_interval",

	"envoy.config.route.v3.RedirectAction": "https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite " +
		"regex_rewrite response_code strip_query",
	"envoy.config.route.v3.DirectResponseAction": "status body",
	"envoy.config.core.v3.DataSource":            "inline_string inline_bytes",

	"envoy.config.core.v3.HeaderValueOption": "header append_action keep_empty_value",
	"envoy.config.core.v3.HeaderValue":       "key value",

	"envoy.config.route.v3.FilterConfig": "config is_optional disabled",
}

const mutationFields = "request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove"
