# Everything one does here. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What binaries are built with: see xcaddy.sh.
BUILD_FLAGS := -trimpath -tags nobadger,nomysql,nopgx -ldflags "-w -s"
CROSS := linux/arm64 darwin/arm64 windows/amd64
TOOL := go tool -modfile=integration/tools/go.mod

# With the environment of the binaries, so that vet and staticcheck find in the
# cache what xcaddy.sh has compiled, and the other way round.
CHECK_ENV := CGO_ENABLED=0 GOFLAGS="$$(go env GOFLAGS) -trimpath -tags=nobadger,nomysql,nopgx"

# How long each fuzz target runs, and further arguments for the test binary of
# `make test` and for the benchmark.
FUZZTIME ?= 5s
TESTFLAGS ?=
BENCHFLAGS ?=

# SQLite in Go is C that was translated: its memory is not Go's, and to watch it takes twice
# the time of all else. What calls it is watched. integration/main_test.go has the same.
RACE := -race -gcflags='modernc.org/sqlite/lib=-race=false -d=checkptr=0' -gcflags='modernc.org/libc=-race=false -d=checkptr=0'

.PHONY: help build run test check format vet staticcheck vulncheck fuzz cross bench bench-provider bench-scoreboard clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/caddy with the gate in it
	./xcaddy.sh build

run: build ## build it and run Caddyfile.example
	bin/caddy run --config Caddyfile.example

test: ## install what the tests need and run them all
	bash integration/setup.sh
	@mkdir -p bin
	@echo "go test $(RACE) -timeout 75m $(TESTFLAGS) ./..."
	@GATE_COUNTS="$(CURDIR)/bin/store-tests.txt" go test $(RACE) -timeout 75m $(TESTFLAGS) ./... 2>&1 | tee bin/test.log || { \
		printf '\nWhat failed, out of bin/test.log:\n'; \
		awk '/DATA RACE|^panic: /{more=30} more-->0 || /^ *--- FAIL|^ +[a-z_]+_test\.go:[0-9]+: /' bin/test.log | cut -c1-300 | sed -n 1,160p; exit 1; }
	@cat bin/store-tests.txt 2>/dev/null || true # none where TESTFLAGS left them out
	$(CHECK_ENV) go test -run AllocatesNothing ./caddymodule

check: format vet staticcheck vulncheck ## format, vet, staticcheck, known vulnerabilities

format:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then \
		printf 'run gofmt -w on:\n%s\n' "$$files" >&2; exit 1; fi

vet:
	$(CHECK_ENV) go vet ./...

staticcheck:
	$(CHECK_ENV) $(TOOL) staticcheck ./...

vulncheck:
	$(CHECK_ENV) bash integration/tools/vulncheck.sh ./...

fuzz: ## fuzz every target for FUZZTIME (5s)
	bash integration/tools/fuzz.sh $(FUZZTIME)

cross: ## build for the other systems, into bin/
	@for target in $(CROSS); do \
		export CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/}; \
		output=bin/caddy-$$GOOS-$$GOARCH$$(go env GOEXE); \
		go build $(BUILD_FLAGS) -o "$$output" ./cmd/caddy || exit 1; \
		echo "built $$output"; \
	done

bench: build ## measure the gate against Caddy without it, and the store (ten minutes)
	go run ./integration/bench $(BENCHFLAGS)

bench-provider: build ## measure the provider beside its limits (a quarter of an hour)
	go run ./integration/bench --only refresh,clientcredentials,introspect,devices $(BENCHFLAGS)

bench-scoreboard: build ## measure what each optimisation buys, into docs/scoreboard.md (a quarter of an hour)
	go run ./integration/bench --scoreboard docs --rounds 3 $(BENCHFLAGS)

clean: ## remove what was built
	rm -rf bin
