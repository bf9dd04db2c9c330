package provision

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/graph"
)

// What kube-apiserver has against an object is for the Gateway's status; that it can't be asked is not.
func TestRefused(t *testing.T) {
	t.Parallel()
	services := schema.GroupResource{Resource: "services"}
	invalid := func(at *field.Path) error {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "Service"}, "web", field.ErrorList{field.Invalid(at, "x", "is taken")})
	}
	for name, tt := range map[string]struct {
		err    error
		reason string // empty for an error
	}{
		"forbidden":                  {apierrors.NewForbidden(services, "web", errors.New("exceeded quota")), graph.ReasonForbidden},
		"invalid":                    {invalid(field.NewPath("spec", "ports").Index(0)), graph.ReasonInvalid},
		"bad request":                {apierrors.NewBadRequest("no"), graph.ReasonInvalid},
		"cluster IP":                 {invalid(field.NewPath("spec", "clusterIPs").Index(0)), graph.ReasonAddressNotUsable},
		"address of a load balancer": {invalid(field.NewPath("spec", "loadBalancerIP")), graph.ReasonAddressNotUsable},
		"changed meanwhile":          {apierrors.NewConflict(services, "web", errors.New("uid mismatch")), ""},
		"busy":                       {apierrors.NewTooManyRequests("later", 1), ""},
		"broken":                     {apierrors.NewInternalError(errors.New("etcd")), ""},
		"nobody is there":            {errors.New("connection refused"), ""},
		"namespace is gone":          {apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "default"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problem, err := refused("applying", "Service default/web", tt.err)
			switch {
			case tt.reason == "" && (problem != nil || !errors.Is(err, tt.err)):
				t.Errorf("it is the Gateway's matter: %+v, %v", problem, err)
			case tt.reason != "" && (err != nil || problem.Reason != tt.reason || problem.Message != "applying Service default/web: "+tt.err.Error()):
				t.Errorf("problem %+v, error %v, want %s", problem, err, tt.reason)
			}
		})
	}
}
