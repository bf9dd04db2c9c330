package lint

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

func TestCovers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		a, b string
		want bool
	}{
		"all paths":                       {`{prefix: /}`, `{safeRegex: {regex: a}}`, true},
		"not CONNECT":                     {`{prefix: /}`, `{connectMatcher: {}}`, false},
		"prefix of a prefix":              {`{prefix: /a}`, `{prefix: /ab}`, true},
		"longer prefix":                   {`{prefix: /ab}`, `{prefix: /a}`, false},
		"prefix of a path":                {`{prefix: /a}`, `{path: /ab}`, true},
		"elements of a path":              {`{pathSeparatedPrefix: /a}`, `{path: /a/b}`, true},
		"not an element":                  {`{pathSeparatedPrefix: /a}`, `{path: /ab}`, false},
		"elements, and a prefix":          {`{pathSeparatedPrefix: /a}`, `{prefix: /a}`, false},
		"elements, and a prefix below":    {`{pathSeparatedPrefix: /a}`, `{prefix: /a/}`, true},
		"elements, and more of them":      {`{pathSeparatedPrefix: /a}`, `{pathSeparatedPrefix: /a/b}`, true},
		"the same path":                   {`{path: /a}`, `{path: /a}`, true},
		"a path and a prefix":             {`{path: /a}`, `{prefix: /a}`, false},
		"the same expression":             {`{safeRegex: {regex: a}}`, `{safeRegex: {regex: a}}`, true},
		"case":                            {`{path: /a, caseSensitive: false}`, `{path: /A, caseSensitive: false}`, true},
		"case on one side":                {`{path: /a, caseSensitive: false}`, `{path: /a}`, false},
		"a header less":                   {`{prefix: /}`, `{prefix: /, headers: [{name: a, presentMatch: true}]}`, true},
		"a header more":                   {`{prefix: /, headers: [{name: a, presentMatch: true}]}`, `{prefix: /}`, false},
		"another header":                  {`{prefix: /, headers: [{name: a, presentMatch: true}]}`, `{prefix: /, headers: [{name: b, presentMatch: true}]}`, false},
		"a query parameter more":          {`{prefix: /, queryParameters: [{name: a, presentMatch: true}]}`, `{prefix: /}`, false},
		"a cookie":                        {`{prefix: /, cookies: [{name: a, stringMatch: {exact: b}}]}`, `{prefix: /}`, false},
		"a client certificate":            {`{prefix: /, tlsContext: {presented: true}}`, `{prefix: /}`, false},
		"only gRPC":                       {`{prefix: /, grpc: {}}`, `{prefix: /}`, false},
		"half":                            {`{prefix: /, runtimeFraction: {defaultValue: {numerator: 50}}}`, `{prefix: /}`, false},
		"all of a hundred":                {`{prefix: /, runtimeFraction: {defaultValue: {numerator: 100}}}`, `{prefix: /}`, true},
		"some of a million":               {`{prefix: /, runtimeFraction: {defaultValue: {numerator: 100, denominator: MILLION}}}`, `{prefix: /}`, false},
		"what runtime can change":         {`{prefix: /, runtimeFraction: {defaultValue: {numerator: 100}, runtimeKey: k}}`, `{prefix: /}`, false},
		"half of what is taken by others": {`{prefix: /}`, `{prefix: /, runtimeFraction: {defaultValue: {numerator: 50}}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := covers(parse(t, &routev3.RouteMatch{}, test.a), parse(t, &routev3.RouteMatch{}, test.b)); got != test.want {
				t.Errorf("covers: %v", got)
			}
		})
	}
}
