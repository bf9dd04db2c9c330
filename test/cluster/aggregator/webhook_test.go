package aggregator

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/pki"
)

// cmdWebhook serves two admission webhooks until the script ends: /refuse refuses every object that has the annotation
// refuse, with its value as the reason, and /label gives every object the label admitted-as, with the version and resource
// of the request.
func cmdWebhook(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: webhook")
	}
	ca, err := pki.LoadOrMake(filepath.Join(ts.MkAbs("."), "webhook-ca"), "webhook-ca")
	ts.Check(err)
	certPEM, keyPEM, err := ca.IssueServer("webhook", nil, []net.IP{net.IPv4(127, 0, 0, 1)})
	ts.Check(err)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	ts.Check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /refuse", review(refuse))
	mux.HandleFunc("POST /label", review(label))
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	ts.Defer(server.Close)
	ts.Setenv("URL", server.URL)
	ts.Setenv("CA", base64.StdEncoding.EncodeToString(ca.PEM()))
}

// review makes a handler of what is to be answered to a request for admission of an object.
func review(answer func(*admissionv1.AdmissionRequest, metav1.ObjectMeta) *admissionv1.AdmissionResponse) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var object metav1.PartialObjectMetadata
		if err := json.Unmarshal(review.Request.Object.Raw, &object); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		response := answer(review.Request, object.ObjectMeta)
		response.UID = review.Request.UID
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{TypeMeta: review.TypeMeta, Response: response})
	}
}

func refuse(_ *admissionv1.AdmissionRequest, object metav1.ObjectMeta) *admissionv1.AdmissionResponse {
	reason, refused := object.Annotations["refuse"]
	return &admissionv1.AdmissionResponse{
		Allowed:  !refused,
		Result:   &metav1.Status{Message: reason},
		Warnings: []string{"the webhook was asked"},
	}
}

func label(request *admissionv1.AdmissionRequest, _ metav1.ObjectMeta) *admissionv1.AdmissionResponse {
	value := request.Resource.Version + "." + request.Resource.Resource
	patch := fmt.Sprintf(`[{"op":"add","path":"/metadata/labels","value":{"admitted-as":%q}}]`, value)
	kind := admissionv1.PatchTypeJSONPatch
	return &admissionv1.AdmissionResponse{Allowed: true, Patch: []byte(patch), PatchType: &kind}
}
