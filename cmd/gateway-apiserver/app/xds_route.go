//lint:file-ignore SA1019 proxyless clients are served deprecated forms of header matchers, which all versions of gRPC take

package app

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// routeMatch writes a match in the words of the Gateway API: the method, the path, then headers and query parameters.
func routeMatch(m *routev3.RouteMatch) string {
	var method string
	parts := []string{pathMatch(m)}
	for _, h := range m.GetHeaders() {
		if exact := h.GetStringMatch().GetExact(); h.GetName() == ":method" && exact != "" && !h.GetInvertMatch() {
			method = exact + " "
			continue
		}
		parts = append(parts, "header "+headerMatch(h))
	}
	for _, q := range m.GetQueryParameters() {
		value := ""
		if q.GetStringMatch() != nil {
			value = stringMatch(q.GetStringMatch())
		}
		parts = append(parts, "query "+q.GetName()+value)
	}
	if fraction := m.GetRuntimeFraction().GetDefaultValue(); fraction != nil {
		parts = append(parts, percent(fraction)+" of requests")
	}
	return method + strings.Join(parts, ", ")
}

func pathMatch(m *routev3.RouteMatch) string {
	switch path := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Path:
		return "Exact " + path.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		return "PathPrefix " + path.PathSeparatedPrefix
	case *routev3.RouteMatch_Prefix:
		if path.Prefix == "/" || path.Prefix == "" {
			return "PathPrefix /"
		}
		return "Prefix " + path.Prefix // of the text, not of its segments
	case *routev3.RouteMatch_SafeRegex:
		return "RegularExpression " + path.SafeRegex.GetRegex()
	case *routev3.RouteMatch_PathMatchPolicy:
		return "policy " + path.PathMatchPolicy.GetName()
	case *routev3.RouteMatch_ConnectMatcher_:
		return "CONNECT"
	}
	return none
}

// headerMatch writes the name of the header and what its value has to be.
func headerMatch(h *routev3.HeaderMatcher) string {
	text := h.GetName()
	switch match := h.GetHeaderMatchSpecifier().(type) {
	case *routev3.HeaderMatcher_StringMatch:
		text += stringMatch(match.StringMatch)
	case *routev3.HeaderMatcher_SafeRegexMatch:
		text += "~" + match.SafeRegexMatch.GetRegex()
	case *routev3.HeaderMatcher_ExactMatch:
		text += "=" + match.ExactMatch
	case *routev3.HeaderMatcher_PrefixMatch:
		text += "=" + match.PrefixMatch + "*"
	case *routev3.HeaderMatcher_SuffixMatch:
		text += "=*" + match.SuffixMatch
	case *routev3.HeaderMatcher_ContainsMatch:
		text += "=*" + match.ContainsMatch + "*"
	case *routev3.HeaderMatcher_RangeMatch:
		text += fmt.Sprintf("=[%d,%d)", match.RangeMatch.GetStart(), match.RangeMatch.GetEnd())
	case *routev3.HeaderMatcher_PresentMatch:
		if !match.PresentMatch {
			text += " absent"
		}
	}
	if h.GetInvertMatch() {
		return "not " + text
	}
	return text
}

func stringMatch(m *matcherv3.StringMatcher) string {
	switch pattern := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return "=" + pattern.Exact
	case *matcherv3.StringMatcher_Prefix:
		return "=" + pattern.Prefix + "*"
	case *matcherv3.StringMatcher_Suffix:
		return "=*" + pattern.Suffix
	case *matcherv3.StringMatcher_Contains:
		return "=*" + pattern.Contains + "*"
	case *matcherv3.StringMatcher_SafeRegex:
		return "~" + pattern.SafeRegex.GetRegex()
	}
	return "=?"
}

// routeAction writes what happens to a request that matched.
func routeAction(r *routev3.Route) string {
	switch action := r.GetAction().(type) {
	case *routev3.Route_Route:
		return forward(action.Route)
	case *routev3.Route_Redirect:
		return redirect(action.Redirect)
	case *routev3.Route_DirectResponse:
		text := fmt.Sprint(action.DirectResponse.GetStatus())
		if body := action.DirectResponse.GetBody().GetInlineString(); body != "" {
			text += fmt.Sprintf(" %q", body)
		}
		return text
	case *routev3.Route_NonForwardingAction:
		return "served here" // by the gRPC server whose listener it is
	}
	return none
}

