package engine

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph/graphtest"
)

// TestLaxVersions holds that no object of a version without CEL rules stops the engine: v1alpha2 of GatewayClass, Gateway
// and HTTPRoute had its rules about fields that need each other in a webhook. Their schemas let a filter have a type and
// no body, and two bodies, and a path be any string. What is published of them is valid all the same.
func TestLaxVersions(t *testing.T) {
	t.Parallel()
	for seed := range uint64(histories()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			p, e := newPublication(t), loadedEngine(t)
			for change := range graphtest.New(graphtest.Random(seed, 2000)).Changes() {
				if change.Object != nil {
					obj := change.Object.(runtime.Object).DeepCopyObject().(metav1.Object)
					spec := reflect.ValueOf(obj).Elem().FieldByName("Spec")
					if spec.IsValid() && random.IntN(2) == 0 {
						loosen(random, spec, "")
					}
					change.Object = obj
				}
				p.dirty.Merge(change.Do(p.graph))
				p.publish()
				e.changed(change.Do(e.graph))
				rendered(e, change.Key)
			}
		})
	}
}

// loosen takes from v, a field called name, what its schema doesn't ask for, and puts in what it allows.
func loosen(random *rand.Rand, v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Pointer:
		switch {
		case v.IsNil() && v.Type().Elem().Kind() == reflect.Struct && random.IntN(8) == 0:
			v.Set(reflect.New(v.Type().Elem()))
		case !v.IsNil() && random.IntN(8) == 0:
			v.SetZero()
		}
		if !v.IsNil() {
			loosen(random, v.Elem(), name)
		}
	case reflect.Slice:
		switch random.IntN(12) {
		case 0:
			v.SetZero()
		case 1:
			if v.Len() > 0 {
				v.Set(reflect.Append(v, v.Index(0)))
			}
		}
		for i := range v.Len() {
			loosen(random, v.Index(i), name)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			loosen(random, v.Field(i), v.Type().Field(i).Name)
		}
	case reflect.String:
		if name == "Value" && random.IntN(8) == 0 {
			paths := []string{"", "no-slash", "/a//b", "/a/../b", "/a?b", "/a#b", "/[", "*", "/\x00"}
			v.SetString(paths[random.IntN(len(paths))])
		}
	}
}
