package accesslog

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// plain are the command operators without arguments.
//
// https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter
var plain = map[string]operator{
	"PROTOCOL":      func(e *Entry) any { return some(e.Protocol) },
	"RESPONSE_CODE": func(e *Entry) any { return int64(e.Status) },
	"RESPONSE_FLAGS": func(e *Entry) any {
		if e.ResponseFlags == "" {
			return "-" // in JSON too
		}
		return e.ResponseFlags
	},
	"ROUTE_NAME":            func(e *Entry) any { return some(e.RouteName) },
	"REQUESTED_SERVER_NAME": func(e *Entry) any { return some(e.ServerName) },
	"BYTES_RECEIVED":        func(e *Entry) any { return e.BytesReceived },
	"BYTES_SENT":            func(e *Entry) any { return e.BytesSent },
	"DURATION":              func(e *Entry) any { return e.Duration.Milliseconds() },

	"UPSTREAM_CLUSTER":                  func(e *Entry) any { return some(e.UpstreamCluster) },
	"UPSTREAM_CLUSTER_RAW":              func(e *Entry) any { return some(e.UpstreamCluster) },
	"UPSTREAM_REQUEST_ATTEMPT_COUNT":    func(e *Entry) any { return int64(e.Attempts) },
	"UPSTREAM_TRANSPORT_FAILURE_REASON": func(e *Entry) any { return some(e.FailureReason) },
	"UPSTREAM_HOST":                     func(e *Entry) any { return addressAndPort(e.Upstream.Remote) },

	"UPSTREAM_REMOTE_ADDRESS":              func(e *Entry) any { return addressAndPort(e.Upstream.Remote) },
	"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": func(e *Entry) any { return address(e.Upstream.Remote) },
	"UPSTREAM_REMOTE_PORT":                 func(e *Entry) any { return port(e.Upstream.Remote) },
	"UPSTREAM_LOCAL_ADDRESS":               func(e *Entry) any { return addressAndPort(e.Upstream.Local) },
	"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":  func(e *Entry) any { return address(e.Upstream.Local) },
	"UPSTREAM_LOCAL_PORT":                  func(e *Entry) any { return port(e.Upstream.Local) },

	// No address is taken from X-Forwarded-For or the proxy protocol, so that the direct one is the same.
	"DOWNSTREAM_REMOTE_ADDRESS":                     func(e *Entry) any { return addressAndPort(e.Downstream.Remote) },
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":        func(e *Entry) any { return address(e.Downstream.Remote) },
	"DOWNSTREAM_REMOTE_PORT":                        func(e *Entry) any { return port(e.Downstream.Remote) },
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":              func(e *Entry) any { return addressAndPort(e.Downstream.Remote) },
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": func(e *Entry) any { return address(e.Downstream.Remote) },
	"DOWNSTREAM_DIRECT_REMOTE_PORT":                 func(e *Entry) any { return port(e.Downstream.Remote) },
	"DOWNSTREAM_LOCAL_ADDRESS":                      func(e *Entry) any { return addressAndPort(e.Downstream.Local) },
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":         func(e *Entry) any { return address(e.Downstream.Local) },
	"DOWNSTREAM_LOCAL_PORT":                         func(e *Entry) any { return port(e.Downstream.Local) },
}

func some(value string) any {
	if value == "" {
		return nil
	}
	return value
}

