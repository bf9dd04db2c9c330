package strict

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var executed = Fields{
	"envoy.config.route.v3.VirtualHost": "name domains routes typed_per_filter_config",
	"envoy.config.route.v3.Route":       "metadata match redirect",
	"envoy.config.route.v3.RouteMatch":  "prefix",
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ message, want string }{
		"all executed":       {`{"name": "a", "domains": ["*"], "routes": [{"match": {"prefix": "/"}}]}`, ""},
		"a field":            {`{"name": "a", "cors": {}}`, "cors: not executed"},
		"a zero value":       {`{"name": "a", "includeRequestAttemptCount": false}`, ""},
		"in a list":          {`{"routes": [{"match": {"prefix": "/"}}, {"name": "b"}]}`, "routes[1].name: not executed"},
		"in a message":       {`{"routes": [{"match": {"path": "/"}}]}`, "routes[0].match.path: not executed"},
		"a message without":  {`{"routes": [{"redirect": {"hostRedirect": "a"}}]}`, "routes[0].redirect.host_redirect: not executed"},
		"notes":              {`{"routes": [{"metadata": {"filterMetadata": {"example.com": {"a": "b"}}}}]}`, ""},
		"metadata for Envoy": {`{"routes": [{"metadata": {"filterMetadata": {"envoy.lb": {"a": "b"}}}}]}`, `routes[0].metadata.filter_metadata["envoy.lb"]: not executed`},
		"metadata of a type": {
			`{"routes": [{"metadata": {"typedFilterMetadata": {"example.com": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}}}]}`,
			`routes[0].metadata.typed_filter_metadata["example.com"]: not executed`,
		},
		"an Any": {`{"typedPerFilterConfig": {"a": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s"}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &routev3.VirtualHost{}
			if err := protojson.Unmarshal([]byte(test.message), m); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := executed.Check(m); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestUnknownField(t *testing.T) {
	t.Parallel()
	m := &routev3.VirtualHost{}
	m.ProtoReflect().SetUnknown(protoreflect.RawFields{0xfa, 0x7f, 0x01, 'a'})
	if err := executed.Check(m); err == nil {
		t.Error("a field that isn't known is ignored")
	}
}
