package router

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// Redirect answers with a Location.
type Redirect struct {
	Status int
	action *redirectAction
}

// Location returns the Location header of the response to a request.
func (r *Redirect) Location(request *Request) string { return r.action.location(request) }

// redirectAction is a compiled RedirectAction.
type redirectAction struct {
	status     int
	scheme     string // empty: that of the request
	host       string // empty: that of the request
	port       string // with a colon; empty: that of the host
	path       string // replaces the path, unless empty; it may bring a query along
	prefix     string // replaces what was matched, unless empty
	regex      *substitution
	stripQuery bool
	match      pathMatch
}

func newRedirectAction(config *routev3.RedirectAction, match pathMatch) (*redirectAction, error) {
	a := &redirectAction{
		status: map[routev3.RedirectAction_RedirectResponseCode]int{
			routev3.RedirectAction_MOVED_PERMANENTLY:  http.StatusMovedPermanently,
			routev3.RedirectAction_FOUND:              http.StatusFound,
			routev3.RedirectAction_SEE_OTHER:          http.StatusSeeOther,
			routev3.RedirectAction_TEMPORARY_REDIRECT: http.StatusTemporaryRedirect,
			routev3.RedirectAction_PERMANENT_REDIRECT: http.StatusPermanentRedirect,
		}[config.GetResponseCode()],
		scheme: config.GetSchemeRedirect(), host: config.GetHostRedirect(), path: config.GetPathRedirect(),
		prefix: config.GetPrefixRewrite(), stripQuery: config.GetStripQuery(), match: match,
	}
	if config.GetHttpsRedirect() {
		a.scheme = "https"
	}
	if config.GetPortRedirect() != 0 {
		a.port = ":" + strconv.Itoa(int(config.GetPortRedirect()))
	}
	if rewrite := config.GetRegexRewrite(); rewrite != nil {
		var err error
		if a.regex, err = newSubstitution(rewrite.GetPattern().GetRegex(), rewrite.GetSubstitution()); err != nil {
			return nil, fmt.Errorf("regex_rewrite.%w", err)
		}
	}
	return a, nil
}

func (a *redirectAction) location(r *Request) string {
	scheme, host := r.Scheme, a.host
	if a.scheme != "" {
		scheme = a.scheme
	}
	if host == "" {
		host = a.requestHost(r, scheme)
	}
	return scheme + "://" + host + a.port + a.newPath(r.Path)
}

// requestHost returns the host of a request for a Location with a scheme. The port goes if another one takes its place, or if it
// is the default port of a scheme that is another now.
func (a *redirectAction) requestHost(r *Request, scheme string) string {
	host, port := splitPort(r.Authority)
	from := r.Header.Get("X-Forwarded-Proto")
	standard := from == "https" && port == ":443" || from == "http" && port == ":80"
	if a.port != "" || scheme != from && standard {
		return host
	}
	return r.Authority
}

// newPath returns a path and query for those of a request.
func (a *redirectAction) newPath(path string) string {
	switch only := pathOnly(path); {
	case a.path != "":
		if strings.Contains(a.path, "?") {
			return absolute(a.path) // this query isn't stripped
		}
		_, query, found := strings.Cut(path, "?")
		path = a.path
		if found {
			path += "?" + query
		}
	case a.prefix != "":
		_, rest := a.match.split(path)
		path = a.prefix + rest
	case a.regex != nil:
		if rewritten := a.regex.replaceAll(only); rewritten != "" {
			path = rewritten + path[len(only):]
		}
	}
	path = absolute(path)
	if a.stripQuery {
		path, _, _ = strings.Cut(path, "?")
	}
	return path
}

func absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// Direct answers without asking anybody.
type Direct struct {
	Status int
	Body   []byte
}

// defaultMaxBody: "If not specified the default is 4096" (RouteConfiguration.max_direct_response_body_size_bytes).
const defaultMaxBody = 4096

func newDirect(config *routev3.DirectResponseAction, maxBody int) (*Direct, error) {
	d := &Direct{Status: int(config.GetStatus()), Body: config.GetBody().GetInlineBytes()}
	if text := config.GetBody().GetInlineString(); text != "" {
		d.Body = []byte(text)
	}
	if len(d.Body) > maxBody {
		return nil, fmt.Errorf("body: %d bytes; the maximum is %d", len(d.Body), maxBody)
	}
	if d.Status == http.StatusCreated || d.Status/100 == 3 {
		return nil, errors.New("status: 201 and redirections, to which Envoy adds a Location, aren't executed")
	}
	return d, nil
}
