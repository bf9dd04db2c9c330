package graph

import (
	"reflect"

	gwxv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// The mesh is what sidecars and proxyless gRPC clients see of Services and their routes. It is there without any XMesh; one that names our
// controller gets a status, and gives the mesh a name, which is in the names of the routes that clients get: in what they log,
// and in what they tell of themselves (CSDS).

func xmeshKey(name string) Key { return Key{Kind: KindMesh, Name: name} }

// XMesh returns what is true of an XMesh, or nil if there is no such XMesh.
func (g *Graph) XMesh(name string) *XMeshFacts {
	mesh := g.meshes[name]
	if mesh == nil {
		return nil
	}
	return g.evalXMesh(mesh)
}

// PreviewXMesh returns what would be true of mesh if it were written now. Nothing changes.
func (g *Graph) PreviewXMesh(mesh *gwxv1alpha1.XMesh) *XMeshFacts { return g.evalXMesh(mesh) }

func (g *Graph) evalXMesh(mesh *gwxv1alpha1.XMesh) *XMeshFacts {
	f := &XMeshFacts{Object: mesh, Managed: mesh.Spec.ControllerName == ControllerName}
	if !f.Managed {
		return f
	}
	f.Unaccepted = meshParameters(mesh)
	if first := g.namingMesh(mesh); f.Unaccepted == nil && first.Name != mesh.Name {
		f.Overruled = true
		f.Warnings = []string{"the mesh has the name of " + xmeshKey(first.Name).String() + ", which is older or comes first by name"}
	}
	return f
}

// meshParameters: "If the referent cannot be found, refers to an unsupported kind, or when the data within that resource is
// malformed, the Mesh MUST be rejected with the "Accepted" status condition set to "False" and an "InvalidParameters" reason."
func meshParameters(mesh *gwxv1alpha1.XMesh) *Problem {
	ref := mesh.Spec.ParametersRef
	if ref == nil {
		return nil
	}
	return newProblem(gwxv1alpha1.MeshReasonInvalidParameters, "spec.parametersRef: kind %s is not supported; a mesh has no parameters: remove the reference",
		groupKind(ref.Group, ref.Kind))
}

// namingMesh returns the oldest of the XMeshes of ours that are accepted, or nil if there is none. One may be given to be
// considered instead of the XMesh of its name.
func (g *Graph) namingMesh(instead *gwxv1alpha1.XMesh) *gwxv1alpha1.XMesh {
	var first *gwxv1alpha1.XMesh
	consider := func(mesh *gwxv1alpha1.XMesh) {
		ours := mesh.Spec.ControllerName == ControllerName && meshParameters(mesh) == nil
		if ours && (first == nil || compareAge(mesh, first) < 0) {
			first = mesh
		}
	}
	for name, mesh := range g.meshes {
		if instead == nil || name != instead.Name {
			consider(mesh)
		}
	}
	if instead != nil {
		consider(instead)
	}
	return first
}

// meshName is the name of the mesh, or empty.
func (g *Graph) meshName() string {
	if mesh := g.namingMesh(nil); mesh != nil {
		return mesh.Name
	}
	return ""
}

func (g *Graph) setXMesh(name string, mesh *gwxv1alpha1.XMesh, d *Dirty) {
	d.status(xmeshKey(name))
	old := g.meshes[name]
	if old != nil && mesh != nil && old.CreationTimestamp.Equal(&mesh.CreationTimestamp) && reflect.DeepEqual(old.Spec, mesh.Spec) {
		put(g.meshes, name, mesh)
		return
	}
	before := g.meshName()
	put(g.meshes, name, mesh)
	if g.meshName() == before {
		return
	}
	for other := range g.meshes {
		d.status(xmeshKey(other))
	}
	for _, host := range g.MeshHosts() {
		d.meshHost(host)
	}
}
