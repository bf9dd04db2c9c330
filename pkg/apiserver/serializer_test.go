package apiserver

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/apis"
)

func TestSerializer(t *testing.T) {
	t.Parallel()
	plain, patched := apis.Codecs.SupportedMediaTypes(), understandPatched(apis.Codecs).SupportedMediaTypes()
	if len(plain) != len(patched) {
		t.Fatalf("got %d media types, want %d", len(patched), len(plain))
	}
	const gateway = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","spec":{"gatewayClassName":"x",` + listeners + `}}`
	for i, info := range patched {
		if info.MediaType != plain[i].MediaType || info.StreamSerializer != plain[i].StreamSerializer || info.PrettySerializer != plain[i].PrettySerializer {
			t.Errorf("%s: something else than decoding has changed", info.MediaType)
		}
		if info.MediaType != runtime.ContentTypeJSON {
			continue
		}
		for serializer, plain := range map[runtime.Serializer]runtime.Serializer{info.Serializer: plain[i].Serializer, info.StrictSerializer: plain[i].StrictSerializer} {
			obj, err := runtime.Decode(serializer, []byte(gateway))
			if err != nil {
				t.Fatal(err)
			}
			gw := obj.(*gatewayv1.Gateway)
			want := &gatewayv1.FrontendTLSConfig{PerPort: []gatewayv1.TLSPortConfig{{
				Port: 443,
				TLS:  gatewayv1.TLSConfig{Validation: &gatewayv1.FrontendTLSValidation{CACertificateRefs: []gatewayv1.ObjectReference{{Name: "ca"}}, Mode: gatewayv1.AllowValidOnly}},
			}}}
			if diff := cmp.Diff(want, gw.Spec.TLS.Frontend); diff != "" {
				t.Errorf("spec.tls.frontend (-want +got):\n%s", diff)
			}
			var encoded, plainly bytes.Buffer
			if err := serializer.Encode(gw, &encoded); err != nil {
				t.Fatal(err)
			}
			if err := plain.Encode(gw, &plainly); err != nil {
				t.Fatal(err)
			}
			if encoded.String() != plainly.String() || serializer.Identifier() != plain.Identifier() {
				t.Errorf("encodes %s, want %s", &encoded, &plainly)
			}
		}
		strange := strings.Replace(gateway, `"tls":`, `"frontendValidation":`, 1)
		if _, err := runtime.Decode(info.StrictSerializer, []byte(strange)); !runtime.IsStrictDecodingError(err) {
			t.Errorf("got error %v, want that of a field that was never there", err)
		}
		disagreeing := strings.Replace(gateway, `"listeners":[`, `"listeners":[{"port":443,"protocol":"HTTPS"},`, 1)
		if _, err := runtime.Decode(info.Serializer, []byte(disagreeing)); err == nil || !strings.Contains(err.Error(), "spec.listeners[0].tls.frontendValidation: Forbidden: must be set") {
			t.Errorf("got error %v", err)
		}
	}
}
