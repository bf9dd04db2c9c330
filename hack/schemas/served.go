package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A row is a kind to serve.
type row struct {
	// definition is the name of the CustomResourceDefinition's file, without extension.
	definition string
	versions   []version
}

type version struct {
	name string
	// release is the last one that served the version; empty for the pinned one.
	release string
	// warning is for a version that upstream removed without having deprecated it.
	warning string
}

// served are the kinds and versions that the output has, the preferred version of each kind first.
var served = []row{
	{"gateway.networking.k8s.io_gatewayclasses", []version{{name: "v1"}, {name: "v1beta1"}, {name: "v1alpha2", release: "v0.7.1"}}},
	{"gateway.networking.k8s.io_gateways", []version{{name: "v1"}, {name: "v1beta1"}, {name: "v1alpha2", release: "v0.7.1"}}},
	{"gateway.networking.k8s.io_httproutes", []version{{name: "v1"}, {name: "v1beta1"}, {name: "v1alpha2", release: "v0.7.1"}}},
	{"gateway.networking.k8s.io_grpcroutes", []version{{name: "v1"}, {name: "v1alpha2", release: "v1.1.1"}}},
	{"gateway.networking.k8s.io_tlsroutes", []version{{name: "v1"}, {name: "v1alpha3"}, {name: "v1alpha2"}}},
	{"gateway.networking.k8s.io_tcproutes", []version{{name: "v1"}, {name: "v1alpha2"}}},
	{"gateway.networking.k8s.io_udproutes", []version{{name: "v1"}, {name: "v1alpha2"}}},
	{"gateway.networking.k8s.io_referencegrants", []version{{name: "v1"}, {name: "v1beta1"}, {name: "v1alpha2", release: "v1.1.1"}}},
	{"gateway.networking.k8s.io_backendtlspolicies", []version{{name: "v1"}, {name: "v1alpha3"}, {
		name: "v1alpha2", release: "v1.0.0",
		warning: "The v1alpha2 version of BackendTLSPolicy has been removed in release v1.1.0 of the API. Please upgrade to v1.",
	}}},
	{"gateway.networking.k8s.io_listenersets", []version{{name: "v1"}}},
	{"gateway.networking.k8s.io_backendlbpolicies", []version{{
		name: "v1alpha2", release: "v1.2.1",
		warning: "The v1alpha2 version of BackendLBPolicy has been removed in release v1.3.0 of the API. Please upgrade to gateway.networking.x-k8s.io/v1alpha1 XBackendTrafficPolicy.",
	}}},
	{"gateway.networking.x-k8s.io_xbackends", []version{{name: "v1alpha1"}}},
	{"gateway.networking.x-k8s.io_xbackendtrafficpolicies", []version{{name: "v1alpha1"}}},
	{"gateway.networking.x-k8s.io_xlistenersets", []version{{
		name: "v1alpha1", release: "v1.4.1",
		warning: "The v1alpha1 version of XListenerSet has been removed in release v1.5.0 of the API. Please upgrade to gateway.networking.k8s.io/v1 ListenerSet.",
	}}},
	{"gateway.networking.x-k8s.io_xmeshes", []version{{name: "v1alpha1"}}},
}

// collect reads the versions of a row, each from its release.
func collect(row row, releases []release, store *schemas) (kind, error) {
	k := kind{}
	for _, v := range row.versions {
		at := slices.IndexFunc(releases, func(r release) bool { return r.version == v.release })
		if v.release == "" {
			at = len(releases) - 1
		}
		if at < 0 {
			return kind{}, fmt.Errorf("version %s: release %s is not in the table", v.name, v.release)
		}
		for _, later := range releases[at+1:] {
			if _, still, err := later.find("experimental", row.definition, v.name); err != nil {
				return kind{}, err
			} else if still != nil && still.Served {
				return kind{}, fmt.Errorf("version %s: release %s serves it too", v.name, later.version)
			}
		}
		crd, one, err := releases[at].read(row.definition, v, store)
		if err != nil {
			return kind{}, fmt.Errorf("version %s: %w", v.name, err)
		}
		if k.Group == "" {
			k.Group, k.Names, k.Scope = crd.Spec.Group, crd.Spec.Names, crd.Spec.Scope
		}
		if k.Group != crd.Spec.Group || !reflect.DeepEqual(k.Names, crd.Spec.Names) || k.Scope != crd.Spec.Scope {
			return kind{}, fmt.Errorf("version %s: names or scope changed: %+v, before %+v", v.name, crd.Spec.Names, k.Names)
		}
		k.Versions = append(k.Versions, *one)
	}
	return k, nil
}

// read returns the definition of a release and one version in it, for both channels.
func (r release) read(definition string, v version, store *schemas) (*apiextensionsv1.CustomResourceDefinition, *kindVersion, error) {
	crd, experimental, err := r.find("experimental", definition, v.name)
	if err != nil {
		return nil, nil, err
	}
	if experimental == nil || !experimental.Served {
		return nil, nil, fmt.Errorf("release %s doesn't serve it", r.version)
	}
	warning, err := warning(experimental, v)
	if err != nil {
		return nil, nil, err
	}
	result := &kindVersion{
		Name:    v.name,
		Columns: columns(experimental),
		Status:  hasStatus(experimental),
		Warning: warning,
	}
	id := func(channel string) string { return crd.Name + " " + v.name + ", " + r.version + " " + channel }
	if result.Experimental, err = store.add(experimental.Schema.OpenAPIV3Schema, id("experimental")); err != nil {
		return nil, nil, err
	}
	_, standard, err := r.find("standard", definition, v.name)
	if err != nil || standard == nil {
		return crd, result, err
	}
	if !reflect.DeepEqual(columns(standard), result.Columns) || !reflect.DeepEqual(standard.Subresources, experimental.Subresources) {
		return nil, nil, errors.New("columns or subresources differ between the channels")
	}
	result.Standard, err = store.add(standard.Schema.OpenAPIV3Schema, id("standard"))
	return crd, result, err
}

func hasStatus(of *apiextensionsv1.CustomResourceDefinitionVersion) bool {
	return of.Subresources != nil && of.Subresources.Status != nil
}

// columns are the printer columns of a version; without any, those that a kube-apiserver shows then.
func columns(of *apiextensionsv1.CustomResourceDefinitionVersion) []apiextensionsv1.CustomResourceColumnDefinition {
	if len(of.AdditionalPrinterColumns) > 0 {
		return of.AdditionalPrinterColumns
	}
	return []apiextensionsv1.CustomResourceColumnDefinition{{
		Name: "Age", Type: "date", JSONPath: ".metadata.creationTimestamp",
		Description: metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"],
	}}
}

// warning is the text that upstream's CustomResourceDefinition has for a deprecated version, or ours.
func warning(of *apiextensionsv1.CustomResourceDefinitionVersion, v version) (string, error) {
	switch {
	case !of.Deprecated:
		return v.warning, nil
	case of.DeprecationWarning == nil:
		return "", errors.New("deprecated without a text")
	case v.warning != "":
		return "", errors.New("upstream has a text for its deprecation")
	}
	return *of.DeprecationWarning, nil
}
