// Package kubernetes holds the generated OpenAPI definitions of the Kubernetes kinds that are served and of the meta
// types that every kind needs, with the descriptions that `kubectl explain` prints. hack/generate.sh writes it.
package kubernetes
