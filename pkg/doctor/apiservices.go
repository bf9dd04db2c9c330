package doctor

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/install"
)

// trouble is what is the matter with an APIService.
type trouble struct {
	level     Level
	what, fix string
	// detail is said of the first APIService only: it is about the same for all of them.
	detail string
}

// checkAPIServices looks whether kube-apiserver asks our server for every group version, and trusts it for the right
// reason.
func (d *doctor) checkAPIServices(ctx context.Context) {
	var services []*apiregistrationv1.APIService
	var troubles []trouble
	names := map[string][]string{} // by what is the matter
	for _, gv := range install.GroupVersions() {
		name := install.APIServiceName(gv)
		service, err := install.GetAPIService(ctx, d.dynamic, name)
		if err != nil {
			d.find(apiServicesCheck, NotChecked, "run this as somebody who may read APIServices", "%v", err)
			return
		}
		services = append(services, service)
	}
	d.caBundle = d.commonBundle(services)
	for i, gv := range install.GroupVersions() {
		for _, t := range d.examine(services[i]) {
			if names[t.what] == nil {
				troubles = append(troubles, t)
			}
			names[t.what] = append(names[t.what], install.APIServiceName(gv))
		}
	}
	for _, t := range troubles {
		d.find(apiServicesCheck, t.level, t.fix, "%s%s: %s", t.what, t.detail, strings.Join(names[t.what], ", "))
	}
	d.fine(apiServicesCheck, "all %d are available, and point to the Service %s/%s", len(install.GroupVersions()), d.Namespace, install.Name)
}

// commonBundle returns the caBundle that most APIServices of the server have, or nil if none has one.
func (d *doctor) commonBundle(services []*apiregistrationv1.APIService) []byte {
	counts := map[string]int{}
	var common []byte
	for _, service := range services {
		if service == nil || !d.registration.Points(service) || len(service.Spec.CABundle) == 0 {
			continue
		}
		bundle := service.Spec.CABundle
		counts[string(bundle)]++
		if counts[string(bundle)] > counts[string(common)] {
			common = bundle
		}
	}
	return common
}

// examine looks at an APIService, which is nil if it is missing.
func (d *doctor) examine(service *apiregistrationv1.APIService) []trouble {
	again := fmt.Sprintf("run \"gateway-apiserver install -n %s\" again, with the same flags as before", d.Namespace)
	switch {
	case service == nil:
		return []trouble{{Failed, "missing, so that nobody serves these versions", again, ""}}
	case service.Spec.Service == nil:
		return []trouble{{Failed, "served by CustomResourceDefinitions, not by the server",
			fmt.Sprintf("if the server has the current objects, because its APIServices were deleted after a takeover, run \"gateway-apiserver install -n %s --hide-objects\", with the other flags as before, but for --register=false; "+
				"if the objects were never moved to it, move them with \"gateway-apiserver takeover\"; if there are none, %s", d.Namespace, again), ""}}
	case !d.registration.Points(service):
		other := fmt.Sprintf("point to the Service %s/%s, which is another server", service.Spec.Service.Namespace, service.Spec.Service.Name)
		return []trouble{{Failed, other, "remove that server, or its APIServices, then " + again, ""}}
	}
	var found []trouble
	if port := service.Spec.Service.Port; port == nil || *port != d.registration.Port {
		found = append(found, trouble{Failed, fmt.Sprintf("do not point to port %d of the Service", d.registration.Port), again, ""})
	}
	if service.Spec.InsecureSkipTLSVerify {
		found = append(found, trouble{Failed, "insecureSkipTLSVerify, with which anybody in between can read and change everything",
			"look who sets it, in managedFields; the server removes it with --self-signed", ""})
	}
	if err := install.Available(service); err != nil {
		found = append(found, trouble{Failed, "not available", "see the other findings, and the logs of the replicas", fmt.Sprintf(" (%v)", err)})
	}
	switch {
	case len(service.Spec.CABundle) == 0:
		found = append(found, trouble{Failed, "no caBundle, without which kube-apiserver cannot trust the server",
			"wait half a minute after the start of the server, then see its log; without --self-signed, set spec.caBundle to the CA of --tls-cert-file", ""})
	case !bytes.Equal(d.caBundle, service.Spec.CABundle):
		found = append(found, trouble{Warning, "another caBundle than the others", "wait half a minute, in which the server makes them equal, then see its log", ""})
	}
	return found
}

// checkDefinitions looks for CustomResourceDefinitions of the same kinds, which may stay as long as the server wins.
func (d *doctor) checkDefinitions(ctx context.Context) {
	definitions, err := install.ListDefinitions(ctx, d.dynamic)
	if err != nil {
		d.find(definitionsCheck, NotChecked, "run this as somebody who may list CustomResourceDefinitions", "%v", err)
		return
	}
	for _, definition := range definitions {
		var apart []string
		for _, version := range definition.Versions {
			if !slices.Contains(install.GroupVersions(), definition.Resource.WithVersion(version).GroupVersion()) {
				apart = append(apart, version)
			}
		}
		if len(apart) > 0 {
			d.find(definitionsCheck, Warning, "install a release of gateway-apiserver that serves it, or delete that version from the CustomResourceDefinition",
				"CustomResourceDefinition %s also serves %s, which the server doesn't: objects written in it are stored apart, and the server never sees them",
				definition.Name, strings.Join(apart, ", "))
		}
	}
	if len(definitions) == 0 {
		d.fine(definitionsCheck, "the cluster has no CustomResourceDefinitions of the Gateway API")
		return
	}
	d.fine(definitionsCheck, "the cluster has %d CustomResourceDefinitions of the Gateway API; where APIServices point to the server, it wins", len(definitions))
}
