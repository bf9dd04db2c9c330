package translate

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// pathChange is what becomes of the path of a request that a route matches; the zero value leaves it alone.
type pathChange struct {
	full   string // replaces the path
	prefix string // replaces the part that was matched
}

// changePath returns what a path modifier does to the requests of a match, and the paths to match in place of the given
// one so that Envoy, which replaces what it matched, does it right.
func changePath(path pathMatch, modifier *gwv1.HTTPPathModifier) ([]pathMatch, pathChange) {
	same := []pathMatch{path}
	if modifier == nil {
		return same, pathChange{}
	}
	if modifier.Type == gwv1.FullPathHTTPPathModifier {
		return same, pathChange{full: absolute(deref(modifier.ReplaceFullPath, ""))}
	}
	if path.form != pathSegments {
		return same, pathChange{} // the schema allows ReplacePrefixMatch with a PathPrefix only
	}
	// "Matches full path elements ... a trailing / is ignored": see the table at HTTPPathModifier.replacePrefixMatch.
	with := strings.TrimRight(absolute(deref(modifier.ReplacePrefixMatch, "")), "/")
	switch {
	case path.value == "" && with == "":
		return same, pathChange{}
	case path.value == "":
		// The route matches the prefix "/", which is also where the rest of the path starts.
		return same, pathChange{prefix: with + "/"}
	case with == "":
		// /foo and /foo/bar become / and /bar: what goes is "/foo" of the one, "/foo/" of the other.
		return path.apart(), pathChange{prefix: "/"}
	default:
		return same, pathChange{prefix: with}
	}
}

// absolute makes sure that a path starts with a slash, which the schema doesn't ask for.
func absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// rewriteHost replaces the Host header, which is sent as it came otherwise.
func rewriteHost(action *routev3.RouteAction, host string) {
	if host != "" {
		action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host}
	}
}

// rewritePath does what a URLRewrite says of the path.
func rewritePath(action *routev3.RouteAction, change pathChange) {
	action.PrefixRewrite = change.prefix
	if change.full != "" {
		// The query stays. path_rewrite would say the same in Envoys of 2025 and later, and reads %COMMANDS%.
		action.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{
			Pattern:      regex("^.+$"),
			Substitution: strings.ReplaceAll(change.full, `\`, `\\`), // \1 is a group
		}
	}
}
