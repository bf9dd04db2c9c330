package session

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	statefulsessionv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/stateful_session/v3"
	cookiev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/cookie/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/stateful_session/header/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/hcm/filter"
	"github.com/gateway-apiserver/gateway-apiserver/test/dataplane/strict"
)

var fields = strict.Fields{
	"envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute": "stateful_session",
	"envoy.extensions.filters.http.stateful_session.v3.StatefulSession":         "session_state",
	"envoy.config.core.v3.TypedExtensionConfig":                                 "name typed_config",
	"envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState":  "cookie",
	"envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState":  "name",
	"envoy.type.http.v3.Cookie":                                                 "name ttl path attributes",
	"envoy.type.http.v3.CookieAttribute":                                        "name value",
}

// Config is how the sessions of a route are kept.
type Config struct{ state state }

// A state reads and writes the address of a host.
type state interface {
	// read returns the address in a request; applies is false if the request has no part in sessions.
	read(x *filter.Exchange) (address string, applies bool)
	// write puts the address into a response.
	write(response http.Header, address string)
}

// New compiles the settings of a route.
func New(config *statefulsessionv3.StatefulSessionPerRoute) (*Config, error) {
	if err := errors.Join(config.ValidateAll(), fields.Check(config)); err != nil {
		return nil, err
	}
	typed := config.GetStatefulSession().GetSessionState().GetTypedConfig()
	out := &Config{}
	var err error
	switch typed.GetTypeUrl() {
	case urlOf(&cookiev3.CookieBasedSessionState{}):
		out.state, err = newCookie(typed)
	case urlOf(&headerv3.HeaderBasedSessionState{}):
		out.state, err = newHeader(typed)
	default:
		err = fmt.Errorf("%q isn't executed", typed.GetTypeUrl())
	}
	if err != nil {
		return nil, fmt.Errorf("stateful_session.session_state.typed_config: %w", err)
	}
	return out, nil
}

func urlOf(m proto.Message) string {
	return "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())
}

// validated is a message of the generated API.
type validated interface {
	proto.Message
	ValidateAll() error
}

func unpack(typed *anypb.Any, into validated) error {
	if err := typed.UnmarshalTo(into); err != nil {
		return err
	}
	return errors.Join(into.ValidateAll(), fields.Check(into))
}

// Filter returns the filter for a request on a route with the settings.
func (c *Config) Filter() filter.Filter { return &instance{state: c.state} }

type instance struct {
	state   state
	applies bool
	address string // in the request
}

// Decode says which host the request is for.
func (f *instance) Decode(x *filter.Exchange) *filter.Reply {
	f.address, f.applies = f.state.read(x)
	if f.address != "" {
		x.Override = f.address
	}
	return nil
}

// Encode tells the client of the host, unless it knows.
func (f *instance) Encode(x *filter.Exchange, response http.Header) {
	if !f.applies || !x.Host.IsValid() || x.Host.String() == f.address {
		return
	}
	f.state.write(response, x.Host.String())
}

// header keeps a session in a header of requests and responses.
type header struct{ name string }

func newHeader(typed *anypb.Any) (state, error) {
	config := &headerv3.HeaderBasedSessionState{}
	if err := unpack(typed, config); err != nil {
		return nil, err
	}
	return header{http.CanonicalHeaderKey(config.GetName())}, nil
}

func (h header) read(x *filter.Exchange) (string, bool) {
	address, err := base64.StdEncoding.DecodeString(x.Request.Header.Get(h.name))
	if err != nil {
		return "", true
	}
	return string(address), true
}

func (h header) write(response http.Header, address string) {
	response.Set(h.name, base64.StdEncoding.EncodeToString([]byte(address)))
}

// cookie keeps a session in a cookie.
type cookie struct {
	name, path string
	ttl        time.Duration
	attributes string // as they are in Set-Cookie
}

func newCookie(typed *anypb.Any) (state, error) {
	config := &cookiev3.CookieBasedSessionState{}
	if err := unpack(typed, config); err != nil {
		return nil, err
	}
	c := config.GetCookie()
	if c.GetName() == "" {
		return nil, errors.New("cookie.name: required")
	}
	out := cookie{name: c.GetName(), path: c.GetPath(), ttl: c.GetTtl().AsDuration().Truncate(time.Second)}
	for _, a := range c.GetAttributes() {
		out.attributes += "; " + a.GetName()
		if a.GetValue() != "" {
			out.attributes += "=" + a.GetValue()
		}
	}
	return out, nil
}

func (c cookie) read(x *filter.Exchange) (string, bool) {
	if !c.matches(x.Request.Path) {
		return "", false
	}
	value, err := base64.StdEncoding.DecodeString(cookieValue(x.Request.Header, c.name))
	if err != nil {
		return "", true
	}
	t, ok := parseToken(value)
	if !ok {
		return string(value), true // an Envoy before 1.26 wrote it
	}
	if t.expires != 0 && t.expires < time.Now().Unix() {
		return "", true
	}
	return t.address, true
}

// matches says whether a browser would send the cookie with a request for a path, as RFC 6265 has it.
func (c cookie) matches(path string) bool {
	rest, ok := strings.CutPrefix(path, c.path)
	switch {
	case c.path == "" || c.path == "/":
		return true
	case !ok:
		return false
	default:
		return strings.HasSuffix(c.path, "/") || rest == "" || strings.IndexByte("/?#", rest[0]) >= 0
	}
}

func (c cookie) write(response http.Header, address string) {
	t := token{address: address}
	if c.ttl > 0 {
		t.expires = time.Now().Add(c.ttl).Unix()
	}
	value := fmt.Sprintf("%s=%q", c.name, base64.StdEncoding.EncodeToString(t.encode()))
	if c.ttl > 0 {
		value += fmt.Sprintf("; Max-Age=%d", int(c.ttl.Seconds()))
	}
	if c.path != "" {
		value += "; Path=" + c.path
	}
	response.Add("Set-Cookie", value+c.attributes+"; HttpOnly")
}

// cookieValue returns the value of a cookie in a request, without quotes; empty if there is none.
func cookieValue(request http.Header, name string) string {
	for _, line := range request["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if key != name {
				continue
			}
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			return value
		}
	}
	return ""
}
