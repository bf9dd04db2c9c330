package app

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gateway-apiserver/gateway-apiserver/pkg/engine"
	xdsserver "github.com/gateway-apiserver/gateway-apiserver/pkg/xds/server"
)

// TestScopes holds the names under which the engine publishes equal to those that the xDS server gives to nodes: neither
// package may import the other.
func TestScopes(t *testing.T) {
	t.Parallel()
	gateway := types.NamespacedName{Namespace: "shop", Name: "web"}
	if got, want := engine.GatewayScope(gateway), xdsserver.GatewayScope(gateway.String()); got != want {
		t.Errorf("the engine publishes a Gateway as %q, the server looks for %q", got, want)
	}
	if engine.MeshScope != xdsserver.MeshScope {
		t.Errorf("the engine publishes the mesh as %q, the server looks for %q", engine.MeshScope, xdsserver.MeshScope)
	}
}
