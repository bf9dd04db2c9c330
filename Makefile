# Everything here needs Go, make and git; the race detector needs a C compiler too. Tools are Go tool dependencies,
# pinned in hack/tools/go.mod.

GO    ?= go
TOOL  := $(GO) tool -modfile=hack/tools/go.mod
# Arguments for the server of `make run`, e.g. make run ARGS=--listen=127.0.0.1:7443.
ARGS  ?=
# The race detector, where there is a C compiler. CI insists on it with RACE=-race.
RACE  ?= $(if $(shell command -v "$$($(GO) env CC)"),-race)
BENCH ?= .
# More arguments of `make bench`, such as -format=markdown.
BENCHFLAGS ?=
# The folder for the reports of upstream's conformance suite.
REPORTS ?= bin/conformance

# The version that `kubectl version` shows: that of the Kubernetes API, and ours behind the "+", as in v1.37.2+v0.1.0.
# k8s.io/apiserver derives the defaults of its feature gates from it, so it must not be ours alone.
KUBERNETES = $(shell $(GO) list -m -f '{{.Version}}' k8s.io/component-base | sed 's/^v0/v1/')
DESCRIBE   = $(shell git describe --tags --always --dirty --match 'v[0-9]*' 2>/dev/null || echo unknown)
VERSION    = $(if $(filter v%,$(DESCRIBE)),$(DESCRIBE),v0.0.0-g$(DESCRIBE))
COMMIT     = $(shell git rev-parse --verify --quiet HEAD || echo unknown)
TREE_STATE = $(shell test -z "$$(git status --porcelain 2>/dev/null)" && echo clean || echo dirty)
# The commit's date, not today's: the same commit builds the same bytes.
DATE       = $(shell TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo 1970-01-01T00:00:00Z)
STAMP      = -X k8s.io/component-base/version.git
LDFLAGS    = $(STAMP)Version=$(KUBERNETES)+$(VERSION) $(STAMP)Commit=$(COMMIT) $(STAMP)TreeState=$(TREE_STATE) -X k8s.io/component-base/version.buildDate=$(DATE)

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this help.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/gateway-apiserver.
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/gateway-apiserver ./cmd/gateway-apiserver

.PHONY: run
run: build ## Build and start a standalone server with the Gateway of artifacts/examples/quickstart.
	@echo 'Once the server is ready, add a route: kubectl apply -f artifacts/examples/route.yaml -o yaml'
	bin/gateway-apiserver standalone --manifests artifacts/examples/quickstart $(ARGS)

.PHONY: kubectl
kubectl: ## Build bin/kubectl, for machines that have none.
	CGO_ENABLED=0 $(GO) -C test/kubectl build -trimpath -ldflags '$(STAMP)Version=$(KUBERNETES)' -o ../../bin/kubectl .

.PHONY: ldflags
ldflags:
	@echo "$(LDFLAGS)"

.PHONY: image
image: ## Build a container image, with Docker.
	docker build --build-arg LDFLAGS='$(LDFLAGS)' -t ghcr.io/gateway-apiserver/gateway-apiserver:$(subst +,-,$(VERSION)) .

.PHONY: test
test: ## Run all tests, with the race detector if there is a C compiler.
	$(if $(RACE),,@echo 'no C compiler: testing without the race detector')
	$(GO) test $(RACE) -timeout 30m ./...

.PHONY: e2e
e2e: ## Run the tests in a real cluster: builds kube-apiserver, its controllers, etcd and kubectl, in bin/cluster.
	$(GO) -C test/cluster test $(RACE) -timeout 30m ./...

CONFORMANCE = $(GO) -C test/conformance test $(RACE) -timeout 60m

# Which history the robustness tests begin with, as a failure prints it; 0 is any.
SEED ?= 0
ROBUSTNESS = $(GO) -C test/robustness test -count=1 -v

.PHONY: robustness
robustness: ## Run random histories against two replicas for half an hour, while everything goes wrong, and check what everybody sees; SEED=n.
	$(ROBUSTNESS) -timeout 90m . -args -seed=$(SEED) -duration=30m

.PHONY: robustness-short
robustness-short: ## Do so for three minutes.
	$(ROBUSTNESS) -timeout 30m . -args -seed=$(SEED) -duration=3m

.PHONY: conformance
conformance: ## Run upstream's conformance suite, with traffic; its reports go to REPORTS. ENVOY=/path/to/envoy runs that.
	@mkdir -p '$(REPORTS)'
	$(CONFORMANCE) -args -reports='$(abspath $(REPORTS))' -version='$(VERSION)'

.PHONY: conformance-short
conformance-short: ## Run as few of its tests as have every feature.
	$(CONFORMANCE) -short

# Implementations of gRPC that aren't Go modules.
MESHCLIENTS = bin/meshclients

$(MESHCLIENTS)/grpcio: test/meshclients/fetch-grpcio.sh
	$< $@

$(MESHCLIENTS)/node_modules/.package-lock.json: test/meshclients/package.json test/meshclients/package-lock.json
	@command -v npm >/dev/null || { echo 'make clients needs node and npm' >&2; exit 1; }
	@mkdir -p $(MESHCLIENTS)
	cp $^ $(MESHCLIENTS)
	npm ci --prefix $(MESHCLIENTS) --ignore-scripts --no-audit --no-fund

.PHONY: clients
clients: $(MESHCLIENTS)/grpcio $(MESHCLIENTS)/node_modules/.package-lock.json ## Run the test of the mesh with gRPC's implementations in C++ and JavaScript, on Debian 12 with python3 and node.
	$(GO) test $(RACE) -timeout 10m ./test/meshclients -args -grpcio='$(abspath $(MESHCLIENTS)/grpcio)' -grpc-js='$(abspath $(MESHCLIENTS))'

.PHONY: verify
verify: ## Check generated files, formatting, module files and go vet.
	hack/verify.sh

.PHONY: generate
generate: ## Write all generated files anew.
	hack/generate.sh

.PHONY: lint
# As in hack/verify.sh.
lint: export CGO_ENABLED = 0
lint: export GOFLAGS += -trimpath
lint: ## Run staticcheck.
	$(TOOL) staticcheck ./...
	cd test/kubectl && $(GO) tool -modfile=../../hack/tools/go.mod staticcheck ./...
	cd test/cluster && $(GO) tool -modfile=../../hack/tools/go.mod staticcheck ./...
	cd test/conformance && $(GO) tool -modfile=../../hack/tools/go.mod staticcheck ./...
	cd test/robustness && $(GO) tool -modfile=../../hack/tools/go.mod staticcheck ./...

.PHONY: bench
bench: build ## Measure a server with thousands of clients and routes, and print what meets its target; BENCH=regexp runs some.
	@mkdir -p bin/bench
	$(GO) build -o bin/scalebench ./test/bench/cmd/scalebench
	bin/scalebench -server bin/gateway-apiserver -dir bin/bench -scenarios '$(BENCH)' $(BENCHFLAGS)

.PHONY: bench-go
bench-go: ## Run the benchmarks of single packages, or those that BENCH=regexp names.
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m ./...
	$(GO) -C test/cluster test -run '^$$' -bench '$(BENCH)' -timeout 30m ./bench
