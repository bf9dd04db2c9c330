#!/usr/bin/env bash
# Checks what reviewers shouldn't have to: generated files, formatting, module files, go vet. All of it runs, then it
# says what failed. Nothing in the tree is changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# As binaries are built, so that Go's build cache has everything once.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath"

modules=(. hack/tools test/kubectl test/upstream/v* test/cluster test/cluster/{kubernetes,kubectl127,gwctl,coredns} test/conformance test/robustness)
failed=()

check() {
	echo "verify: $1"
	"${@:2}" || failed+=("$1")
}

# Generates in a copy and compares.
generated() {
	local copy status=0
	copy=$(mktemp -d)
	copy_tree "$copy" && "$copy/hack/generate.sh" && diff -ru -x .git -x bin -x .gateway-apiserver . "$copy" || status=$?
	rm -rf "$copy"
	if [ "$status" -ne 0 ]; then
		echo 'Generated files are not what the generators write: run make generate.' >&2
	fi
	return "$status"
}

copy_tree() {
	tar -cf - --exclude=./.git --exclude=./bin --exclude=.gateway-apiserver . | tar -xf - -C "$1"
}

formatted() {
	local files
	files=$(gofmt -l cmd hack pkg test) || return
	if [ -n "$files" ]; then
		printf 'Not formatted, run gofmt -w:\n%s\n' "$files" >&2
		return 1
	fi
}

check 'generated files' generated
check 'gofmt' formatted
for module in "${modules[@]}"; do
	check "go mod tidy: $module" go -C "$module" mod tidy -diff
done
for module in "${modules[@]}"; do
	if [ -n "$(go -C "$module" list ./... 2>/dev/null)" ]; then # some only name tools
		check "go vet: $module" go -C "$module" vet ./...
	fi
done

if [ "${#failed[@]}" -ne 0 ]; then
	printf 'verify: FAILED: %s\n' "${failed[@]}" >&2
	exit 1
fi
echo 'verify: ok'
