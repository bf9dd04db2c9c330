//go:build linux

package conformance

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/yaml"
	upstream "sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// shown is how much of the end of a log is shown when a test has failed.
const shown = 3000

// showLogs shows how the logs end of the data planes that a test uses, which logsOf finds.
func showLogs(t *testing.T, test suite.ConformanceTest, logsOf func(suite.ConformanceTest) ([]string, error)) {
	t.Helper()
	files, err := logsOf(test)
	if err != nil {
		t.Error(err)
	}
	for _, file := range files {
		log, err := os.ReadFile(file)
		switch {
		case errors.Is(err, os.ErrNotExist): // of a Gateway that never had an address
		case err != nil:
			t.Error(err)
		default:
			t.Logf("%s ends with:\n%s", file, log[max(0, len(log)-shown):])
		}
	}
}

// logsOf are the logs of the Gateways that the manifests of a test make or refer to.
func (o *operator) logsOf(test suite.ConformanceTest) ([]string, error) {
	var files []string
	for _, manifest := range test.Manifests {
		gateways, err := gatewaysIn(manifest)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", manifest, err)
		}
		for gateway := range gateways {
			files = append(files, o.logOf(gateway))
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// gatewaysIn are the Gateways that are in a manifest of the suite, and those that it refers to.
func gatewaysIn(manifest string) (sets.Set[types.NamespacedName], error) {
	gateways := sets.New[types.NamespacedName]()
	data, err := upstream.Manifests.ReadFile(manifest)
	if err != nil {
		return gateways, err
	}
	type reference struct{ Kind, Namespace, Name string }
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), len(data))
	for {
		var object struct {
			Kind     string
			Metadata metav1.ObjectMeta
			Spec     struct {
				ParentRef  reference   // of a ListenerSet
				ParentRefs []reference // of a route
			}
		}
		if err := documents.Decode(&object); errors.Is(err, io.EOF) {
			return gateways, nil
		} else if err != nil {
			return gateways, err
		}
		used := append(object.Spec.ParentRefs, object.Spec.ParentRef)
		if object.Kind == "Gateway" {
			used = append(used, reference{Name: object.Metadata.Name})
		}
		for _, ref := range used {
			if ref.Name != "" && cmp.Or(ref.Kind, "Gateway") == "Gateway" {
				gateways.Insert(types.NamespacedName{Namespace: cmp.Or(ref.Namespace, object.Metadata.Namespace), Name: ref.Name})
			}
		}
	}
}
