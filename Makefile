# Fascia's targets: `make` alone lists them.

# A command's own environment beats this, an exported GOTOOLCHAIN too; the go.env
# of a distribution, which often says "local", does not.
GOTOOLCHAIN ?= auto
export GOTOOLCHAIN
# Debian's PATH of a user lacks the folders of the daemons that tests start.
export PATH := $(PATH):/usr/sbin:/sbin

GOLANGCI_LINT := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK   := golang.org/x/vuln/cmd/govulncheck@v1.9.0

VERSION  = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PREFIX   ?= /usr/local
FUZZTIME ?= 30s
KILLS    ?= 300
CUTS     ?= 20
OUTAGE_KILLS ?= 100
OUTAGE_CUTS  ?= 5
FLAPS    ?= 1000
STREAM_KILLS   ?= 50
STREAM_RECORDS ?= 200000
STREAM_CUTS    ?= 10
COMPOSE  = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## start the simulated vehicle; flags: make run ARGS="--port 1884"
	@bin/fascia demo $(ARGS)

.PHONY: build
build: toolchain ## build bin/fascia, static
	@CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/fascia ./cmd/fascia

.PHONY: install
install: build ## install bin/fascia under PREFIX (/usr/local)
	install -D -m 0755 bin/fascia $(DESTDIR)$(PREFIX)/bin/fascia

.PHONY: test
test: toolchain ## install what tests need, then lint and run them all
	@.ci/components
	@$(MAKE) --no-print-directory check
	@if command -v "$$(go env CC)" >/dev/null; then race=-race; \
	else echo "no C compiler: testing without the race detector"; fi; \
	go test -count=1 $$race ./... # some build the binary themselves: a kept result would not know of its changes

.PHONY: soak
soak: toolchain ## kill the broker KILLS (300) times and cut its power CUTS (20) times, and look for what is lost; then the same behind a bad link
	@.ci/components
	go test ./soak -v -timeout 0 -args -soak.kills=$(KILLS) -soak.cuts=$(CUTS)
	@$(MAKE) --no-print-directory soak-outage
	@$(MAKE) --no-print-directory soak-streams

.PHONY: soak-outage
soak-outage: toolchain ## the gateway behind a link that fails in every way, long: kill it OUTAGE_KILLS (100) times, FLAPS (1000)
	go test ./soak/outage -v -timeout 0 -args -outage.long \
		-outage.kills=$(OUTAGE_KILLS) -outage.flaps=$(FLAPS) -outage.cuts=$(OUTAGE_CUTS)

.PHONY: soak-streams
soak-streams: toolchain ## streams to Kinesis and S3: STREAM_RECORDS (200000) through cuts and STREAM_KILLS (50); power cuts STREAM_CUTS (10)
	go test ./soak/streams -v -timeout 0 -args \
		-streams.kills=$(STREAM_KILLS) -streams.records=$(STREAM_RECORDS) -streams.cuts=$(STREAM_CUTS)

.PHONY: conformance
conformance: build ## the suites of eclipse/paho.mqtt.testing: make conformance SUITE=FOLDER
	go run ./conformance -suite "$(SUITE)"

.PHONY: check
check: lint ## all static checks: go vet, golangci-lint
	go vet ./...

.PHONY: lint
lint: toolchain ## golangci-lint, as .golangci.yml says
	go run $(GOLANGCI_LINT) run ./...

.PHONY: fuzz
fuzz: toolchain ## each fuzz target for FUZZTIME (30s)
	@grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' . | \
	sed -E 's|/[^/]+:func | |' | sort | while read -r folder target; do \
		go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$folder" || exit 1; \
	done

.PHONY: bench
bench: build ## figures of the whole program, then each benchmark with its allocations
	go run ./bench
	go test -run '^$$' -bench . -benchmem ./...

# mqttload is not ours; where its source is, it makes the load of the first rows.
MQTTLOAD ?= $(wildcard ../shared/tools/mqttload)

.PHONY: bench-peers
bench-peers: build ## our broker beside mosquitto; flags: make bench-peers ARGS="-rows qos0"
	go run ./bench/peers $(if $(MQTTLOAD),-mqttload $(MQTTLOAD)) $(ARGS)

.PHONY: bench-isolation
bench-isolation: build ## what a slow or hostile client costs the others; flags: ARGS="-cases deaf"
	go run ./bench/isolation $(ARGS)

.PHONY: bench-vehicle
bench-vehicle: build ## the load of a whole vehicle: eight buses, 64,000 frames a second; flags: ARGS="-runs 1"
	go run ./bench/vehicle $(ARGS)

.PHONY: bench-outage
bench-outage: build ## our bridge beside mosquitto's in one outage, and what it costs; flags: ARGS="-rows outage -runs 1"
	go run ./bench/outage $(ARGS)

.PHONY: bench-streams
bench-streams: build ## streams: appending beside bare JetStream, exporting, memory; flags: ARGS="-rows append -runs 1"
	go run ./bench/streams $(ARGS)

.PHONY: vuln
vuln: toolchain ## known vulnerabilities in what is called
	go run $(GOVULNCHECK) ./...

.PHONY: generate
generate: toolchain ## make the generated files again
	go generate ./...

.PHONY: vehicle
vehicle: engine vehicle-context ## a whole vehicle in containers, in the foreground (Ctrl-C stops it)
	cd deploy/vehicle && $(COMPOSE) up --build

.PHONY: vehicle-down
vehicle-down: engine ## remove the vehicle's containers, networks and data
	cd deploy/vehicle && $(COMPOSE) down --volumes --remove-orphans

# What the images are made of. Modes are set: the containers' user is not the
# one who builds, and a strict umask must not lock it out.
.PHONY: vehicle-context
vehicle-context: build
	@rm -rf deploy/vehicle/build
	@install -d deploy/vehicle/build/data
	@install -m 0755 bin/fascia deploy/vehicle/build/
	@install -m 0644 configs/demo/vehicle.dbc configs/demo/mapping.yaml deploy/vehicle/build/
	@go run ./deploy/vehicle/certs -out deploy/vehicle/build/pki

.PHONY: engine
engine:
	@command -v docker >/dev/null && $(COMPOSE) version >/dev/null 2>&1 || { \
		echo "docker or docker-compose is missing. Debian: apt-get install docker.io docker-compose" >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { \
		echo "No Docker engine answers: $$(docker info 2>&1 | tail -n 1)" >&2; \
		echo "Start one (as root: dockerd &), and be root or in the group docker." >&2; exit 1; }

.PHONY: clean
clean: ## remove what was built
	rm -rf bin deploy/vehicle/build

# Go before 1.21 can't fetch the toolchain that go.mod names and stops with a
# message that doesn't help. GOTOOLCHAIN=local: the version that is installed.
.PHONY: toolchain
toolchain:
	@found=$$(GOTOOLCHAIN=local go version 2>/dev/null); \
	minor=$$(echo "$$found" | sed -nE 's/.*go1\.([0-9]+).*/\1/p'); \
	if [ "$${minor:-0}" -lt 21 ]; then \
		echo "Go 1.21 or later is needed, found: $${found:-none}" >&2; \
		echo "Get it from https://go.dev/dl/ or from Debian's backports (golang-go)." >&2; \
		echo "It fetches the version that go.mod names by itself." >&2; \
		exit 1; \
	fi
