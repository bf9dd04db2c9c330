package accept_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/crd/accept"
)

// A subject is a version of a kind in a channel.
type subject struct {
	name    string
	schema  *crd.Schema
	accepts func(spec any) bool
	// new makes an object of the type that the schema validates, kinds are those whose specs may fit.
	new   func() runtime.Object
	kinds []string
	// hub says that it is the version that is stored, in the channel that has every field.
	hub bool
	// oracle compiles the schema at its first call.
	oracle func(testing.TB) *oracle
}

// subjects are all of them, but for those that have schema, type and predicate from another.
var subjects = sync.OnceValue(func() []subject {
	var all []subject
	for _, kind := range apis.GatewayKinds {
		var names []string
		for _, v := range kind {
			names = append(names, v.Kind)
		}
		for _, v := range kind {
			for channel, s := range schemas(v) {
				one := subject{
					name:   fmt.Sprintf("%s/%s/%s", v.Kind, v.Version, channel),
					schema: s, accepts: accept.Spec(channel, v.GroupVersionKind), new: v.New, kinds: names,
					hub: v.GroupVersionKind == kind.Hub().GroupVersionKind && channel == "experimental",
				}
				known := func(other subject) bool {
					return other.schema.Same(s) && specType(other.new()) == specType(one.new())
				}
				if slices.ContainsFunc(all, known) {
					continue
				}
				var once sync.Once
				var o *oracle
				one.oracle = func(t testing.TB) *oracle {
					once.Do(func() { o = newOracle(t, s) })
					return o
				}
				all = append(all, one)
			}
		}
	}
	return all
})

// schemas are those of a version, by their channels.
func schemas(v apis.Version) iter.Seq2[string, *crd.Schema] {
	return func(yield func(string, *crd.Schema) bool) {
		if !yield("experimental", crd.Lookup(v.GroupVersionKind)) {
			return
		}
		if s := crd.Standard(v.GroupVersionKind); s != nil {
			yield("standard", s)
		}
	}
}

func specOf(obj runtime.Object) reflect.Value { return reflect.ValueOf(obj).Elem().FieldByName("Spec") }

// fill sets the spec of obj.
func fill(obj runtime.Object, spec map[string]any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(spec, specOf(obj).Addr().Interface())
}

func specType(obj runtime.Object) reflect.Type { return specOf(obj).Type() }

// TestEveryVersionHasAPredicate holds that the table is complete, and that predicates take nothing but specs.
func TestEveryVersionHasAPredicate(t *testing.T) {
	t.Parallel()
	for _, kind := range apis.GatewayKinds {
		for _, v := range kind {
			for channel := range schemas(v) {
				accepts := accept.Spec(channel, v.GroupVersionKind)
				if accepts == nil {
					t.Errorf("%v, %s: no predicate", v.GroupVersionKind, channel)
				} else if accepts(v.New()) || accepts(nil) {
					t.Errorf("%v, %s: accepts what is no spec", v.GroupVersionKind, channel)
				}
			}
		}
	}
}

// A difference is a spec on which a predicate and the libraries disagree.
type difference struct {
	spec     any
	accepted bool
	errs     field.ErrorList
}

// compare judges specs by a predicate and by the libraries: valid ones, and for each path in them one with a change there,
// or one with each kind of change. It returns the differences, and how many specs the libraries accept and refuse.
func compare(t testing.TB, s subject, o *oracle, accepts func(any) bool, seed uint64, each bool) (differences []difference, valid, invalid int) {
	t.Helper()
	schema := o.structural.Properties["spec"]
	m := newMutator(seed, &schema)
	judge := func(obj runtime.Object) {
		spec := specOf(obj)
		accepted, errs := accepts(spec.Addr().Interface()), o.errors(t, spec.Addr().Interface())
		if accepted != (len(errs) == 0) {
			differences = append(differences, difference{spec.Interface(), accepted, errs})
		}
		if len(errs) > 0 {
			invalid++
			return
		}
		valid++
		m.add(spec)
	}
	for _, spec := range s.seeds(t) {
		obj := s.new()
		if err := fill(obj, spec); err != nil {
			continue // of a version with other fields
		}
		s.schema.Default(obj)
		judge(obj)
	}
	if valid == 0 {
		t.Fatal("no example is valid")
	}
	for _, path := range m.paths() {
		changed := []reflect.Value{}
		if each {
			changed = m.each(path)
		} else {
			changed = append(changed, m.any(path))
		}
		for _, spec := range changed {
			obj := s.new()
			specOf(obj).Set(spec)
			if m.rand.IntN(4) > 0 {
				s.schema.Default(obj)
			}
			judge(obj)
		}
	}
	return differences, valid, invalid
}

func (s subject) seeds(t testing.TB) (all []map[string]any) {
	t.Helper()
	for _, kind := range s.kinds {
		all = append(all, seeds(t)[kind]...)
	}
	return all
}

// TestSameVerdicts holds that what a predicate accepts is valid, and that what is valid is accepted. Only the first must
// be; the second is what predicates are for.
func TestSameVerdicts(t *testing.T) {
	t.Parallel()
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			sameVerdicts(t, s, 1, s.hub) // FuzzSameVerdicts tries others
		})
	}
}

