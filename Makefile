# Everything starts here; the work itself is Meson's. `make help` lists the targets.
BUILD   ?= build
PREFIX  ?= /usr/local
DESTDIR ?=
MESON_OPTIONS ?=

.DEFAULT_GOAL := build
.PHONY: help deps deps-test deps-bench build run test test-thorough bench bench-storm bench-scale \
	bench-disk bench-history bench-sources screenshots fuzz lint fmt fmt-check install clean

help: ## Say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what building needs (Debian packages)
	@scripts/deps build

deps-test:
	@scripts/deps build test

deps-bench:
	@scripts/deps build bench

$(BUILD)/build.ninja:
	meson setup $(BUILD) --werror --prefix=$(PREFIX) $(MESON_OPTIONS)

build: deps $(BUILD)/build.ninja ## Build the library and the program
	@ninja -C $(BUILD) --quiet

run: build ## Show Tally at work on an example task
	@scripts/run-example $(BUILD)/src/cli/tally

test: deps-test $(BUILD)/build.ninja ## Build and run every test
	@ninja -C $(BUILD) --quiet
	@tests/run --build $(BUILD)

test-thorough: deps-test $(BUILD)/build.ninja ## Kill and damage the store, and mutate sandboxes, hundreds of times
	@ninja -C $(BUILD) --quiet tests/unit/test_store_faults tests/unit/test_disk_track
	@TALLY_THOROUGH=1 $(BUILD)/tests/unit/test_store_faults
	@TALLY_DISK_MUTATIONS=10000 $(BUILD)/tests/unit/test_disk_track

bench: build deps-bench ## Compare the cost with its peers at 500 tasks of 10 processes
	@bench/bench.py --build $(BUILD)

bench-storm: build deps-bench ## Compare the CPU counted in fork storms with the truth
	@bench/storm.py --build $(BUILD)

bench-disk: build deps-bench ## Compare the cost of disk usage with du, gdu and Python
	@bench/disk.py --build $(BUILD)

bench-scale: build deps-bench ## Measure how the cost grows
	@bench/scale.py --build $(BUILD)

screenshots: build deps-test ## Take the pictures of docs/img from the running program
	@scripts/screenshots $(BUILD)/src/cli/tally

bench-history: build deps-bench ## Measure what remembering costs, beside Prometheus
	@bench/history.py --build $(BUILD)

bench-sources: build ## Measure what it costs to know which tasks there are
	@bench/sources.py --build $(BUILD)

fuzz: deps-test ## Run every fuzzer for a minute
	@tests/run --build $(BUILD) --fuzz-seconds 60 fuzz

lint: deps-test $(BUILD)/build.ninja ## Format check, clang-tidy, cppcheck, man pages
	@tests/run --build $(BUILD) lint tidy

fmt: ## Format the code
	@git ls-files '*.c' '*.h' | xargs clang-format -i

install: build ## Install below PREFIX (and DESTDIR)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

clean: ## Remove what was built
	rm -rf $(BUILD) build-*
