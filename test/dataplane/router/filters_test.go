package router

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// filterNames is a FilterParser for the filters a, b and c, whose configuration is a string.
func filterNames(filter string, config *anypb.Any) (any, error) {
	if !strings.Contains("abc", filter) {
		return nil, fmt.Errorf("%w: %s", ErrUnknownFilter, filter)
	}
	value := &wrapperspb.StringValue{}
	if err := config.UnmarshalTo(value); err != nil {
		return nil, err
	}
	if value.Value == "invalid" {
		return nil, errors.New("an invalid value")
	}
	return value.Value, nil
}

func filterValue(value string) string {
	return `{"@type": type.googleapis.com/google.protobuf.StringValue, value: ` + value + `}`
}

func filterConfigOf(fields string) string {
	return `{"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, ` + fields + `}`
}

func TestFilters(t *testing.T) {
	t.Parallel()
	// The most specific level that says something of a filter: of its configuration and of its being disabled, each for itself.
	config := `
typed_per_filter_config: {a: ` + filterValue("all") + `, b: ` + filterValue("all") + `, c: ` + filterValue("all") + `}
virtual_hosts:
- name: v
  domains: ["*"]
  typed_per_filter_config: {a: ` + filterValue("host") + `, b: ` + filterValue("host") + `}
  routes:
  - match: {prefix: /none}
    route: {cluster: c}
  - match: {prefix: /off}
    route: {cluster: c}
    typed_per_filter_config: {a: ` + filterConfigOf("disabled: true") + `}
  - match: {prefix: /optional}
    route: {cluster: c}
    typed_per_filter_config: {x: ` + filterConfigOf("is_optional: true, config: "+filterValue("x")) + `}
  - match: {prefix: /on}
    route: {cluster: c}
    typed_per_filter_config: {x: ` + filterConfigOf("config: {}") + `, a: ` + filterConfigOf("config: "+filterValue("wrapped")) + `}
  - match: {prefix: /}
    typed_per_filter_config: {a: ` + filterValue("route") + `, c: ` + filterConfigOf("disabled: true") + `}
    route:
      weighted_clusters:
        clusters:
        - {name: c, weight: 1, typed_per_filter_config: {a: ` + filterValue("cluster") + `}}
        - {name: d, weight: 1, typed_per_filter_config: {c: ` + filterValue("cluster") + `}}
`
	table, err := Compile(parsed(t, config), filterNames)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path     string
		random   uint64
		filter   string
		config   any
		disabled bool // where the connection manager says so
		enabled  bool // where it doesn't
	}{
		{"/none", 0, "a", "host", false, true},
		{"/none", 0, "c", "all", false, true},
		{"/none", 0, "x", nil, true, true},
		{"/off", 0, "a", "host", true, false},
		{"/off", 0, "b", "host", false, true},
		{"/optional", 0, "x", nil, false, true},
		{"/on", 0, "x", nil, false, true},
		{"/on", 0, "a", "wrapped", false, true},
		{"/", 0, "a", "cluster", false, true},
		{"/", 1, "a", "route", false, true},
		{"/", 0, "b", "host", false, true},
		{"/", 0, "c", "all", true, false},
		{"/", 1, "c", "cluster", false, true},
	} {
		r := request("GET http://a.test" + tt.path)
		r.Random = tt.random
		m := table.Match(r)
		if config := m.FilterConfig(tt.filter); config != tt.config {
			t.Errorf("%s (%d), %s: got %v, want %v", tt.path, tt.random, tt.filter, config, tt.config)
		}
		if disabled, enabled := m.FilterDisabled(tt.filter, true), !m.FilterDisabled(tt.filter, false); disabled != tt.disabled || enabled != tt.enabled {
			t.Errorf("%s (%d), %s: disabled %t, enabled %t", tt.path, tt.random, tt.filter, disabled, enabled)
		}
	}
}

func TestInvalidFilters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ config, want string }{
		{`{x: ` + filterValue("x") + `}`, "typed_per_filter_config[x]: no such filter: x"},
		{`{a: ` + filterValue("invalid") + `}`, "typed_per_filter_config[a]: an invalid value"},
		{`{a: ` + filterConfigOf("") + `}`, "typed_per_filter_config[a]: config: required"},
		{`{a: ` + filterConfigOf("is_optional: true, config: "+filterValue("invalid")) + `}`, "typed_per_filter_config[a]: an invalid value"},
		{`{x: ` + filterConfigOf("config: "+filterValue("x")) + `}`, "typed_per_filter_config[x]: no such filter: x"},
	} {
		config := parsed(t, withRoutes(`[{match: {prefix: /}, route: {cluster: c}, typed_per_filter_config: `+tt.config+`}]`))
		if _, err := Compile(config, filterNames); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
			t.Errorf("%s: got %v", tt.config, err)
		}
	}
	config := parsed(t, withRoutes(`[]`))
	config.TypedPerFilterConfig = map[string]*anypb.Any{"a": {TypeUrl: "type.googleapis.com/google.protobuf.StringValue"}}
	if _, err := Compile(config, nil); !errors.Is(err, ErrUnknownFilter) {
		t.Errorf("without a parser: got %v", err)
	}
	packed, err := anypb.New(structpb.NewNullValue())
	if err != nil {
		t.Fatal(err)
	}
	config.TypedPerFilterConfig["a"] = packed
	if _, err := Compile(config, filterNames); err == nil {
		t.Error("a message of another type is accepted")
	}
}
