package accept_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// mutator makes typed objects that are near the border of what is valid: valid ones with a change.
type mutator struct {
	rand   *rand.Rand
	schema *structuralschema.Structural
	// parts are values found in valid objects, by their types. They take the places of others.
	parts map[reflect.Type][]reflect.Value
	// examples are valid objects by the paths in them.
	examples map[string][]example
}

type example struct {
	value reflect.Value
	size  int
}

func newMutator(seed uint64, schema *structuralschema.Structural) *mutator {
	return &mutator{rand.New(rand.NewPCG(seed, 0)), schema, map[reflect.Type][]reflect.Value{}, map[string][]example{}}
}

// How many values of a type, and examples of a path, are kept, and how many values an example may have.
const (
	maxParts    = 200
	maxExamples = 20
	maxSize     = 200
)

// add takes a valid object.
func (m *mutator) add(v reflect.Value) {
	m.learn(v)
	nodes, size := m.nodes(v), 0
	for _, at := range nodes {
		size += len(at)
	}
	if size > maxSize {
		return // it would take the libraries long
	}
	for path := range nodes {
		m.examples[path] = keep(m.rand, m.examples[path], example{v, size}, maxExamples)
	}
}

// keep adds v, in the place of another one if there are enough.
func keep[V any](random *rand.Rand, values []V, v V, most int) []V {
	if len(values) < most {
		return append(values, v)
	}
	values[random.IntN(most)] = v
	return values
}

// paths are all that occur in valid objects.
func (m *mutator) paths() []string { return slices.Sorted(maps.Keys(m.examples)) }

