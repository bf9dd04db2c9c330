package main

import (
	"reflect"
	"strings"
	"testing"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// example is a type for rules. Its fields are the ways in which a value can be absent.
type example struct {
	Name    string            `json:"name"`
	Title   string            `json:"title,omitempty"`
	Text    *string           `json:"text,omitempty"`
	Count   int32             `json:"count"`
	Limit   *int32            `json:"limit,omitempty"`
	On      bool              `json:"on"`
	List    []string          `json:"list"`
	Items   []item            `json:"items,omitempty"`
	Options map[string]string `json:"options,omitempty"`
	Inner   *item             `json:"inner,omitempty"`
	Space   *string           `json:"namespace,omitempty"`
}

type item struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
}

func init() { packageNames[reflect.TypeFor[example]().PkgPath()] = "main" }

func of(typ string, properties map[string]structuralschema.Structural) structuralschema.Structural {
	s := structuralschema.Structural{Properties: properties}
	s.Type = typ
	return s
}

func exampleSchema() *structuralschema.Structural {
	text, number := of("string", nil), of("integer", nil)
	item := of("object", map[string]structuralschema.Structural{"key": text, "value": text})
	list, items, options := of("array", nil), of("array", nil), of("object", nil)
	list.Items, items.Items, options.AdditionalProperties = &text, &item, &structuralschema.StructuralOrBool{Structural: &text}
	s := of("object", map[string]structuralschema.Structural{
		"name": text, "title": text, "text": text, "count": number, "limit": number, "on": of("boolean", nil),
		"list": list, "items": items, "options": options, "inner": item, "namespace": text, "lost": text,
	})
	return &s
}

func translate(t *testing.T, rule string) (verdict, error) {
	t.Helper()
	g := &generator{qualifier: qualifier{map[string]string{}}, names: map[string]bool{}, patterns: map[string]string{}}
	self, err := newValue("self", reflect.TypeFor[example](), true, exampleSchema())
	if err != nil {
		t.Fatal(err)
	}
	return g.rule(rule, self)
}

func TestRule(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rule, holds, fails string
	}{
		{"true", "true", "false"},
		{"self.on", "self.On", "!self.On"},
		{"self.name == 'a'", `self.Name == "a"`, `self.Name != "a"`},
		// A field that may be absent makes the rule fail to evaluate: neither true nor false.
		{"self.text == 'a'", `self.Text != nil && *self.Text == "a"`, `self.Text != nil && *self.Text != "a"`},
		{"self.title != 'a'", `self.Title != "" && self.Title != "a"`, `self.Title != "" && self.Title == "a"`},
		{"has(self.text)", "self.Text != nil", "self.Text == nil"},
		{"has(self.name)", "true", "false"},
		{"has(self.lost)", "false", "true"},
		{"has(self.list)", "self.List != nil", "self.List == nil"},
		{"has(self.items)", "len(self.Items) > 0", "len(self.Items) == 0"},
		{"has(self.__namespace__)", "self.Space != nil", "self.Space == nil"},
		{"has(self.inner.value)", "self.Inner != nil && self.Inner.Value != nil", "self.Inner != nil && self.Inner.Value == nil"},
		{"!has(self.text) || self.text == 'a'", `self.Text == nil || *self.Text == "a"`, `self.Text != nil && *self.Text != "a"`},
		{"self.text == 'a' || self.on", `(self.Text != nil && *self.Text == "a") || self.On`, `self.Text != nil && *self.Text != "a" && !self.On`},
		{"self.text == 'a' && self.on", `self.Text != nil && *self.Text == "a" && self.On`, `(self.Text != nil && *self.Text != "a") || !self.On`},
		{"has(self.text) ? self.text == 'a' : true", `self.Text == nil || *self.Text == "a"`, `self.Text != nil && *self.Text != "a"`},
		{"has(self.text) == self.on", "(self.Text != nil) == (self.On)", "(self.Text != nil) != (self.On)"},
		{"self.count <= self.limit", "self.Limit != nil && self.Count <= *self.Limit", "self.Limit != nil && self.Count > *self.Limit"},
		{"self.name in ['a', 'b']", `self.Name == "a" || self.Name == "b"`, `self.Name != "a" && self.Name != "b"`},
		{"'a' in self.list", `self.List != nil && slices.Contains(self.List, "a")`, `self.List != nil && !slices.Contains(self.List, "a")`},
		{"size(self.list) > 1", "self.List != nil && len(self.List) > 1", "self.List != nil && len(self.List) <= 1"},
		{"self.items[0].key == 'a'", `len(self.Items) > 0 && self.Items[0].Key == "a"`, `len(self.Items) > 0 && self.Items[0].Key != "a"`},
		{"size(self.name) == 0", "utf8.RuneCountInString(self.Name) == 0", "utf8.RuneCountInString(self.Name) != 0"},
		{"self.name.matches('^a$')", "match(self.Name)", "!match(self.Name)"},
		{"self.name.substring(2).startsWith('a')", `utf8.RuneCountInString(self.Name) >= 2 && strings.HasPrefix(substring(self.Name, 2), "a")`,
			`utf8.RuneCountInString(self.Name) >= 2 && !strings.HasPrefix(substring(self.Name, 2), "a")`},
		{"self.name.split('/')[0] == 'a'", `strings.Split(self.Name, "/")[0] == "a"`, `strings.Split(self.Name, "/")[0] != "a"`},
		{"duration(self.name) > duration('1h')", "isDuration(self.Name) && duration(self.Name) > 1*time.Hour", "isDuration(self.Name) && duration(self.Name) <= 1*time.Hour"},
		{"self.list.all(l, l == 'a')", `self.List != nil && all(self.List, func(l *string) bool { return *l == "a" })`,
			`self.List != nil && !all(self.List, func(l *string) bool { return *l == "a" })`},
		// One element that surely is wrong decides, whatever the others are.
		{"self.items.all(i, i.value == 'a')",
			`len(self.Items) > 0 && all(self.Items, func(i *main.item) bool { return i.Value != nil && *i.Value == "a" })`,
			`len(self.Items) > 0 && some(self.Items, func(i *main.item) bool { return i.Value != nil && *i.Value != "a" })`},
		{"self.items.exists(i, i.key == 'a')", `len(self.Items) > 0 && some(self.Items, func(i *main.item) bool { return i.Key == "a" })`,
			`len(self.Items) > 0 && !some(self.Items, func(i *main.item) bool { return i.Key == "a" })`},
		{"self.items.filter(i, i.key == 'a').size() <= 1", `len(self.Items) > 0 && count(self.Items, func(i *main.item) bool { return i.Key == "a" }) <= 1`,
			`len(self.Items) > 0 && count(self.Items, func(i *main.item) bool { return i.Key == "a" }) > 1`},
		{"self.options.all(key, key.contains('a'))", `len(self.Options) > 0 && allKeys(self.Options, func(key string) bool { return strings.Contains(key, "a") })`,
			`len(self.Options) > 0 && !allKeys(self.Options, func(key string) bool { return strings.Contains(key, "a") })`},
		{"format.dns1123Label().validate(self.name) == null", "false", "false"},
	} {
		v, err := translate(t, test.rule)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := v.holds.String(); got != test.holds {
			t.Errorf("%s\nholds    %s\nexpected %s", test.rule, got, test.holds)
		}
		if got := v.fails.String(); got != test.fails {
			t.Errorf("%s\nfails    %s\nexpected %s", test.rule, got, test.fails)
		}
	}
}

