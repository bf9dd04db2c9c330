package graph

import (
	"testing"

	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

func TestXMesh(t *testing.T) {
	t.Parallel()
	const (
		theirs   = "kind: XMesh\nmetadata: {name: a, creationTimestamp: 2020-01-01T00:00:00Z}\nspec: {controllerName: example.com/mesh}"
		rejected = "kind: XMesh\nmetadata: {name: b, creationTimestamp: 2020-01-01T00:00:00Z}\nspec: {controllerName: gateway-apiserver.dev/controller, parametersRef: {group: a, kind: B, name: c}}"
		younger  = "kind: XMesh\nmetadata: {name: c, creationTimestamp: 2022-01-01T00:00:00Z}\nspec: {controllerName: gateway-apiserver.dev/controller}"
		older    = "kind: XMesh\nmetadata: {name: d, creationTimestamp: 2021-01-01T00:00:00Z}\nspec: {controllerName: gateway-apiserver.dev/controller}"
		same     = "kind: XMesh\nmetadata: {name: e, creationTimestamp: 2021-01-01T00:00:00Z}\nspec: {controllerName: gateway-apiserver.dev/controller}"
	)
	g := graphOf(t, "kind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}", theirs, rejected)
	host := MeshHostKey{BackendKey: ServiceBackend(name("default/s"), 80)}
	named := func(want string) {
		t.Helper()
		if got := g.MeshHost(host).Mesh; got != want {
			t.Errorf("the mesh is named %q, want %q", got, want)
		}
	}
	named("")
	if f := g.XMesh("a"); f.Managed || f.Unaccepted != nil {
		t.Errorf("of another controller: %+v", f)
	}
	if f := g.XMesh("b"); !f.Managed || reason(f.Unaccepted) != "InvalidParameters" {
		t.Errorf("with parameters: %+v", f)
	}
	apply(t, g, younger)
	named("c")
	// A preview counts as if it were there.
	if f := g.PreviewXMesh(parseOne[*gwxv1alpha1.XMesh](t, older)); f.Overruled {
		t.Errorf("preview of an older one: %+v", f)
	}
	d := apply(t, g, older)
	named("d")
	for _, k := range []string{"c", "d"} {
		if _, marked := d.Statuses[Key{Kind: KindMesh, Name: k}]; !marked {
			t.Errorf("the status of %s isn't dirty", k)
		}
	}
	if _, marked := d.MeshHosts[host]; !marked {
		t.Error("the mesh has another name, and its hosts aren't dirty")
	}
	if f := g.XMesh("c"); !f.Overruled || len(f.Warnings) != 1 {
		t.Errorf("the younger one: %+v", f)
	}
	if d := apply(t, g, same); len(d.MeshHosts) > 0 {
		t.Errorf("the name is the same, and %v dirty", d.MeshHosts)
	}
	named("d")
	g.Delete(Key{Kind: KindMesh, Name: "d"})
	named("e")
}
