package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// goField is a field of a struct as it is in JSON.
type goField struct {
	owner     string // the struct that declares it
	name      string // in Go
	typ       reflect.Type
	omitEmpty bool
	omitZero  bool
}

// fieldsOf returns the fields of a struct by their names in JSON, those of inlined structs included, and the names in
// the order of the struct.
func fieldsOf(t reflect.Type) (map[string]goField, []string, error) {
	fields, order := map[string]goField{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := strings.Split(f.Tag.Get("json"), ",")
		name, options := tag[0], tag[1:]
		if name == "-" {
			continue
		}
		if name == "" {
			if f.Type.Kind() != reflect.Struct || !f.Anonymous {
				return nil, nil, fmt.Errorf("field %v.%s: has no name in JSON and is no embedded struct", t, f.Name)
			}
			inlined, names, err := fieldsOf(f.Type)
			if err != nil {
				return nil, nil, err
			}
			for _, name := range names {
				fields[name] = inlined[name]
			}
			order = append(order, names...)
			continue
		}
		field := goField{owner: t.Name(), name: f.Name, typ: f.Type}
		for _, option := range options {
			switch option {
			case "omitempty":
				field.omitEmpty = true
			case "omitzero":
				field.omitZero = true
			default:
				return nil, nil, fmt.Errorf("field %v.%s: option %s", t, f.Name, option)
			}
		}
		fields[name] = field
		order = append(order, name)
	}
	return fields, order, nil
}

// present is the condition under which the field of the struct owner is there in the JSON value that
// runtime.DefaultUnstructuredConverter makes of it, when nulls are pruned.
func (f goField) present(owner string) (*condition, error) {
	value := owner + "." + f.name
	notEmpty := func(empty string) *condition { return newAtom(value+" != "+empty, value+" == "+empty) }
	omit := f.omitEmpty || f.omitZero
	if _, ok := reflect.PointerTo(f.typ).MethodByName("IsZero"); ok && f.omitZero {
		return nil, fmt.Errorf("field %s: %v says itself when it is zero", value, f.typ)
	}
	switch f.typ.Kind() {
	case reflect.Pointer:
		return notEmpty("nil"), nil
	case reflect.Slice, reflect.Map:
		if f.omitEmpty {
			return newAtom("len("+value+") > 0", "len("+value+") == 0"), nil
		}
		return notEmpty("nil"), nil
	case reflect.String:
		if omit {
			return notEmpty(`""`), nil
		}
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint16:
		if omit {
			return notEmpty("0"), nil
		}
	case reflect.Bool:
		if omit {
			return call(value), nil
		}
	case reflect.Struct:
		if f.omitZero {
			return nil, fmt.Errorf("field %s: a struct that is omitted when it is zero", value)
		}
	default:
		return nil, fmt.Errorf("field %s: a %v", value, f.typ.Kind())
	}
	return always, nil
}

var jsonMarshaler = reflect.TypeFor[json.Marshaler]()

// plain returns an error if values of a type say themselves what they are in JSON.
func plain(t reflect.Type) error {
	if t.Implements(jsonMarshaler) || reflect.PointerTo(t).Implements(jsonMarshaler) {
		return fmt.Errorf("%v marshals itself", t)
	}
	return nil
}

// qualifier names types in generated code and remembers the packages that these need: their names, by their paths.
type qualifier struct{ used map[string]string }

var packageNames = map[string]string{
	"sigs.k8s.io/gateway-api/apis/v1":                                           "gatewayv1",
	"sigs.k8s.io/gateway-api/apis/v1beta1":                                      "gatewayv1beta1",
	"sigs.k8s.io/gateway-api/apis/v1alpha2":                                     "upstreamv1alpha2",
	"sigs.k8s.io/gateway-api/apis/v1alpha3":                                     "gatewayv1alpha3",
	"sigs.k8s.io/gateway-api/apisx/v1alpha1":                                    "upstreamxv1alpha1",
	"k8s.io/apimachinery/pkg/apis/meta/v1":                                      "metav1",
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gateway/v1alpha2":  "gatewayv1alpha2",
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gatewayx/v1alpha1": "gatewayxv1alpha1",
}

// qualify returns the Go expression for a type.
func (q qualifier) qualify(t reflect.Type) (string, error) {
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name(), nil
		}
		pkg, ok := packageNames[t.PkgPath()]
		if !ok {
			return "", fmt.Errorf("package %s has no name in generated code", t.PkgPath())
		}
		q.used[t.PkgPath()] = pkg
		return pkg + "." + t.Name(), nil
	}
	switch t.Kind() {
	case reflect.Slice:
		elem, err := q.qualify(t.Elem())
		return "[]" + elem, err
	case reflect.Map:
		key, err := q.qualify(t.Key())
		if err != nil {
			return "", err
		}
		elem, err := q.qualify(t.Elem())
		return "map[" + key + "]" + elem, err
	}
	return "", fmt.Errorf("type %v has no name", t)
}
