package retained

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// An older version knows where a parcel goes and when, a newer one where, how and with what in it.
type (
	older struct {
		Address string   `json:"address,omitempty"`
		Rooms   []string `json:"rooms,omitempty"`
		Hour    int      `json:"hour,omitempty"`
	}
	newer struct {
		Address string            `json:"address,omitempty"`
		Rooms   []string          `json:"rooms,omitempty"`
		Notes   map[string]string `json:"notes,omitempty"` // belong to the address
	}
)

var (
	olderKind = schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Parcel"}
	newerKind = schema.GroupVersionKind{Group: "example.com", Version: "v2", Kind: "Parcel"}

	up = Conversion[older, newer]{
		From: olderKind, To: newerKind,
		Plain: func(in *older) newer { return newer{Address: in.Address, Rooms: in.Rooms} },
		Back:  func(in *newer) older { return older{Address: in.Address, Rooms: in.Rooms} },
		Restore: func(to, kept *newer, from, shown *older) {
			if from.Address == shown.Address {
				to.Notes = kept.Notes
			}
		},
	}
	down = Conversion[newer, older]{
		From: newerKind, To: olderKind, Plain: up.Back, Back: up.Plain,
		Restore: func(to, kept *older, from, shown *newer) {
			if from.Address == shown.Address {
				to.Hour = kept.Hour
			}
		},
	}
)

const (
	keptNewer = `{"kind":"Parcel","apiVersion":"example.com/v2","spec":{"address":"here","notes":{"a":"1","b":"2"}}}`
	keptOlder = `{"kind":"Parcel","apiVersion":"example.com/v1","spec":{"address":"here","hour":12}}`
)

type object[Spec any] struct {
	annotations map[string]string
	spec        Spec
}

// convert converts and checks that this leaves the argument as it is.
func convert[From, To any](t *testing.T, c Conversion[From, To], in object[From]) object[To] {
	t.Helper()
	meta := metav1.ObjectMeta{Name: "a", Annotations: in.annotations}
	before := *meta.DeepCopy()
	var out metav1.ObjectMeta
	var spec To
	if err := c.Convert(&meta, &in.spec, &out, &spec); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, meta); diff != "" {
		t.Errorf("the argument has changed (-before +after):\n%s", diff)
	}
	if out.Name != "a" {
		t.Errorf("metadata is %+v", out)
	}
	return object[To]{out.Annotations, spec}
}

func annotated(pairs ...string) map[string]string {
	annotations := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		annotations[pairs[i]] = pairs[i+1]
	}
	return annotations
}

func TestToOlder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		in   object[newer]
		want object[older]
	}{
		"nothing is lost": {
			object[newer]{annotated("x", "y"), newer{Address: "here"}},
			object[older]{annotated("x", "y"), older{Address: "here"}},
		},
		"what is lost is kept": {
			object[newer]{annotated("x", "y"), newer{Address: "here", Notes: map[string]string{"b": "2", "a": "1"}}},
			object[older]{annotated("x", "y", Annotation, keptNewer), older{Address: "here"}},
		},
		"an empty list is none": {
			object[newer]{nil, newer{Address: "here", Rooms: []string{}, Notes: map[string]string{}}},
			object[older]{nil, older{Address: "here", Rooms: []string{}}},
		},
		"what was kept comes back, and nothing is left of the annotation": {
			object[newer]{annotated(Annotation, keptOlder), newer{Address: "here"}},
			object[older]{nil, older{Address: "here", Hour: 12}},
		},
		"both at once": {
			object[newer]{annotated(Annotation, keptOlder), newer{Address: "here", Notes: map[string]string{"a": "1", "b": "2"}}},
			object[older]{annotated(Annotation, keptNewer), older{Address: "here", Hour: 12}},
		},
		"what it belongs to has changed": {
			object[newer]{annotated("x", "y", Annotation, keptOlder), newer{Address: "there"}},
			object[older]{annotated("x", "y"), older{Address: "there"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := convert(t, down, test.in)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(object[older]{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			_, want := test.want.annotations[Annotation]
			if hidden := Hidden(&metav1.ObjectMeta{Annotations: got.annotations}); hidden != want {
				t.Errorf("Hidden is %v, expected %v", hidden, want)
			}
		})
	}
}

// TestIgnored holds that content which is none of ours is dropped without an error.
func TestIgnored(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{
		"empty":              "",
		"no JSON":            "{",
		"no object":          `[]`,
		"no spec":            `{"kind":"Parcel","apiVersion":"example.com/v2"}`,
		"two values":         keptNewer + keptNewer,
		"of another kind":    strings.Replace(keptNewer, "Parcel", "Letter", 1),
		"of another version": strings.Replace(keptNewer, "v2", "v3", 1),
		"of another type":    strings.Replace(keptNewer, `"here"`, `1`, 1),
		"its own version":    keptOlder,
		"too long":           keptNewer + strings.Repeat(" ", validation.TotalAnnotationSizeLimitB),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := convert(t, up, object[older]{annotated(Annotation, value), older{Address: "here"}})
			if diff := cmp.Diff(object[newer]{spec: newer{Address: "here"}}, got, cmp.AllowUnexported(object[newer]{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	// The same, in order.
	if got := convert(t, up, object[older]{annotated(Annotation, keptNewer), older{Address: "here"}}); len(got.spec.Notes) != 2 {
		t.Errorf("%+v has no notes", got)
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	type address struct {
		Street string
		House  *int
	}
	type parcel struct {
		To    *address
		Rooms []string
		Name  string
	}
	whole := parcel{To: &address{Street: "Main", House: new(7)}, Rooms: []string{"a", "b"}, Name: "x"}
	for name, test := range map[string]struct {
		part parcel
		want bool
	}{
		"nothing":               {parcel{}, true},
		"all":                   {whole, true},
		"some":                  {parcel{To: &address{House: new(7)}}, true},
		"another name":          {parcel{Name: "y"}, false},
		"another house":         {parcel{To: &address{Street: "Main", House: new(8)}}, false},
		"fewer items of a list": {parcel{Rooms: []string{"a"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Within(&test.part, &whole); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
	if Within(&parcel{To: &address{Street: "Main"}}, &parcel{}) {
		t.Error("something is within nothing")
	}
}

// FuzzAnnotation holds that any content is taken without an error, and that what it has made is stable.
func FuzzAnnotation(f *testing.F) {
	f.Add(keptNewer, "here")
	f.Add(keptOlder, "here")
	f.Add("{", "there")
	f.Fuzz(func(t *testing.T, value, address string) {
		if !utf8.ValidString(address) {
			return // no JSON can have it
		}
		got := convert(t, up, object[older]{annotated(Annotation, value), older{Address: address}})
		again := convert(t, up, convert(t, down, got))
		if diff := cmp.Diff(got, again, cmp.AllowUnexported(object[newer]{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
