# peerd. "make help" lists what can be made; nothing else needs to be known.

SHELL := /bin/bash
GO ?= go
BIN := bin/peerd
TOOLS := $(CURDIR)/.tools
VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
BUILD := $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
GOLANGCI := v2.12.2
FUZZTIME ?= 60s
COUNT ?= 1
STORMS ?= 5
RUN ?= Soak

.DEFAULT_GOAL := help
.PHONY: help demo test test-calls test-rooms build build-nocgo lint fmt bench fuzz soak soundlab storm-ablation stormlab storm-processes setup clean

demo: build ## run the main job: a small overlay on this machine and a real call, with a report
	$(BIN) demo $(ARGS)

# All that tests build is compiled first, what has no race detector like bin/peerd
# (-trimpath), so that nothing is compiled twice. Then people talk in test-calls, and
# test-rooms, which is everything else, gives way to them. After these: what cannot be
# under the race detector, the streams of the PortAudio library
# (docs/decisions/0002-portaudio-binding.md) and a whole overlay in one process
# (node/stormlab/restart_test.go); what takes long and is one goroutine, 30 seeds
# of each scenario (cmd/peerd/internal/stormlab/bounds_test.go); and processes that
# start all at once (test/storm), for which nothing else should run beside them.
test: build ## pass the tests: race detector on, order shuffled, and a tenth of the fuzzing
	@scripts/setup test
	$(GO) build -race ./...
	CGO_ENABLED=0 $(GO) build -trimpath -o /dev/null ./cmd/peerd
	@$(MAKE) --no-print-directory -j2 test-calls test-rooms
	$(GO) test -trimpath -shuffle=on -timeout 4m ./audio/portaudio ./node/stormlab ./cmd/peerd/internal/stormlab
	$(GO) test -trimpath -shuffle=on -timeout 2m ./test/storm
	scripts/fuzz 6s

test-calls:
	$(GO) test -race -shuffle=on -timeout 9m ./test/e2e

test-rooms:
	nice -n 5 $(GO) test -race -shuffle=on -timeout 9m $$($(GO) list -race ./... | grep -v '/test/e2e$$')

build: setup ## build bin/peerd
	@mkdir -p bin
	$(BUILD) -o $(BIN) ./cmd/peerd

build-nocgo: ## build bin/peerd-headless: no C, for servers and echo nodes
	@mkdir -p bin
	CGO_ENABLED=0 $(BUILD) -o bin/peerd-headless ./cmd/peerd

# The linter's cache is this checkout's own: what it remembers of another one names
# files that may be gone, and is then reported against rules that they were exempt from.
lint: setup $(TOOLS)/golangci-lint-$(GOLANGCI) ## check style, format and likely mistakes
	GOLANGCI_LINT_CACHE=$(TOOLS)/lint-cache $(TOOLS)/golangci-lint-$(GOLANGCI) run ./...

fmt: $(TOOLS)/golangci-lint-$(GOLANGCI) ## format the code
	$(TOOLS)/golangci-lint-$(GOLANGCI) fmt ./...

bench: build ## measure, and write the figures into docs/benchmarks.md
	PEERD_BENCH_OUT=$(CURDIR)/docs/benchmarks.md PEERD_BENCH_VERSION=$(VERSION) \
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./test/bench

fuzz: setup ## fuzz every parser of remote bytes, FUZZTIME (60s) each
	scripts/fuzz $(FUZZTIME)

soak: build ## the long runs: many calls, many kills
	@scripts/setup test
	PEERD_SOAK=1 $(GO) test -shuffle=on -p 1 -timeout 60m -count $(COUNT) -run Soak -v ./...

stormlab: ## restart overlays of N (100) real nodes in virtual time, RUNS (1) times; SCENARIO, BOOT and POLICY choose (lists with commas)
	PEERD_STORMLAB=1 $(GO) test -count=1 -timeout 120m -run 'TestStormlab$$' -v ./node/stormlab

soundlab: build ## measure how calls sound over 20 networks in virtual time, with recordings and pictures, into OUT (soundlab-out)
	PEERD_SOUNDLAB=$(or $(abspath $(OUT)),$(CURDIR)/soundlab-out) $(GO) test -count=1 -timeout 60m -run 'TestSoundlab$$' -v ./media/mediatest/soundlab

storm-ablation: ## switch each mechanism of the storm policy off, and write docs/storm-ablation.md
	PEERD_ABLATION=$(CURDIR)/docs/storm-ablation.md $(GO) test -count 1 -run TestAblation -timeout 60m -v ./cmd/peerd/internal/stormlab

storm-processes: build ## restart 44 real daemons of this machine at one instant while others talk, and 64 phones behind one address
	@scripts/setup test
	PEERD_SOAK=1 PEERD_STORMS=$(STORMS) $(GO) test -count=1 -timeout 30m -run '$(RUN)' -v ./test/storm

setup: ## find what is missing (C compiler, pkg-config, libopus, PortAudio) and install it
	@scripts/setup

clean: ## remove what was built
	rm -rf bin .tools demo-out soundlab-out

help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(TOOLS)/golangci-lint-$(GOLANGCI):
	@echo "setup: building golangci-lint $(GOLANGCI) once (checks the code; a few minutes)" >&2
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS)/bin GOFLAGS= CGO_ENABLED=0 $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	@mv $(TOOLS)/bin/golangci-lint $@
