//go:build linux

package conformance

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

const (
	className      = "conformance"
	meshName       = "conformance"
	controllerName = "gateway-apiserver.dev/controller"
	// Each Gateway gets an address of the pool. The last one but a few is for the Gateway that asks for it by name.
	pool            = "127.1.0.0/24"
	usableAddress   = "127.1.0.250"
	unusableAddress = "127.2.0.1"
)

// makeParent makes what says which features are claimed in a way, and has the suite ask it: the XMesh, or the GatewayClass
// that all Gateways of the suite get.
func makeParent(t *testing.T, w way, c client.Client, options *suite.ConfigurableOptions) {
	t.Helper()
	if w == mesh || w == proxyless {
		options.MeshName = meshName
		create(t, c, &gwxv1alpha1.XMesh{
			ObjectMeta: metav1.ObjectMeta{Name: meshName},
			Spec:       gwxv1alpha1.MeshSpec{ControllerName: controllerName},
		})
		return
	}
	options.GatewayClassName = className
	namespace := gwv1.Namespace(metav1.NamespaceDefault)
	create(t, c, &fleetv1alpha1.EnvoyFleet{
		ObjectMeta: metav1.ObjectMeta{Name: className, Namespace: string(namespace)},
		Spec:       fleet(w),
	})
	create(t, c, &gwv1.GatewayClass{
		ObjectMeta: metav1.ObjectMeta{Name: className},
		Spec: gwv1.GatewayClassSpec{
			ControllerName: controllerName,
			ParametersRef:  &gwv1.ParametersReference{Group: fleetv1alpha1.GroupName, Kind: "EnvoyFleet", Name: className, Namespace: &namespace},
		},
	})
}

// fleet is what the class says of its Envoys. Without provisioning, they log what they do, to be read when a test fails.
func fleet(w way) fleetv1alpha1.EnvoyFleetSpec {
	if w == provisioned {
		return fleetv1alpha1.EnvoyFleetSpec{Provisioning: &fleetv1alpha1.Provisioning{
			ServiceType: corev1.ServiceTypeClusterIP,
			Replicas:    new(int32(1)),
		}}
	}
	return fleetv1alpha1.EnvoyFleetSpec{
		Addresses: &fleetv1alpha1.Addresses{Pool: []fleetv1alpha1.AddressRange{pool}},
		AccessLog: &fleetv1alpha1.AccessLog{},
	}
}

func create(t *testing.T, c client.Client, object client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
}
