package apis_test

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/randfill"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/gatewayx/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retained"
)

// rounds is how many random objects of each version a fuzz test looks at.
const rounds = 50

// newFiller returns what fills objects at random, with up to three entries in lists.
func newFiller(seed int64) *randfill.Filler {
	ports := func(serializer.CodecFactory) []any {
		return []any{func(set *v1alpha1.XListenerSet, c randfill.Continue) {
			c.FillNoCustom(set)
			copyPorts(set)
		}}
	}
	funcs := fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, ports)
	return fuzzer.FuzzerFor(funcs, rand.NewSource(seed), apis.Codecs).NumElements(0, 3)
}

// copyPorts sets the ports of status, which are those of spec.
func copyPorts(set *v1alpha1.XListenerSet) {
	ports := map[gatewayv1.SectionName]gatewayv1.PortNumber{}
	for _, listener := range set.Spec.Listeners {
		ports[listener.Name] = listener.Port
	}
	for i, listener := range set.Status.Listeners {
		set.Status.Listeners[i].Port = ports[listener.Name]
	}
}

// eachVersion runs a test for each version of each kind that has a hub besides, with a filler of its own.
func eachVersion(t *testing.T, test func(t *testing.T, hub, version apis.Version, filler *randfill.Filler)) {
	t.Helper()
	seed := rand.Int63()
	for _, kind := range apis.GatewayKinds {
		for _, version := range kind[1:] {
			t.Run(version.GroupVersionKind.String(), func(t *testing.T) {
				t.Parallel()
				t.Logf("seed %d", seed)
				test(t, kind.Hub(), version, newFiller(seed))
			})
		}
	}
}

// convert converts in to an object of the same Go type as out, and holds that this leaves in as it is.
func convert(t *testing.T, in, out runtime.Object) runtime.Object {
	t.Helper()
	before := in.DeepCopyObject()
	if err := apis.Scheme.Convert(in, out, nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, in); diff != "" {
		t.Fatalf("converting has changed its argument (-before +after):\n%s", diff)
	}
	return out
}

func wantEqual(t *testing.T, want, got runtime.Object) {
	t.Helper()
	if !equality.Semantic.DeepEqual(want, got) {
		t.Fatalf("(-want +got):\n%s", cmp.Diff(want, got))
	}
}

// TestConversionFuzz holds that converting to a version and back is the identity, from either side.
func TestConversionFuzz(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, hub, version apis.Version, filler *randfill.Filler) {
		for range rounds {
			for _, pair := range []struct{ there, back func() runtime.Object }{
				{version.New, hub.New}, {hub.New, version.New}, {version.NewList, hub.NewList}, {hub.NewList, version.NewList},
			} {
				obj := pair.back()
				filler.Fill(obj)
				wantEqual(t, obj, convert(t, convert(t, obj, pair.there()), pair.back()))
			}
		}
	})
}

// TestConversionForged converts objects that carry the hidden part of another object. Whatever comes out of that is
// what converting back and forth shows.
func TestConversionForged(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, hub, version apis.Version, filler *randfill.Filler) {
		for range rounds {
			other, obj := hub.New(), version.New()
			filler.Fill(other)
			filler.Fill(obj)
			forged := convert(t, other, version.New()).(metav1.Object).GetAnnotations()[retained.Annotation]
			metav1.SetMetaDataAnnotation(objectMeta(t, obj), retained.Annotation, forged)
			got := convert(t, obj, hub.New())
			wantEqual(t, got, convert(t, convert(t, got, version.New()), hub.New()))
		}
	})
}

func objectMeta(t *testing.T, obj runtime.Object) *metav1.ObjectMeta {
	t.Helper()
	accessor, ok := obj.(metav1.ObjectMetaAccessor)
	if !ok {
		t.Fatalf("%T has no metadata", obj)
	}
	return accessor.GetObjectMeta().(*metav1.ObjectMeta)
}

// TestConversionEncoded holds the same of what clients see: an object of the hub survives being encoded in a version and
// decoded, defaults included, and so does an object of a version.
func TestConversionEncoded(t *testing.T) {
	t.Parallel()
	codecs := serializer.NewCodecFactory(apis.Scheme, serializer.WithSerializer(cbor.NewSerializerInfo))
	for _, info := range codecs.SupportedMediaTypes() {
		if info.MediaType == runtime.ContentTypeProtobuf {
			continue // Gateway API types have none
		}
		t.Run(info.MediaType, func(t *testing.T) {
			t.Parallel()
			eachVersion(t, func(t *testing.T, hub, version apis.Version, filler *randfill.Filler) {
				internal := schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}
				codec := codecs.CodecForVersions(info.Serializer, info.Serializer, version.GroupVersion(), internal)
				client := codecs.CodecForVersions(info.Serializer, info.Serializer, version.GroupVersion(), version.GroupVersion())
				for range rounds / 10 {
					obj := hub.New()
					filler.Fill(obj)
					apis.Scheme.Default(obj)
					wantEqual(t, obj, decode(t, codec, encode(t, codec, obj)))

					obj = version.New()
					filler.Fill(obj)
					apis.Scheme.Default(obj)
					obj.GetObjectKind().SetGroupVersionKind(version.GroupVersionKind)
					stored := decode(t, codec, encode(t, client, obj))
					wantEqual(t, obj, decode(t, client, encode(t, codec, stored)))
				}
			})
		})
	}
}

func encode(t *testing.T, codec runtime.Codec, obj runtime.Object) []byte {
	t.Helper()
	data, err := runtime.Encode(codec, obj)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decode(t *testing.T, codec runtime.Codec, data []byte) runtime.Object {
	t.Helper()
	obj, err := runtime.Decode(codec, data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return obj
}
