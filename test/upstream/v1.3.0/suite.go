// Package suite is upstream's pkg/test/cel of this release, which has only tests and so can't be imported. It imports what
// those import, so that go.mod and go.sum have all that "go test sigs.k8s.io/gateway-api/pkg/test/cel" needs.
package suite

import (
	_ "k8s.io/api/core/v1"
	_ "k8s.io/client-go/tools/clientcmd"
	_ "sigs.k8s.io/controller-runtime/pkg/client"
	_ "sigs.k8s.io/gateway-api/apis/v1"
	_ "sigs.k8s.io/gateway-api/apis/v1alpha2"
	_ "sigs.k8s.io/gateway-api/apis/v1alpha3"
	_ "sigs.k8s.io/gateway-api/apis/v1beta1"
	_ "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)