// FuzzSameVerdicts is the same for as long as one likes.
func FuzzSameVerdicts(f *testing.F) {
	f.Add(uint8(0), uint64(1))
	f.Fuzz(func(t *testing.T, of uint8, seed uint64) {
		sameVerdicts(t, subjects()[int(of)%len(subjects())], seed, seed%2 == 0)
	})
}

func sameVerdicts(t *testing.T, s subject, seed uint64, each bool) {
	t.Helper()
	differences, valid, invalid := compare(t, s, s.oracle(t), s.accepts, seed, each)
	for _, d := range differences {
		spec, _ := json.Marshal(d.spec)
		t.Errorf("%s, seed %d: accepted: %v, errors: %v\n%s", s.name, seed, d.accepted, d.errs, spec)
	}
	if valid == 0 || invalid == 0 {
		t.Errorf("%s, seed %d: %d valid and %d invalid specs", s.name, seed, valid, invalid)
	}
}

// TestDifferencesAreFound holds that the comparison finds predicates and rules that are not the same.
func TestDifferencesAreFound(t *testing.T) {
	t.Parallel()
	yes, no := func(any) bool { return true }, func(any) bool { return false }
	for _, s := range subjects() {
		if s.name != "BackendTLSPolicy/v1/experimental" {
			continue
		}
		o := s.oracle(t)
		if differences, _, invalid := compare(t, s, o, yes, 1, true); len(differences) != invalid || invalid == 0 {
			t.Errorf("%d differences to a predicate that accepts everything, expected %d", len(differences), invalid)
		}
		if differences, valid, _ := compare(t, s, o, no, 1, true); len(differences) != valid || valid == 0 {
			t.Errorf("%d differences to a predicate that accepts nothing, expected %d", len(differences), valid)
		}
		if differences, _, _ := compare(t, s, o.withoutRules(), s.accepts, 1, true); len(differences) < 3 {
			t.Errorf("%d differences to libraries without CEL rules", len(differences))
		}
		return
	}
	t.Error("the kind is not tested")
}

// TestSpecs holds that each of our own examples is valid in a version of its kind.
func TestSpecs(t *testing.T) {
	t.Parallel()
	specs := map[string][]map[string]any{}
	if err := read(ownSpecs, specs); err != nil {
		t.Fatal(err)
	}
	for kind, all := range specs {
		for i, spec := range all {
			var errs []field.ErrorList
			valid := slices.ContainsFunc(subjects(), func(s subject) bool {
				obj := s.new()
				if s.kinds[0] != kind || fill(obj, spec) != nil {
					return false
				}
				s.schema.Default(obj)
				errs = append(errs, s.oracle(t).errors(t, specOf(obj).Addr().Interface()))
				return len(errs[len(errs)-1]) == 0
			})
			if !valid {
				t.Errorf("%s %d is invalid: %v", kind, i, errs)
			}
		}
	}
}

// TestSameErrors holds that the errors of an object are those of the libraries, word for word, and that predicates are
// asked for no more than whether there are any.
func TestSameErrors(t *testing.T) {
	t.Parallel()
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			sameErrors(t, s, 1)
		})
	}
}

// FuzzSameErrors is the same for as long as one likes.
func FuzzSameErrors(f *testing.F) {
	f.Add(uint8(0), uint64(2))
	f.Fuzz(func(t *testing.T, of uint8, seed uint64) {
		sameErrors(t, subjects()[int(of)%len(subjects())], seed)
	})
}

func sameErrors(t *testing.T, s subject, seed uint64) {
	t.Helper()
	o := s.oracle(t)
	schema := o.structural.Properties["spec"]
	m := newMutator(seed, &schema)
	for _, spec := range s.seeds(t) {
		obj := s.new()
		if err := fill(obj, spec); err == nil {
			s.schema.Default(obj)
			m.add(specOf(obj))
		}
	}
	paths := m.paths()
	for i := range 20 {
		obj := s.new()
		specOf(obj).Set(m.any(paths[m.rand.IntN(len(paths))]))
		name(t, s, obj)
		want := texts(o.errorsAsSent(t, specOf(obj).Addr().Interface()))
		if diff := cmp.Diff(want, texts(s.schema.Validate(t.Context(), obj))); diff != "" {
			t.Fatalf("%s, seed %d, object %d (-libraries +ours):\n%s", s.name, seed, i, diff)
		}
	}
}

// name gives obj valid metadata.
func name(t testing.TB, s subject, obj runtime.Object) {
	t.Helper()
	metadata, err := meta.Accessor(obj)
	if err != nil {
		t.Fatal(err)
	}
	metadata.SetName("name")
	if s.schema.Namespaced() {
		metadata.SetNamespace("default")
	}
}

func texts(errs field.ErrorList) []string {
	lines := []string{}
	for _, err := range errs {
		lines = append(lines, err.Error())
	}
	slices.Sort(lines)
	return lines
}