func forward(action *routev3.RouteAction) string {
	var parts []string
	switch target := action.GetClusterSpecifier().(type) {
	case *routev3.RouteAction_Cluster:
		parts = append(parts, target.Cluster)
	case *routev3.RouteAction_WeightedClusters:
		for _, c := range target.WeightedClusters.GetClusters() {
			parts = append(parts, fmt.Sprintf("%s weight %d", c.GetName(), c.GetWeight().GetValue()))
		}
	case *routev3.RouteAction_ClusterHeader:
		parts = append(parts, "the cluster in header "+target.ClusterHeader)
	default:
		parts = append(parts, none)
	}
	if host := action.GetHostRewriteLiteral(); host != "" {
		parts = append(parts, "host becomes "+host)
	}
	if prefix := action.GetPrefixRewrite(); prefix != "" {
		parts = append(parts, "prefix becomes "+prefix)
	}
	if rewrite := action.GetRegexRewrite(); rewrite != nil {
		parts = append(parts, fmt.Sprintf("path %s becomes %s", rewrite.GetPattern().GetRegex(), rewrite.GetSubstitution()))
	}
	for _, mirror := range action.GetRequestMirrorPolicies() {
		share := ""
		if fraction := mirror.GetRuntimeFraction().GetDefaultValue(); fraction != nil {
			share = " " + percent(fraction)
		}
		parts = append(parts, "mirror "+mirror.GetCluster()+share)
	}
	return strings.Join(parts, ", ")
}

// redirectCodes are the HTTP codes of envoy.config.route.v3.RedirectAction.RedirectResponseCode.
var redirectCodes = map[routev3.RedirectAction_RedirectResponseCode]int{
	routev3.RedirectAction_MOVED_PERMANENTLY:  301,
	routev3.RedirectAction_FOUND:              302,
	routev3.RedirectAction_SEE_OTHER:          303,
	routev3.RedirectAction_TEMPORARY_REDIRECT: 307,
	routev3.RedirectAction_PERMANENT_REDIRECT: 308,
}

// redirect writes the Location, with the parts of the request that stay in it as words.
func redirect(r *routev3.RedirectAction) string {
	scheme := cmp.Or(r.GetSchemeRedirect(), "scheme")
	if r.GetHttpsRedirect() {
		scheme = "https"
	}
	location := scheme + "://" + cmp.Or(r.GetHostRedirect(), "host")
	if r.GetPortRedirect() != 0 {
		location += fmt.Sprintf(":%d", r.GetPortRedirect())
	}
	switch path := r.GetPathRewriteSpecifier().(type) {
	case *routev3.RedirectAction_PathRedirect:
		location += path.PathRedirect
	case *routev3.RedirectAction_PrefixRewrite:
		location += path.PrefixRewrite + "*"
	case *routev3.RedirectAction_RegexRewrite:
		location += path.RegexRewrite.GetSubstitution()
	default:
		location += "/path"
	}
	return fmt.Sprintf("%d %s", redirectCodes[r.GetResponseCode()], location)
}

// routeTimeouts writes the limits that a route sets; 0 is Envoy's word for no limit.
func routeTimeouts(action *routev3.RouteAction) string {
	var parts []string
	add := func(name string, d *durationpb.Duration) {
		if d == nil {
			return
		}
		value := "none"
		if d.AsDuration() != 0 {
			value = d.AsDuration().Round(time.Microsecond).String()
		}
		parts = append(parts, name+" "+value)
	}
	add("request", action.GetTimeout())
	add("stream", action.GetMaxStreamDuration().GetMaxStreamDuration())
	add("idle", action.GetIdleTimeout())
	add("try", action.GetRetryPolicy().GetPerTryTimeout())
	return cmp.Or(strings.Join(parts, ", "), none)
}

// percent writes a fraction of requests.
func percent(f *typev3.FractionalPercent) string {
	of := map[typev3.FractionalPercent_DenominatorType]float64{
		typev3.FractionalPercent_HUNDRED:      1,
		typev3.FractionalPercent_TEN_THOUSAND: 100,
		typev3.FractionalPercent_MILLION:      10000,
	}[f.GetDenominator()]
	return fmt.Sprintf("%g%%", float64(f.GetNumerator())/of)
}
