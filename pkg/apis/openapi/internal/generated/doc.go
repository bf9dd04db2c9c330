// Package generated holds the generated OpenAPI definitions, with the descriptions that `kubectl explain` prints, of the
// Gateway API types that are declared here because upstream has dropped them, of the Kubernetes kinds that are served,
// and of the meta types that every kind needs. hack/generate.sh writes it.
package generated