// TestExistsOne holds that an element on which the condition fails to evaluate makes the whole rule fail, as in CEL.
func TestExistsOne(t *testing.T) {
	t.Parallel()
	v, err := translate(t, "self.items.exists_one(i, i.value == 'a')")
	if err != nil {
		t.Fatal(err)
	}
	const want = `len(self.Items) > 0 &&
one(self.Items, func(i *main.item) bool {
return i.Value != nil && *i.Value == "a"
}, func(i *main.item) bool {
return i.Value != nil && *i.Value != "a"
})`
	if got := v.holds.String(); got != want {
		t.Errorf("holds\n%s\nexpected\n%s", got, want)
	}
}

// TestUnknownRules holds that what isn't understood is an error.
func TestUnknownRules(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"self.name":                           "is not true or false",
		"self.name ==":                        "Syntax error",
		"self.other == 'a'":                   "no property other",
		"self.lost == 'a'":                    "no field for lost",
		"self.options.a == 'b'":               "self.Options.a",
		"self.inner == self.inner":            "comparison of",
		"self.count + 1 == 2":                 "sum of",
		"self.name.upperAscii() == 'A'":       "function upperAscii",
		"self.name.matches(self.title)":       "not constant",
		"self.name.matches('[')":              "missing closing ]",
		"self.list.map(l, l).size() == 1":     "function map",
		"self.list[self.count] == 'a'":        "self.List[self.Count]",
		"self.list.all(func, func == 'a')":    "not an identifier",
		"self.name == null":                   "comparison with null",
		"self == oldSelf":                     "variable oldSelf",
		"self.count in [1, 2]":                "is not a string",
		"self.list.all(l, 'a' in l)":          "in *l",
		"(self.on ? self.name : 'a') == 'b'":  "choice between",
		"self.name.substring(1, 2) == 'a'":    "2 arguments",
		"duration('x') > duration(self.name)": "invalid duration",
		"1.5 > 2.5":                           "literal of type double",
		"self.list == ['a']":                  "expression",
	} {
		_, err := translate(t, rule)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %s", rule, err, want)
		}
	}
}