// learn takes the parts of a valid object, which must not be changed any more.
func (m *mutator) learn(v reflect.Value) {
	m.parts[v.Type()] = keep(m.rand, m.parts[v.Type()], v, maxParts)
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			m.learn(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			m.learn(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			m.learn(v.Field(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			m.learn(key)
			m.learn(v.MapIndex(key))
		}
	}
}

// node is a value in an object, with its schema if there is one.
type node struct {
	value  reflect.Value
	schema *structuralschema.Structural
}

// any returns a valid object with a change at a path, and maybe others elsewhere.
func (m *mutator) any(path string) reflect.Value {
	v := clone(m.examples[path][m.rand.IntN(len(m.examples[path]))].value)
	for again := true; again; again = m.rand.IntN(3) == 0 {
		nodes := m.nodes(v)
		if nodes[path] == nil {
			path = slices.Sorted(maps.Keys(nodes))[m.rand.IntN(len(nodes))]
		}
		m.change(nodes[path][m.rand.IntN(len(nodes[path]))])
		path = ""
	}
	return v
}

// each returns valid objects with all the kinds of changes that there are at a path, one in each.
func (m *mutator) each(path string) (changed []reflect.Value) {
	smallest := slices.MinFunc(m.examples[path], func(a, b example) int { return a.size - b.size }).value
	for i := range m.changes(m.nodes(smallest)[path][0]) {
		v := clone(smallest)
		nodes := m.nodes(v)[path]
		m.changes(nodes[m.rand.IntN(len(nodes))])[i]()
		changed = append(changed, v)
	}
	return changed
}

// nodes returns the values in an object by their paths, which have no indexes, but what is listed or absent.
func (m *mutator) nodes(v reflect.Value) map[string][]node {
	byPath := map[string][]node{}
	node{v, m.schema}.collect("", byPath)
	return byPath
}

// collect adds n and what is in it.
func (n node) collect(path string, byPath map[string][]node) {
	switch n.value.Kind() {
	case reflect.Pointer:
		if n.value.IsNil() {
			path += "=nil"
		} else {
			node{n.value.Elem(), n.schema}.collect(path+"*", byPath)
		}
	case reflect.String:
		if n.validation().Enum != nil {
			path += "=" + n.value.String()
		}
	case reflect.Slice:
		for i := range n.value.Len() {
			node{n.value.Index(i), n.items()}.collect(path+"[]", byPath)
		}
	case reflect.Struct:
		for i := range n.value.NumField() {
			n.field(i).collect(path+"."+n.value.Type().Field(i).Name, byPath)
		}
	}
	byPath[path] = append(byPath[path], n)
}

func (n node) validation() *structuralschema.ValueValidation {
	if n.schema == nil || n.schema.ValueValidation == nil {
		return &structuralschema.ValueValidation{}
	}
	return n.schema.ValueValidation
}

func (n node) items() *structuralschema.Structural {
	if n.schema == nil {
		return nil
	}
	return n.schema.Items
}

func (n node) field(i int) node {
	name, _, _ := strings.Cut(n.value.Type().Field(i).Tag.Get("json"), ",")
	if name == "" { // inlined
		return node{n.value.Field(i), n.schema}
	}
	f := node{value: n.value.Field(i)}
	if n.schema != nil {
		if property, ok := n.schema.Properties[name]; ok {
			f.schema = &property
		}
	}
	return f
}

// change makes a change to a value.
func (m *mutator) change(n node) {
	if changes := m.changes(n); len(changes) > 0 {
		changes[m.rand.IntN(len(changes))]()
	}
}

// changes are the kinds of changes that there are to a value. There are as many for two values of the same path.
func (m *mutator) changes(n node) []func() {
	v := n.value
	changes := []func(){func() {
		if parts := m.parts[v.Type()]; len(parts) > 0 {
			v.Set(clone(parts[m.rand.IntN(len(parts))]))
		}
	}}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return append(changes, v.SetZero)
		}
		return append(changes, func() {
			v.Set(reflect.New(v.Type().Elem()))
			m.change(node{v.Elem(), n.schema})
		})
	case reflect.Slice:
		return append(changes, m.listChanges(n)...)
	case reflect.Map:
		return append(changes, m.mapChanges(n)...)
	case reflect.Struct:
		return append(changes, v.SetZero)
	case reflect.String:
		for _, text := range m.texts(v.String(), n.validation()) {
			changes = append(changes, func() { v.SetString(strings.ToValidUTF8(text, "?")) })
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		for _, number := range m.numbers(v.Int(), n.validation()) {
			changes = append(changes, func() { v.SetInt(number) })
		}
	case reflect.Uint16:
		changes = append(changes, func() { v.SetUint(uint64(m.rand.IntN(3))) })
	case reflect.Bool:
		changes = append(changes, func() { v.SetBool(!v.Bool()) })
	}
	return changes
}

func (m *mutator) listChanges(n node) []func() {
	v, size := n.value, n.value.Len()
	again := func() { // an element twice
		if size > 0 {
			v.Set(reflect.Append(clone(v), clone(v.Index(m.rand.IntN(size)))))
		}
	}
	changes := []func(){
		v.SetZero,
		func() { v.Set(reflect.MakeSlice(v.Type(), 0, 0)) },
		func() { v.Set(reflect.Append(clone(v), m.element(n))) },
		func() { // without an element
			if size > 0 {
				at := m.rand.IntN(size)
				v.Set(reflect.AppendSlice(clone(v.Slice(0, at)), clone(v.Slice(at+1, size))))
			}
		},
		again,
		func() { // with a change
			again()
			if size > 0 {
				m.change(node{v.Index(size), n.items()})
			}
		},
	}
	if most := n.validation().MaxItems; most != nil {
		fill := func(to int) func() {
			return func() {
				for i := v.Len(); i < to; i++ {
					e := m.element(n)
					number(e, n.schema.XListMapKeys, i)
					v.Set(reflect.Append(clone(v), e))
				}
			}
		}
		changes = append(changes, fill(int(*most)), fill(int(*most)+1))
	}
	return changes
}

// number makes an element of a list different from others that have another number.
func number(v reflect.Value, keys []string, i int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("n%d", i))
	case reflect.Struct:
		for f := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(f).Tag.Get("json"), ",")
			switch field := v.Field(f); {
			case field.Kind() == reflect.String && slices.Contains(keys, name):
				field.SetString(fmt.Sprintf("n%d", i))
			case field.Kind() == reflect.Int32:
				field.SetInt(int64(i + 1))
			}
		}
	}
}

// element returns a new element for a list.
func (m *mutator) element(n node) reflect.Value {
	if n.value.Len() > 0 {
		return clone(n.value.Index(0))
	}
	t := n.value.Type().Elem()
	if parts := m.parts[t]; len(parts) > 0 {
		return clone(parts[m.rand.IntN(len(parts))])
	}
	e := reflect.New(t).Elem()
	m.change(node{e, n.items()})
	return e
}

