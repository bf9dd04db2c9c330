//go:build linux

package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"
	upstream "sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/config"
	"sigs.k8s.io/gateway-api/conformance/utils/flags"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

var (
	reports = flag.String("reports", "", "folder for upstream's reports, report-cluster.yaml and so on")
	logs    = flag.String("logs", "", "folder for the logs of data planes; without it, they are kept with all others if a test fails")
)

// run runs the suite in one of the ways, or with -short a part of it, and records what becomes of its tests.
func run(t *testing.T, w way, s servers) {
	t.Helper()
	chosen := w.all()
	if testing.Short() {
		chosen = short(chosen, w.profiles())
		fmt.Printf("%s: %d tests of %d: %s\n", w, len(chosen), len(w.all()), strings.Join(namesOf(chosen), " "))
	}
	c, err := client.New(s.config, s.options)
	if err != nil {
		t.Fatal(err)
	}
	options := suite.ConformanceOptions{
		ConfigurableOptions: suite.ConfigurableOptions{
			// The servers end with the test, and all that they have.
			CleanupBaseResources:     false,
			CleanupTestResources:     flags.DefaultCleanupTestResources,
			TimeoutConfig:            config.DefaultTimeoutConfig(),
			SkipTests:                othersThan(chosen),
			Mode:                     string(w) + "-" + w.dataPlane(),
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
		Hook: func(t *testing.T, test suite.ConformanceTest, claims *suite.ConformanceTestSuite) {
			if w.concerns(test) {
				outcomes.record(w, test, judge(t, w, test, claims.SupportedFeatures))
			}
			if t.Failed() && s.logs != nil {
				showLogs(t, test, s.logs)
			}
		},
	}
	makeParent(t, w, c, &options.ConfigurableOptions)
	for _, p := range w.profiles() {
		options.ConformanceProfiles = append(options.ConformanceProfiles, p.Name)
	}
	if *reports != "" {
		options.ReportOutputPath = filepath.Join(*reports, "report-"+string(w)+".yaml")
	}
	flags.ApplyAll(&options.ConfigurableOptions)
	upstream.RunConformanceWithOptions(t, options)
}

// judge says what became of a test that has ended. One that was to be run, and was skipped, fails.
func judge(t *testing.T, w way, test suite.ConformanceTest, claimed suite.FeaturesSet) outcome {
	t.Helper()
	switch {
	case t.Failed():
		return failed
	case !t.Skipped():
		return passed
	case w.leftOut(test) != "":
		return leftOut
	case claimed.HasAll(test.Features...): // it is no part of the short set
		return ""
	}
	missing := slices.DeleteFunc(slices.Clone(test.Features), func(f features.FeatureName) bool { return claimed.Has(f) })
	t.Errorf("The test was skipped: nothing claims %s.", join(missing))
	return skipped
}

// othersThan are the names of all tests of the suite but those.
func othersThan(chosen []suite.ConformanceTest) []string {
	run := set(namesOf(chosen)...)
	return slices.DeleteFunc(namesOf(tests.ConformanceTests), func(name string) bool { return run[name] })
}

func namesOf(tests []suite.ConformanceTest) []string {
	names := make([]string, len(tests))
	for i, test := range tests {
		names[i] = test.ShortName
	}
	return names
}

// dataPlane names what carries the traffic of a way, for the reports.
func (w way) dataPlane() string {
	switch {
	case w == proxyless:
		return "grpc"
	case os.Getenv(envoy) != "":
		return "envoy"
	}
	return "testdataplane"
}
