package graph

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

func TestSession(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, spec string
		want       *SessionFacts
		invalid    string // the field
		warning    string // the field
	}{
		{name: "defaults", spec: "{}", want: &SessionFacts{}},
		{name: "cookie", spec: "{type: Cookie, sessionName: JSESSIONID, cookieConfig: {lifetimeType: Session}}", want: &SessionFacts{Name: "JSESSIONID"}},
		{name: "permanent cookie", spec: "{sessionName: s, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}", want: &SessionFacts{Name: "s", Lifetime: time.Hour}},
		{name: "header", spec: "{type: Header, sessionName: X-S}", want: &SessionFacts{Name: "X-S", Header: true}},
		{name: "header named as what a cookie may be named", spec: "{sessionName: host}", want: &SessionFacts{Name: "host"}},
		{name: "time limit of a session cookie", spec: "{absoluteTimeout: 1h}", want: &SessionFacts{}, warning: "absoluteTimeout"},
		{name: "time limit of a header", spec: "{type: Header, absoluteTimeout: 1h}", want: &SessionFacts{Header: true}, warning: "absoluteTimeout"},
		{name: "cookie of a header", spec: "{type: Header, cookieConfig: {lifetimeType: Permanent}}", want: &SessionFacts{Header: true}, warning: "cookieConfig"},

		{name: "type", spec: "{type: IP}", invalid: "type"},
		{name: "lifetime", spec: "{cookieConfig: {lifetimeType: Long}}", invalid: "cookieConfig.lifetimeType"},
		{name: "empty name", spec: "{sessionName: ''}", invalid: "sessionName"},
		{name: "name with an attribute", spec: "{sessionName: 's;Domain'}", invalid: "sessionName"},
		{name: "name of two lines", spec: `{sessionName: "s\r\na:"}`, invalid: "sessionName"},
		{name: "name that isn't ASCII", spec: "{sessionName: sé}", invalid: "sessionName"},
		{name: "pseudo header", spec: "{type: Header, sessionName: ':path'}", invalid: "sessionName"},
		{name: "header of the connection", spec: "{type: Header, sessionName: Host}", invalid: "sessionName"},
		{name: "permanent without end", spec: "{cookieConfig: {lifetimeType: Permanent}}", invalid: "absoluteTimeout"},
		{name: "permanent for no time", spec: "{absoluteTimeout: 0s, cookieConfig: {lifetimeType: Permanent}}", invalid: "absoluteTimeout"},
		{name: "no duration", spec: "{absoluteTimeout: 1y}", invalid: "absoluteTimeout"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			spec := &gwv1.SessionPersistence{}
			if err := yaml.UnmarshalStrict([]byte(test.spec), spec); err != nil {
				t.Fatal(err)
			}
			field := func(path string) string { return path }
			got, p := session(spec, field)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if test.invalid != "" && !startsWithField(p, test.invalid) || test.invalid == "" && p != nil {
				t.Errorf("problem %+v, want one of %q", p, test.invalid)
			}
			if p != nil {
				return
			}
			var want []string
			if test.warning != "" {
				want = []string{"sessionPersistence." + test.warning + " has no effect"}
			}
			if diff := cmp.Diff(want, fieldsOf(sessionWarnings(spec, field))); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
	if s, p := ruleSession(ruleID{}, nil); s != nil || p != nil {
		t.Errorf("without session persistence: %+v, %+v", s, p)
	}
}