func (m *mutator) mapChanges(n node) []func() {
	v := n.value
	put := func(key string, value reflect.Value) {
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
	}
	entries := func(count int) func() {
		return func() {
			v.Set(reflect.MakeMap(v.Type()))
			for i := range count {
				put(fmt.Sprintf("n%d", i), reflect.Zero(v.Type().Elem()))
			}
		}
	}
	key := func() {
		entries(1)()
		texts := m.texts("a", n.validation())
		put(texts[m.rand.IntN(len(texts))], reflect.Zero(v.Type().Elem()))
	}
	value := func() {
		entries(1)()
		changed := node{value: reflect.New(v.Type().Elem()).Elem()}
		if n.schema != nil && n.schema.AdditionalProperties != nil {
			changed.schema = n.schema.AdditionalProperties.Structural
		}
		m.change(changed)
		put("a", changed.value)
	}
	changes := []func(){v.SetZero, entries(0), entries(1), key, key, key, value, value, value}
	if most := n.validation().MaxProperties; most != nil {
		changes = append(changes, entries(int(*most)), entries(int(*most)+1))
	}
	return changes
}

// someTexts are strings that rules tell apart.
var someTexts = []string{
	"", "a", "b", "A", "a-b", "a.b", "a.b/c", "a/b", "*", "*.a", "*.a.b", "a.*", "-", ".", "é", "a b", "a_b", "a:b", "\x00",
	"/", "//", "/a", "/a//b", "/./", "/../", "/a/..", "/a/.", "/%2f", "/%2F", "/#", "/a?b", "/%zz", "a%20b",
	"1.2.3.4", "01.2.3.4", "1.2.3", "::1", "::ffff:1.2.3.4", "fe80::1%eth0", "http://a", "https://a.b:80", "http://*", "spiffe://a",
	"0s", "0h", "1s", "1500ms", "1s500ms", "2h", "1h1s", "99999h99999h99999h99999h", "5", "s", "1.5s", "-1s",
	"Service", "Gateway", "TCP", "UDP", "HTTP", "HTTPS", "TLS", "Exact", "PathPrefix", "RegularExpression", "IPAddress", "Hostname", "URI",
	"a/" + strings.Repeat("b", 63), "a/" + strings.Repeat("b", 64), strings.Repeat("a", 252) + "/b", strings.Repeat("a", 253) + "/b",
	"System", "ConfigMap", "gateway.networking.k8s.io", "a.cluster.local", "foo.Bar", ".foo", "Terminate", "Passthrough",
}

// texts are changes to a string.
func (m *mutator) texts(old string, is *structuralschema.ValueValidation) []string {
	some := func() string { return someTexts[m.rand.IntN(len(someTexts))] }
	texts := []string{some(), ""}
	if len(is.Enum) > 0 {
		for _, one := range is.Enum {
			texts = append(texts, one.Object.(string))
		}
		return texts
	}
	at := m.rand.IntN(len(old) + 1)
	texts = append(texts, some(), some(), old+some(), old[:at]+string("aZ0-./*% "[m.rand.IntN(9)])+old[at:])
	if is.MaxLength != nil {
		long := func(length int64, of string) string { return old + strings.Repeat(of, max(0, int(length)-len(old))) }
		texts = append(texts, long(*is.MaxLength, "a"), long(*is.MaxLength+1, "a"), long(*is.MaxLength, "é"))
	}
	return texts
}

// numbers are changes to an integer.
func (m *mutator) numbers(old int64, is *structuralschema.ValueValidation) []int64 {
	numbers := []int64{0, old + 1, []int64{1, -1, 80, 301, 404}[m.rand.IntN(5)]}
	for _, bound := range []*float64{is.Minimum, is.Maximum} {
		if bound != nil {
			numbers = append(numbers, int64(*bound)-1, int64(*bound), int64(*bound)+1)
		}
	}
	for _, one := range is.Enum {
		if n, ok := one.Object.(int64); ok {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// clone copies a value with all that it points to.
func clone(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.Set(reflect.New(v.Type().Elem()))
			c.Elem().Set(clone(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			c.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				c.Index(i).Set(clone(v.Index(i)))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			c.Set(reflect.MakeMap(v.Type()))
			for _, key := range v.MapKeys() {
				c.SetMapIndex(key, clone(v.MapIndex(key)))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			c.Field(i).Set(clone(v.Field(i)))
		}
	}
	return c
}
