package conformance

import (
	"flag"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	upstream "sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/config"
	"sigs.k8s.io/gateway-api/conformance/utils/flags"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"

	fleetv1alpha1 "github.com/gateway-apiserver/gateway-apiserver/pkg/apis/fleet/v1alpha1"
)

const (
	className = "conformance"
	// Each Gateway gets an address of the pool. The last one but a few is for the Gateway that asks for it by name.
	pool            = "127.1.0.0/24"
	usableAddress   = "127.1.0.250"
	unusableAddress = "127.2.0.1"
)

// profiles are all that are for gateways.
var profiles = []suite.ConformanceProfile{
	suite.GatewayHTTPConformanceProfile,
	suite.GatewayGRPCConformanceProfile,
	suite.GatewayTLSConformanceProfile,
	suite.GatewayTCPConformanceProfile,
	suite.GatewayUDPConformanceProfile,
}

var reports = flag.String("reports", "", "folder for upstream's reports, report-cluster.yaml and so on")

// run runs the suite in one of the ways, and records what becomes of its tests.
func run(t *testing.T, w way, s servers, fleet fleetv1alpha1.EnvoyFleetSpec) {
	t.Helper()
	c, err := client.New(s.config, s.options)
	if err != nil {
		t.Fatal(err)
	}
	makeClass(t, c, fleet)
	options := suite.ConformanceOptions{
		ConfigurableOptions: suite.ConfigurableOptions{
			GatewayClassName: className,
			// The servers end with the test, and all that they have.
			CleanupBaseResources:     false,
			CleanupTestResources:     flags.DefaultCleanupTestResources,
			TimeoutConfig:            config.DefaultTimeoutConfig(),
			SkipTests:                w.leftOut(),
			Mode:                     string(w),
			UsableNetworkAddresses:   []gwv1.GatewaySpecAddress{{Value: usableAddress}},
			UnusableNetworkAddresses: []gwv1.GatewaySpecAddress{{Value: unusableAddress}},
			Implementation: confv1.Implementation{
				Organization: "gateway-apiserver",
				Project:      "gateway-apiserver",
				URL:          "https://github.com/gateway-apiserver/gateway-apiserver",
				Contact:      []string{"https://github.com/gateway-apiserver/gateway-apiserver/issues"},
			},
		},
		Client:        c,
		ClientOptions: s.options,
		Clientset:     kubernetes.NewForConfigOrDie(s.config),
		RestConfig:    s.config,
		Hook: func(t *testing.T, test suite.ConformanceTest, s *suite.ConformanceTestSuite) {
			outcomes.record(w, test, judge(t, w, test, s.SupportedFeatures))
		},
	}
	for _, p := range profiles {
		options.ConformanceProfiles = append(options.ConformanceProfiles, p.Name)
	}
	if *reports != "" {
		options.ReportOutputPath = filepath.Join(*reports, "report-"+string(w)+".yaml")
	}
	flags.ApplyAll(&options.ConfigurableOptions)
	upstream.RunConformanceWithOptions(t, options)
}

// judge says what became of a test that has ended. One that was skipped fails, unless it is left out.
func judge(t *testing.T, w way, test suite.ConformanceTest, supported suite.FeaturesSet) string {
	t.Helper()
	switch {
	case t.Failed():
		return "FAIL"
	case !t.Skipped():
		return "pass"
	case slices.Contains(w.leftOut(), test.ShortName):
		return "left out"
	}
	missing := slices.DeleteFunc(slices.Clone(test.Features), func(f features.FeatureName) bool { return supported.Has(f) })
	t.Errorf("The test was skipped: the GatewayClass doesn't claim %s.", join(missing))
	return "SKIPPED"
}

// makeClass makes the GatewayClass that all Gateways of the suite get, and the EnvoyFleet that it refers to.
func makeClass(t *testing.T, c client.Client, spec fleetv1alpha1.EnvoyFleetSpec) {
	t.Helper()
	namespace := gwv1.Namespace(metav1.NamespaceDefault)
	for _, object := range []client.Object{
		&fleetv1alpha1.EnvoyFleet{
			ObjectMeta: metav1.ObjectMeta{Name: className, Namespace: string(namespace)},
			Spec:       spec,
		},
		&gwv1.GatewayClass{
			ObjectMeta: metav1.ObjectMeta{Name: className},
			Spec: gwv1.GatewayClassSpec{
				ControllerName: "gateway-apiserver.dev/controller",
				ParametersRef:  &gwv1.ParametersReference{Group: fleetv1alpha1.GroupName, Kind: "EnvoyFleet", Name: className, Namespace: &namespace},
			},
		},
	} {
		if err := c.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}
