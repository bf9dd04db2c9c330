//go:build linux

package conformance

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// split is a transport that has one server for workloads and another one for all other kinds.
type split struct {
	others, workloads http.RoundTripper
	workloadsHost     *url.URL
	namespaces        kubernetes.Interface // where the workloads are
	paths             *request.RequestInfoFactory
}

// splitClients returns a client of both servers, and the kinds that it knows.
func splitClients(others, workloads *rest.Config) (*rest.Config, meta.RESTMapper, error) {
	s := &split{paths: &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}}
	mapper := meta.FirstHitRESTMapper{}
	for _, server := range []struct {
		config    *rest.Config
		transport *http.RoundTripper
	}{{others, &s.others}, {workloads, &s.workloads}} {
		client, err := rest.HTTPClientFor(server.config)
		if err != nil {
			return nil, nil, err
		}
		*server.transport = client.Transport
		kinds, err := apiutil.NewDynamicRESTMapper(server.config, client)
		if err != nil {
			return nil, nil, err
		}
		mapper.MultiRESTMapper = append(mapper.MultiRESTMapper, kinds)
	}
	var err error
	if s.workloadsHost, err = url.Parse(workloads.Host); err != nil {
		return nil, nil, err
	}
	if s.namespaces, err = kubernetes.NewForConfig(workloads); err != nil {
		return nil, nil, err
	}
	return &rest.Config{Host: others.Host, Transport: s, QPS: -1}, mapper, nil
}

// RoundTrip implements http.RoundTripper.
func (s *split) RoundTrip(r *http.Request) (*http.Response, error) {
	info, err := s.paths.NewRequestInfo(r)
	if err != nil {
		return nil, err
	}
	if !isWorkload(info) {
		return s.others.RoundTrip(r)
	}
	if info.Verb == "create" {
		if err := s.makeNamespace(r.Context(), info.Namespace); err != nil {
			return nil, err
		}
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host, r.Host = s.workloadsHost.Scheme, s.workloadsHost.Host, ""
	return s.workloads.RoundTrip(r)
}

// isWorkload says whether a request is about what runs in a cluster, which no server without one can know.
func isWorkload(info *request.RequestInfo) bool {
	switch info.APIGroup {
	case "apps":
		return true
	case corev1.GroupName:
		return info.Resource == "pods" || info.Resource == "serviceaccounts"
	}
	return false
}

// makeNamespace makes the namespace of a workload, in case that its copy isn't there yet.
func (s *split) makeNamespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := s.namespaces.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace of a workload: %w", err)
	}
	return nil
}
