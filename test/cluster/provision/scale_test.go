package provision

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/rest"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
	provisioning "github.com/gateway-apiserver/gateway-apiserver/pkg/provision"
	"github.com/gateway-apiserver/gateway-apiserver/pkg/xds/bootstrap"
	"github.com/gateway-apiserver/gateway-apiserver/test/cluster"
)

// roundTripper is a function that sends requests.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// TestScaledMeanwhile has somebody scale a Deployment when the provisioner has looked at it and is about to change it. It has a
// cluster of its own, where no other provisioner does so too.
func TestScaledMeanwhile(t *testing.T) {
	t.Parallel()
	bare := cluster.Start(t)
	deployments := bare.Clientset().AppsV1().Deployments("default")
	scale := sync.OnceValue(func() error {
		current, err := deployments.GetScale(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			return err
		}
		current.Spec.Replicas = 5
		_, err = deployments.UpdateScale(t.Context(), "web", current, metav1.UpdateOptions{})
		return err
	})
	scaling := false
	config := rest.CopyConfig(bare.Admin)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			if scaling && req.Method == http.MethodPatch && strings.Contains(req.URL.Path, "/deployments/") {
				if err := scale(); err != nil {
					return nil, err
				}
			}
			return next.RoundTrip(req)
		})
	})
	authority, err := dynamiccertificates.NewStaticCAContent("test", bare.Admin.CAData)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provisioning.New(config, bootstrap.Address{Host: "xds.example.com", Port: 18000}, authority)
	if err != nil {
		t.Fatal(err)
	}
	name := types.NamespacedName{Namespace: "default", Name: "web"}
	wanted := &graph.Infrastructure{
		Gateway: name, UID: "one", Class: "example", Name: "web", Ports: []graph.InfrastructurePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		Provisioning: fleetv1alpha1.Provisioning{Image: "envoy:v1", Replicas: new(int32(2)), ServiceType: corev1.ServiceTypeClusterIP},
	}
	ensured := func(replicas int32) {
		t.Helper()
		if problem, err := p.Ensure(t.Context(), name, wanted); problem != nil || err != nil {
			t.Fatal(problem, err)
		}
		got, err := deployments.Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if image := got.Spec.Template.Spec.Containers[0].Image; *got.Spec.Replicas != replicas || image != wanted.Provisioning.Image {
			t.Errorf("%d replicas of %s, want %d of %s", *got.Spec.Replicas, image, replicas, wanted.Provisioning.Image)
		}
	}
	ensured(2)
	wanted.Provisioning.Replicas = new(int32(3))
	ensured(3)
	wanted.Provisioning.Image, scaling = "envoy:v2", true
	ensured(5)
	wanted.Provisioning.Image = "envoy:v3"
	ensured(5)
}