func addressAndPort(a netip.AddrPort) any {
	if !a.IsValid() {
		return nil
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

func address(a netip.AddrPort) any {
	if !a.IsValid() {
		return nil
	}
	return a.Addr().Unmap().String()
}

func port(a netip.AddrPort) any {
	if !a.IsValid() {
		return nil
	}
	return int64(a.Port())
}

// headers are the command operators for headers: what finds one by its name, in the form of canonical.
var headers = map[string]func(e *Entry, name string) []string{
	"REQ": requestHeader, "REQUEST_HEADER": requestHeader,
	"RESP": responseHeader, "RESPONSE_HEADER": responseHeader,
	"TRAILER": trailer, "RESPONSE_TRAILER": trailer,
}

func requestHeader(e *Entry, name string) []string {
	pseudo := map[string]string{":method": e.Method, ":scheme": e.Scheme, ":authority": e.Authority, "Host": e.Authority, ":path": e.Path}
	if value, ok := pseudo[name]; !ok {
		return e.RequestHeader[name]
	} else if value != "" {
		return []string{value}
	}
	return nil
}

func responseHeader(e *Entry, name string) []string {
	if name == ":status" && e.Status != 0 {
		return []string{strconv.Itoa(e.Status)}
	}
	return e.ResponseHeader[name]
}

func trailer(e *Entry, name string) []string { return e.Trailer[name] }

// newHeaderOperator reads "NAME?ALTERNATIVE". Of a header with several lines, the first is logged.
func newHeaderOperator(find func(*Entry, string) []string, arguments, length string) (operator, error) {
	names := strings.Split(arguments, "?")
	if names[0] == "" {
		return nil, errors.New("needs the name of a header")
	}
	if len(names) > 2 {
		return nil, errors.New("takes one alternative header")
	}
	for i, name := range names {
		names[i] = canonical(name)
	}
	limit := -1
	if length != "" {
		var err error
		if limit, err = strconv.Atoi(length); err != nil {
			return nil, err
		}
	}
	return func(e *Entry) any {
		for _, name := range names {
			if values := find(e, name); len(values) > 0 {
				return cut(values[0], limit)
			}
		}
		return nil
	}, nil
}

func canonical(name string) string {
	if strings.HasPrefix(name, ":") {
		return strings.ToLower(name)
	}
	return http.CanonicalHeaderKey(name)
}

func cut(value string, limit int) string {
	if limit >= 0 && limit < len(value) {
		return value[:limit]
	}
	return value
}

// newDetailsOperator: "the string will not contain any whitespaces, which will be converted to underscore, unless optional
// parameter X is ALLOW_WHITESPACES".
func newDetailsOperator(arguments string) (operator, error) {
	switch arguments {
	case "":
		return func(e *Entry) any { return some(strings.Join(strings.Fields(e.StatusDetails), "_")) }, nil
	case "ALLOW_WHITESPACES":
		return func(e *Entry) any { return some(e.StatusDetails) }, nil
	}
	return nil, fmt.Errorf("the argument %q is unknown", arguments)
}

// layouts are Go's layouts of conversion specifiers of strftime.
var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'j': "002", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'z': "-0700", 'Z': "MST",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'D': "01/02/06",
}

// newTimeOperator reads a format of strftime, with %s, %f and %1f to %9f beside. The time is that of UTC.
func newTimeOperator(format string) (operator, error) {
	if format == "" {
		return func(e *Entry) any { return e.Start.UTC().Format("2006-01-02T15:04:05.000Z") }, nil
	}
	var parts []func(time.Time) string
	for rest := format; rest != ""; {
		before, after, found := strings.Cut(rest, "%")
		parts = append(parts, func(time.Time) string { return before })
		if !found {
			break
		}
		part, length, err := specifier(after)
		if err != nil {
			return nil, fmt.Errorf("%%%s: %w", after, err)
		}
		parts, rest = append(parts, part), after[length:]
	}
	return func(e *Entry) any {
		var out strings.Builder
		for _, part := range parts {
			out.WriteString(part(e.Start.UTC()))
		}
		return out.String()
	}, nil
}

// specifier returns what executes the conversion specifier that a string starts with, without the %, and its length.
func specifier(s string) (part func(time.Time) string, length int, err error) {
	digits, length := 9, 1
	if len(s) > 1 && '1' <= s[0] && s[0] <= '9' && s[1] == 'f' {
		digits, length = int(s[0]-'0'), 2
	}
	switch {
	case s == "":
	case length == 2, s[0] == 'f':
		return func(t time.Time) string { return fmt.Sprintf("%09d", t.Nanosecond())[:digits] }, length, nil
	case s[0] == 's':
		return func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }, 1, nil
	case s[0] == '%':
		return func(time.Time) string { return "%" }, 1, nil
	case layouts[s[0]] != "":
		layout := layouts[s[0]]
		return func(t time.Time) string { return t.Format(layout) }, 1, nil
	}
	return nil, 0, errors.New("this conversion specifier isn't executed")
}
