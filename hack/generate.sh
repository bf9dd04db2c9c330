#!/usr/bin/env bash
# Writes all generated files (zz_generated.*) anew. What they are made from is pinned by go.mod, the tools by
# hack/tools/go.mod: the same commit always gives the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The schemas by which Gateway API objects are defaulted and validated.
go run ./hack/schemas pkg/apis/crd/zz_generated.crds.jsonl

# OpenAPI of the Kubernetes types that are served. Gateway API brings its own.
kubernetes=pkg/apis/openapi/internal/kubernetes
go tool -modfile=hack/tools/go.mod openapi-gen \
	--output-dir "$kubernetes" \
	--output-pkg "$(go list -m)/$kubernetes" \
	--output-file zz_generated.openapi.go \
	--go-header-file /dev/null \
	--report-filename /dev/null \
	k8s.io/api/core/v1 \
	k8s.io/api/discovery/v1 \
	k8s.io/apimachinery/pkg/api/resource \
	k8s.io/apimachinery/pkg/apis/meta/v1 \
	k8s.io/apimachinery/pkg/runtime \
	k8s.io/apimachinery/pkg/util/intstr \
	k8s.io/apimachinery/pkg/version
go run ./hack/openapi "$kubernetes/zz_generated.openapi.go"
