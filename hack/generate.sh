#!/usr/bin/env bash
# Writes all generated files (zz_generated.*) anew. What they are made from is pinned by go.mod, the tools by
# hack/tools/go.mod: the same commit always gives the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The schemas by which objects are defaulted and validated: upstream's for those of the Gateway API, and what controller-gen
# makes of the Go types for our own.
own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
go tool -modfile=hack/tools/go.mod controller-gen crd paths=./pkg/apis/fleet/... output:crd:dir="$own"
go run ./hack/schemas "$own" pkg/apis/crd/zz_generated.crds.jsonl

# Deep copies of our Go types, and conversions between versions of Gateway API kinds.
go tool -modfile=hack/tools/go.mod deepcopy-gen \
	--output-file zz_generated.deepcopy.go \
	--go-header-file /dev/null \
	./pkg/apis/fleet/v1alpha1 \
	./pkg/apis/gateway/v1alpha2 \
	./pkg/apis/gatewayx/v1alpha1
go tool -modfile=hack/tools/go.mod conversion-gen \
	--output-file zz_generated.conversion.go \
	--go-header-file /dev/null \
	./pkg/apis/gateway/v1beta1 \
	./pkg/apis/gateway/v1alpha3 \
	./pkg/apis/gateway/v1alpha2 \
	./pkg/apis/gateway/v1alpha2/internal/upstream

# The predicates by which valid objects are accepted without those schemas. Old ones go first, as they may not compile.
rm -f pkg/apis/crd/accept/zz_generated.*.go
go run ./hack/accept pkg/apis/crd/accept

# OpenAPI of the types that are declared here and of the Kubernetes types that are served. Gateway API brings its own.
openapi=pkg/apis/openapi/internal/generated
go tool -modfile=hack/tools/go.mod openapi-gen \
	--output-dir "$openapi" \
	--output-pkg "$(go list -m)/$openapi" \
	--output-file zz_generated.openapi.go \
	--go-header-file /dev/null \
	--report-filename /dev/null \
	./pkg/apis/fleet/v1alpha1 \
	./pkg/apis/gateway/v1alpha2 \
	./pkg/apis/gatewayx/v1alpha1 \
	k8s.io/api/core/v1 \
	k8s.io/api/discovery/v1 \
	k8s.io/apimachinery/pkg/api/resource \
	k8s.io/apimachinery/pkg/apis/meta/v1 \
	k8s.io/apimachinery/pkg/runtime \
	k8s.io/apimachinery/pkg/util/intstr \
	k8s.io/apimachinery/pkg/version
go run ./hack/openapi "$openapi/zz_generated.openapi.go"

# What it takes to run in a cluster, as plain YAML.
go run ./hack/artifacts artifacts/cluster
