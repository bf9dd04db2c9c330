package extauthz

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"golang.org/x/net/http/httpguts"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/router"
)

// flag is the response flag of requests that aren't authorized.
const flag = "UAEX"

type instance struct {
	config   *Config
	response []change
}

// Decode asks the server.
func (f *instance) Decode(x *filter.Exchange) *filter.Reply {
	c := f.config
	var body []byte
	if c.body != nil && !x.Body.Empty() && x.Upgrade == "" {
		limit := int(c.body.GetMaxRequestBytes())
		if c.body.GetAllowPartialMessage() {
			limit-- // as soon as there is as much, and not more
		}
		var err error
		if body, err = x.Body.Buffer(x.Context, limit); err != nil {
			return &filter.Reply{Status: http.StatusBadRequest, Flag: "DC", Details: "downstream_remote_disconnect"}
		}
		if len(body) > limit && !c.body.GetAllowPartialMessage() {
			return &filter.Reply{Status: http.StatusRequestEntityTooLarge, Body: "Payload Too Large", Details: "request_payload_too_large"}
		}
		if body == nil {
			body = []byte{}
		}
	}
	v, err := c.service.check(x.Context, x.Clusters, c.request(x, body))
	switch {
	case err != nil:
		return f.fail(x, &verdict{})
	case v.failed:
		return f.fail(x, v)
	case v.status != 0:
		return f.refuse(v, v.status, "ext_authz_denied")
	default:
		return f.allow(x, v)
	}
}

// fail answers that there is no verdict, or lets the request pass if that is what is to be done.
func (f *instance) fail(x *filter.Exchange, v *verdict) *filter.Reply {
	if f.config.allowFailure {
		if f.config.markFailure {
			x.Request.Header.Add("X-Envoy-Auth-Failure-Mode-Allowed", "true")
		}
		return nil
	}
	status := v.status
	if status == 0 {
		status = f.config.statusOnError
	}
	return f.refuse(v, status, "ext_authz_error")
}

func (f *instance) refuse(v *verdict, status int, details string) *filter.Reply {
	if !f.valid(v.set) {
		return invalid()
	}
	return &filter.Reply{Status: status, Body: v.body, Flag: flag, Details: details, Modify: func(h http.Header) {
		for _, c := range v.set {
			h.Del(c.name)
		}
		for _, c := range v.set {
			h.Add(c.name, c.value)
		}
	}}
}

// invalid: "If the response is invalid, the filter will send a local reply to the downstream request with status HTTP 500 Internal
// Server Error" (validate_mutations).
func invalid() *filter.Reply {
	return &filter.Reply{Status: http.StatusInternalServerError, Flag: flag, Details: "ext_authz_invalid"}
}

func (f *instance) valid(changes []change) bool {
	return !f.config.validate || !slices.ContainsFunc(changes, func(c change) bool {
		return !httpguts.ValidHeaderFieldName(strings.TrimPrefix(c.name, ":")) || !httpguts.ValidHeaderFieldValue(c.value)
	})
}

// allow changes the request as the server says.
func (f *instance) allow(x *filter.Exchange, v *verdict) *filter.Reply {
	if !f.valid(v.set) || !f.valid(v.appended) || !f.valid(v.response) || f.config.validate && !encoded(v.setQuery) {
		return invalid()
	}
	for _, c := range v.set {
		setHeader(x.Request, c)
	}
	for _, c := range v.appended {
		name := http.CanonicalHeaderKey(c.name)
		if values := x.Request.Header[name]; len(values) > 0 {
			x.Request.Header[name] = []string{strings.Join(append(slices.Clone(values), c.value), ",")}
		}
	}
	for _, name := range v.remove {
		x.Request.Header.Del(name) // there, pseudo headers and Host aren't, which can't be removed
	}
	if len(v.setQuery)+len(v.removeQuery) > 0 {
		x.Request.Path = changeQuery(x.Request.Path, v.setQuery, v.removeQuery)
	}
	f.response = v.response
	return nil
}

func setHeader(r *router.Request, c change) {
	switch name := strings.ToLower(c.name); name {
	case ":path":
		r.Path = c.value
	case ":authority", "host":
		r.Authority = c.value
	case ":method":
		r.Method = c.value
	case ":scheme":
		r.Scheme = c.value
	default:
		mutate(r.Header, c)
	}
}

func mutate(h http.Header, c change) {
	_, known := h[http.CanonicalHeaderKey(c.name)]
	switch c.action {
	case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
		h.Add(c.name, c.value)
	case corev3.HeaderValueOption_ADD_IF_ABSENT:
		if !known {
			h.Set(c.name, c.value)
		}
	case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
		if known {
			h.Set(c.name, c.value)
		}
	default:
		h.Set(c.name, c.value)
	}
}

// Encode changes the response as the server says.
func (f *instance) Encode(_ *filter.Exchange, response http.Header) {
	for _, c := range f.response {
		mutate(response, c)
	}
}

// encoded says whether query parameters can be written as they are.
func encoded(parameters [][2]string) bool {
	for _, p := range parameters {
		for _, s := range p {
			decoded, err := url.QueryUnescape(s)
			if err != nil || decoded == s && url.QueryEscape(s) != s {
				return false
			}
		}
	}
	return true
}

// changeQuery sets and removes parameters of a path's query.
func changeQuery(path string, set [][2]string, remove []string) string {
	path, query, _ := strings.Cut(path, "?")
	var parameters []string
	if query != "" {
		parameters = strings.Split(query, "&")
	}
	drop := func(name string) {
		parameters = slices.DeleteFunc(parameters, func(p string) bool {
			key, _, _ := strings.Cut(p, "=")
			return key == name
		})
	}
	for _, p := range set {
		drop(p[0])
		parameters = append(parameters, p[0]+"="+p[1])
	}
	for _, name := range remove {
		drop(name)
	}
	if len(parameters) == 0 {
		return path
	}
	return path + "?" + strings.Join(parameters, "&")
}
