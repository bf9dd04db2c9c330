package accesslog

import (
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"
)

// config reads an access log in YAML.
func config(t *testing.T, text string) *accesslogv3.AccessLog {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out := &accesslogv3.AccessLog{}
	if err := protojson.Unmarshal(data, out); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return out
}

func file(path, fields string) string {
	return `{name: file, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: '` + path + `'` + fields + `}}`
}

func text(format string) string {
	return `, log_format: {text_format_source: {inline_string: '` + format + `'}}`
}

func jsonFormatOf(members string) string { return `, log_format: {json_format: ` + members + `}` }

// logged returns what a logger writes of entries.
func logged(t *testing.T, fields string, entries ...Entry) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.log")
	logger, err := New([]*accesslogv3.AccessLog{config(t, file(path, fields))})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		logger.Log(e)
	}
	if err := logger.Close(); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func request() Entry {
	return Entry{
		Start:         time.Date(2026, 1, 2, 13, 4, 5, 67_891_234, time.FixedZone("CET", 3600)),
		Duration:      1234567 * time.Microsecond,
		Method:        "POST",
		Scheme:        "https",
		Authority:     "shop.test",
		Path:          "/carts?id=7",
		Protocol:      "HTTP/2",
		RequestHeader: http.Header{"User-Agent": {"curl/8"}, "X-Forwarded-For": {"192.0.2.1"}, "A": {"one", "two"}, "Empty": {""}},

		Status:         201,
		StatusDetails:  "via upstream",
		ResponseHeader: http.Header{"Content-Type": {"text/plain"}},
		Trailer:        http.Header{"Grpc-Status": {"0"}},

		RouteName:     "carts",
		ResponseFlags: "UF,URX",
		ServerName:    "shop.test",

		UpstreamCluster: "app/carts:80",
		Attempts:        2,
		FailureReason:   "TLS_error",

		BytesReceived: 11,
		BytesSent:     22,

		Downstream: Peer{Local: netip.MustParseAddrPort("[2001:db8::1]:443"), Remote: netip.MustParseAddrPort("[::ffff:192.0.2.1]:5000")},
		Upstream:   Peer{Local: netip.MustParseAddrPort("10.0.0.1:6000"), Remote: netip.MustParseAddrPort("10.0.0.2:8080")},
	}
}

