package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis/retired"
)

// understandPatched returns codecs that also understand the retired fields that a merge patch has left in an object. Merge
// patches are applied to JSON, so only the JSON serializers differ from those of codecs, and only in decoding.
func understandPatched(codecs serializer.CodecFactory) runtime.NegotiatedSerializer {
	mediaTypes := slices.Clone(codecs.SupportedMediaTypes())
	for i := range mediaTypes {
		if info := &mediaTypes[i]; info.MediaType == runtime.ContentTypeJSON {
			info.Serializer = patchedSerializer{info.Serializer}
			info.StrictSerializer = patchedSerializer{info.StrictSerializer}
		}
	}
	return negotiated{codecs, mediaTypes}
}

// withoutProtobuf returns codecs for the types of the Gateway API and our own, which are no protobuf messages. Clients that prefer
// protobuf and accept JSON, as the namespace controller does, get JSON instead of an error.
func withoutProtobuf(codecs runtime.NegotiatedSerializer) runtime.NegotiatedSerializer {
	return negotiated{codecs, slices.DeleteFunc(slices.Clone(codecs.SupportedMediaTypes()), func(info runtime.SerializerInfo) bool {
		return info.MediaType == runtime.ContentTypeProtobuf
	})}
}

// negotiated are codecs with other media types.
type negotiated struct {
	runtime.NegotiatedSerializer
	mediaTypes []runtime.SerializerInfo
}

func (n negotiated) SupportedMediaTypes() []runtime.SerializerInfo { return n.mediaTypes }

// patchedSerializer is a JSON serializer that rewrites patched objects before it decodes them.
type patchedSerializer struct{ runtime.Serializer }

func (s patchedSerializer) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	data, err := rewritePatched(data)
	if err != nil {
		return nil, defaults, err
	}
	return s.Serializer.Decode(data, defaults, into)
}

// rewritePatched moves what a merge patch has set of retired fields in the object that data is.
func rewritePatched(data []byte) ([]byte, error) {
	mayHave := retired.LeftIn(data) || bytes.Contains(data, []byte(jsonEscape))
	if !mayHave || !bytes.Contains(data, []byte(gatewayv1.GroupName)) {
		return data, nil
	}
	var object map[string]any
	if err := utiljson.Unmarshal(data, &object); err != nil {
		return data, nil // the decoder says it better
	}
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	result, errs := retired.Lookup(schema.FromAPIVersionAndKind(apiVersion, kind).GroupKind()).Rewrite(object, retired.Patched)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	if !result.Changed {
		return data, nil
	}
	rewritten, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding %s without its retired fields: %w", kind, err)
	}
	return rewritten, nil
}
