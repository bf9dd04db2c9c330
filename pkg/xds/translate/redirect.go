package translate

import (
	"net/http"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

var redirectCodes = map[int]routev3.RedirectAction_RedirectResponseCode{
	http.StatusMovedPermanently:  routev3.RedirectAction_MOVED_PERMANENTLY,
	http.StatusFound:             routev3.RedirectAction_FOUND,
	http.StatusSeeOther:          routev3.RedirectAction_SEE_OTHER,
	http.StatusTemporaryRedirect: routev3.RedirectAction_TEMPORARY_REDIRECT,
	http.StatusPermanentRedirect: routev3.RedirectAction_PERMANENT_REDIRECT,
}

// redirect returns the action of a RequestRedirect filter for the requests of a virtual host.
func redirect(f *gwv1.HTTPRequestRedirectFilter, change pathChange, vh graph.VirtualHostKey) *routev3.RedirectAction {
	out := &routev3.RedirectAction{
		HostRedirect: string(deref(f.Hostname, "")),
		ResponseCode: redirectCodes[deref(f.StatusCode, http.StatusFound)],
	}
	if f.Scheme != nil {
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: *f.Scheme}
	}
	switch {
	case change.full != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: change.full}
	case change.prefix != "":
		out.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: change.prefix}
	}
	redirectPort(out, f, vh)
	return out
}

// redirectPort chooses the port of the Location header. "If no port is specified: if redirect scheme is not-empty, the
// redirect port MUST be the well-known port associated with the redirect scheme. If redirect scheme is empty, the
// redirect port MUST be the Gateway Listener port. Implementations SHOULD NOT add the port number" where it is the
// scheme's own.
//
// Envoy cannot be told to leave the port out: without a port_redirect it keeps the one of the request's Host header.
func redirectPort(out *routev3.RedirectAction, f *gwv1.HTTPRequestRedirectFilter, vh graph.VirtualHostKey) {
	from := "http"
	if isHTTPS(vh.Table) {
		from = "https"
	}
	to := deref(f.Scheme, from)
	var port int32
	switch {
	case f.Port != nil:
		port = int32(*f.Port)
	case f.Scheme != nil:
		port = wellKnownPort(to)
	default:
		port = vh.Table.Port
	}
	switch {
	case port != wellKnownPort(to):
		out.PortRedirect = uint32(port)
	case out.HostRedirect != "":
		// A literal host brings no port along.
	case !strings.HasPrefix(vh.Domain, "*"):
		out.HostRedirect = vh.Domain // the request's host, without its port
	case vh.Table.Port != wellKnownPort(from):
		out.PortRedirect = uint32(port) // clients name the listener's port in Host; it has to be replaced
	default:
		// Clients have no reason to name a port, and Envoy drops it if it is the old scheme's.
	}
}

// wellKnownPort returns the port of http or https, the schemes that the schema allows, or 0.
func wellKnownPort(scheme string) int32 {
	switch scheme {
	case "http":
		return 80
	case "https":
		return 443
	default:
		return 0
	}
}