func TestDefaultFormat(t *testing.T) {
	t.Parallel()
	want := `[2026-01-02T12:04:05.067Z] "POST /carts?id=7 HTTP/2" 201 UF,URX 11 22 1234 - "192.0.2.1" "curl/8" "-" "shop.test" "10.0.0.2:8080"` + "\n" +
		`[2026-01-02T12:04:05.000Z] "- - -" 0 - 0 0 0 - "-" "-" "-" "-" "-"` + "\n"
	if got := logged(t, "", request(), Entry{Start: time.Date(2026, 1, 2, 12, 4, 5, 0, time.UTC)}); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestOperators(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ format, want, empty string }{
		{"plain text", "plain text", "plain text"},
		{"%%%PROTOCOL%%%", "%HTTP/2%", "%-%"},
		{"%RESPONSE_CODE% %RESPONSE_FLAGS% %ROUTE_NAME%", "201 UF,URX carts", "0 - -"},
		{"%RESPONSE_CODE_DETAILS%|%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "via_upstream|via upstream", "-|-"},
		{"%BYTES_RECEIVED% %BYTES_SENT% %DURATION%", "11 22 1234", "0 0 0"},
		{"%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_HOST%", "app/carts:80 app/carts:80 10.0.0.2:8080", "- - -"},
		{"%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "10.0.0.2:8080 10.0.0.2 8080", "- - -"},
		{"%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_PORT%", "10.0.0.1:6000 10.0.0.1 6000", "- - -"},
		{"%UPSTREAM_REQUEST_ATTEMPT_COUNT% %UPSTREAM_TRANSPORT_FAILURE_REASON%", "2 TLS_error", "0 -"},
		{"%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "192.0.2.1:5000 192.0.2.1 5000", "- - -"},
		{
			"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_PORT%",
			"192.0.2.1:5000 192.0.2.1 5000", "- - -",
		},
		{"%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%", "[2001:db8::1]:443 2001:db8::1 443", "- - -"},
		{"%REQUESTED_SERVER_NAME%", "shop.test", "-"},
		{"%REQ(:METHOD)% %REQ(:scheme)% %REQ(:AUTHORITY)% %REQ(HOST)% %REQUEST_HEADER(:PATH)%", "POST https shop.test shop.test /carts?id=7", "- - - - -"},
		{"%REQ(USER-AGENT)% %REQ(user-agent):4% %REQ(user-agent):40% %REQ(a)% %REQ(none)%", "curl/8 curl curl/8 one -", "- - - - -"},
		{"%REQ(none?:PATH):6% %REQ(a?:PATH)% [%REQ(empty?a)%]", "/carts one []", "- - [-]"},
		{"%RESP(:STATUS)% %RESP(CONTENT-TYPE)% %RESPONSE_HEADER(server?content-type):4%", "201 text/plain text", "- - -"},
		{"%TRAILER(GRPC-STATUS)% %RESPONSE_TRAILER(grpc-message)%", "0 -", "- -"},
		{"%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%", "2026/01/02T12:04:05+0000 1767355445", ""},
		{"%START_TIME(%s.%3f %1f %6f %9f %f %%)%", "1767355445.067 0 067891 067891234 067891234 %", ""},
		{"%START_TIME(%F %T %R %D %a %A %b %B %e %j %I %p %y %Z)%", "2026-01-02 12:04:05 12:04 01/02/26 Fri Friday Jan January  2 002 12 PM 26 UTC", ""},
		{"%START_TIME()%", "2026-01-02T12:04:05.067Z", ""},
	} {
		if got := logged(t, text(tt.format), request()); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.format, got, tt.want)
		}
		if tt.empty != "" {
			if got := logged(t, text(tt.format), Entry{}); got != tt.empty {
				t.Errorf("%s: got %q of nothing, want %q", tt.format, got, tt.empty)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	const members = `{code: "%RESPONSE_CODE%", "a <b>": "%PROTOCOL%", path: "%REQ(:PATH):6%?", flags: "%RESPONSE_FLAGS%", port: "%UPSTREAM_REMOTE_PORT%", text: "plain", empty: "", mixed: "%RESPONSE_CODE% %PROTOCOL%"}`
	want := `{"a <b>":"HTTP/2","code":201,"empty":"","flags":"UF,URX","mixed":"201 HTTP/2","path":"/carts?","port":8080,"text":"plain"}` + "\n" +
		`{"a <b>":null,"code":0,"empty":"","flags":"-","mixed":"0 -","path":"-?","port":null,"text":"plain"}` + "\n"
	if got := logged(t, jsonFormatOf(members), request(), Entry{}); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	for _, tt := range []struct{ config, want string }{
		{file(path, text(`%STATUS%`)), "[0].typed_config.log_format.text_format_source.inline_string: %STATUS%: isn't executed"},
		{file(path, text(`%GRPC_STATUS%`)), "%GRPC_STATUS%: isn't executed"},
		{file(path, text(`100% of`)), `"% of" is no command operator`},
		{file(path, text(`%protocol%`)), `"%protocol%" is no command operator`},
		{file(path, text(`%PROTOCOL`)), `"%PROTOCOL" is no command operator`},
		{file(path, text(`%PROTOCOL(x)%`)), "%PROTOCOL(x)%: takes no arguments"},
		{file(path, text(`%PROTOCOL:3%`)), "%PROTOCOL:3%: takes no arguments"},
		{file(path, text(`%REQ%`)), "%REQ%: needs the name of a header"},
		{file(path, text(`%REQ()%`)), "%REQ()%: needs the name of a header"},
		{file(path, text(`%REQ(a?b?c)%`)), "%REQ(a?b?c)%: takes one alternative header"},
		{file(path, text(`%REQ(a):99999999999999999999%`)), "value out of range"},
		{file(path, text(`%START_TIME:3%`)), "%START_TIME:3%: takes no length"},
		{file(path, text(`%START_TIME(%Q)%`)), "%START_TIME(%Q)%: %Q: this conversion specifier isn't executed"},
		{file(path, text(`%START_TIME(a%)%`)), "this conversion specifier isn't executed"},
		{file(path, text(`%RESPONSE_CODE_DETAILS(X)%`)), `the argument "X" is unknown`},
		{file(path, text(`%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%`)), "takes no arguments"},
		{file(path, jsonFormatOf(`{a: "%STATUS%"}`)), "log_format.json_format[a]: %STATUS%: isn't executed"},
		{file(path, jsonFormatOf(`{a: {b: c}}`)), "log_format.json_format[a]: only strings are executed"},
		{file(path, jsonFormatOf(`{a: 1}`)), "log_format.json_format[a]: only strings are executed"},
		{file(path, `, log_format: {json_format: {}, omit_empty_values: true}`), "omit_empty_values: not executed"},
		{file(path, `, log_format: {text_format: a}`), "text_format: not executed"},
		{file(path, `, log_format: {text_format_source: {filename: a}}`), "text_format_source.filename: not executed"},
		{file(path, `, format: a`), "format: not executed"},
		{file("", ""), "Path: value length must be at least 1"},
		{file(filepath.Join(path, "below"), ""), "typed_config.path: open"},
		{`{name: a, filter: {not_health_check_filter: {}}}`, "filter: not executed"},
		{`{name: a, typed_config: {"@type": type.googleapis.com/google.protobuf.Duration, value: 1s}}`, "[0].typed_config:"},
		{`{name: a}`, "[0].typed_config:"},
	} {
		if _, err := New([]*accesslogv3.AccessLog{config(t, tt.config)}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.config, err, tt.want)
		}
	}
}

// Lines of several loggers, each with several writers, don't tear each other apart, and what was in the file stays.
func TestConcurrentLoggers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const loggers, lines = 4, 50
	var group sync.WaitGroup
	for range loggers {
		logger, err := New([]*accesslogv3.AccessLog{config(t, file(path, text(`%REQ(:METHOD)%-%PROTOCOL%\n`)))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = logger.Close() })
		for range lines {
			group.Go(func() { logger.Log(request()) })
		}
	}
	group.Wait()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + strings.Repeat(`POST-HTTP/2\n`, loggers*lines); string(got) != want {
		t.Errorf("got %q", got)
	}
}

func TestStandardStreams(t *testing.T) {
	t.Parallel()
	logger, err := New([]*accesslogv3.AccessLog{config(t, file("/dev/stdout", "")), config(t, file("/dev/stderr", ""))})
	if err != nil {
		t.Fatal(err)
	}
	if logger.sinks[0].Writer != os.Stdout || logger.sinks[1].Writer != os.Stderr {
		t.Errorf("got %+v", logger.sinks)
	}
	if err := logger.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stdout.Write(nil); err != nil {
		t.Errorf("the process's own output is closed: %v", err)
	}
}

func TestNothing(t *testing.T) {
	t.Parallel()
	logger, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	logger.Log(request())
	if err := logger.Close(); err != nil {
		t.Error(err)
	}
}
