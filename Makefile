# What there is to do with a checkout; `make help` lists it. Everything that
# needs libunicorn installs it first where it is missing (scripts/setup.sh).

GO       ?= go
TIMEOUT  ?= 5m
FUZZTIME ?= 10s

# go build asks git for the revision, and fails where git refuses to answer:
# in a checkout that belongs to another user, or in a bare copy of one.
ifneq ($(shell git rev-parse HEAD >/dev/null 2>&1 && git status --porcelain >/dev/null 2>&1; echo $$?),0)
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)
endif

# Homebrew's directories are not the compiler's.
BREW := $(shell brew --prefix 2>/dev/null)
ifneq ($(BREW),)
export CGO_CFLAGS  := $(or $(CGO_CFLAGS),-O2 -g) -I$(BREW)/include
export CGO_LDFLAGS := $(or $(CGO_LDFLAGS),-O2 -g) -L$(BREW)/lib
endif

export GO FUZZTIME

.PHONY: build demo test check setup generate fuzz bench clean help

build: setup ## build bin/emukp
	$(GO) build -o bin/emukp ./cmd/emukp

demo: build ## set up, build, and run the first scenario with its trace
	bin/emukp run -v --trace - hello

test: check build ## set up, then run every test and the scenario library
	$(GO) test -count=1 -timeout $(TIMEOUT) ./...
	bin/emukp run scenarios/library

check: setup ## gofmt and go vet
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .) || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...

setup: ## install libunicorn and a C compiler where they are missing
	@sh scripts/setup.sh

generate: ## rebuild the guest kernel's images and other generated files
	$(GO) generate ./...

fuzz: setup ## run every fuzz target for FUZZTIME (10s)
	sh scripts/fuzz.sh

bench: setup ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built
	rm -rf bin

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1	/p' Makefile | while IFS='	' read -r target text; do \
		printf '  make %-10s %s\n' "$$target" "$$text"; done
