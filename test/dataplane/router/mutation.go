package router

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// mutation is a change to headers: what a level of the configuration says in *_headers_to_remove and *_headers_to_add.
type mutation struct {
	remove []string // canonical names
	add    []addition
}

type addition struct {
	name, value string
	action      corev3.HeaderValueOption_HeaderAppendAction
}

// newMutation compiles the two fields whose names begin with the given word, "request" or "response".
func newMutation(of string, add []*corev3.HeaderValueOption, remove []string) (mutation, error) {
	var m mutation
	for i, name := range remove {
		if !modifiable(name) {
			return mutation{}, fmt.Errorf("%s_headers_to_remove[%d]: %q: :-prefixed or host headers may not be removed", of, i, name)
		}
		m.remove = append(m.remove, http.CanonicalHeaderKey(name))
	}
	for i, option := range add {
		a, err := newAddition(option)
		if err != nil {
			return mutation{}, fmt.Errorf("%s_headers_to_add[%d] (%s): %w", of, i, option.GetHeader().GetKey(), err)
		}
		if a.value != "" || option.GetKeepEmptyValue() {
			m.add = append(m.add, a)
		}
	}
	return m, nil
}

func newAddition(option *corev3.HeaderValueOption) (addition, error) {
	name := option.GetHeader().GetKey()
	if !modifiable(name) {
		return addition{}, errors.New(":-prefixed or host headers may not be modified")
	}
	value, err := literal(option.GetHeader().GetValue())
	if err != nil {
		return addition{}, fmt.Errorf("header.value: %w", err)
	}
	return addition{name: http.CanonicalHeaderKey(name), value: value, action: option.GetAppendAction()}, nil
}

// modifiable says whether a header may be changed; the others are for rewrites.
func modifiable(name string) bool {
	return name != "" && name[0] != ':' && !strings.EqualFold(name, "host")
}

// literal returns a format string without command operators as it is sent: "%%" is a percent sign.
func literal(format string) (string, error) {
	for rest := format; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return strings.ReplaceAll(format, "%%", "%"), nil
		}
		if i+1 == len(rest) || rest[i+1] != '%' {
			return "", fmt.Errorf("%q: the command operator at %q isn't executed", format, rest[i:])
		}
		rest = rest[i+2:]
	}
}

// apply changes headers. Removals come first, so that a header can be replaced. Whether a header that is to be added exists is
// asked before any is added; then overwriting comes before appending, wherever they stand in the list.
func (m *mutation) apply(h http.Header) {
	for _, name := range m.remove {
		h.Del(name)
	}
	var overwrite, appended []addition
	for _, a := range m.add {
		exists := len(h[a.name]) > 0
		switch a.action {
		case corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			appended = append(appended, a)
		case corev3.HeaderValueOption_ADD_IF_ABSENT:
			if !exists {
				appended = append(appended, a)
			}
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS:
			if exists {
				overwrite = append(overwrite, a)
			}
		case corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD:
			overwrite = append(overwrite, a)
		}
	}
	for _, a := range overwrite {
		h[a.name] = []string{a.value}
	}
	for _, a := range appended {
		addHeader(h, a.name, a.value)
	}
}

// singleLine are the headers of which Envoy never makes two lines (the INLINE_*_HEADERS of its header_map.h, as far as they come
// up here): what is added follows a comma.
var singleLine = map[string]bool{
	"Connection": true, "Content-Length": true, "Content-Type": true, "Date": true, "Expect": true, "Grpc-Timeout": true,
	"Keep-Alive": true, "Location": true, "Proxy-Connection": true, "Server": true, "Te": true, "Transfer-Encoding": true,
	"Upgrade": true, "User-Agent": true, "Via": true, "X-Forwarded-Client-Cert": true, "X-Forwarded-For": true,
	"X-Forwarded-Host": true, "X-Forwarded-Port": true, "X-Forwarded-Proto": true, "X-Request-Id": true,
}

func addHeader(h http.Header, name, value string) {
	if old := h[name]; singleLine[name] && len(old) > 0 && old[0] != "" {
		value = strings.Join(append(old[:len(old):len(old)], value), ",")
		h[name] = []string{value}
		return
	}
	h[name] = append(h[name], value)
}
