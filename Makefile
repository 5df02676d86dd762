# make test is the one command: it gets what it needs, and its last lines are go test's.
# Everything else is listed by make help.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# One thing at a time: the order of the output is part of what is promised.
.NOTPARALLEL:

# A go.work in some folder above is the developer's, not ours.
export GOWORK = off

# testdata/groupserver holds Go code (it embeds the fixtures), and ./... passes every testdata by.
PACKAGES = ./... ./testdata/groupserver
TOOL     = go tool -modfile=tools/go.mod
NFPM     = go tool -modfile=tools/nfpm/go.mod nfpm

# What senddigest --version says: the nearest tag, the commit where there is none, "devel" outside a clone
# (the test for .git keeps us from describing a repository that we were merely unpacked in).
VERSION ?= $(shell test -e .git && git describe --tags --always --dirty 2>/dev/null || echo devel)
# The time of everything that is packaged: the commit's, so that a package is the same bytes whenever it is made.
SOURCE_DATE_EPOCH ?= $(shell test -e .git && git log -1 --format=%ct 2>/dev/null || echo 315532800)
# VERSION for Debian, whose versions begin with a digit and have no hyphens: 1.2.0 for v1.2.0, 1.2.0~rc.1 for v1.2.0-rc.1,
# 1.2.0+4.g1a2b3c4 for v1.2.0-4-g1a2b3c4; without a tag the commit's time and name, older than any release.
DEB_VERSION = $(shell sed -E -e 's/^v([0-9])/\1/; s/-(alpha|beta|rc)/~\1/; s/-([0-9]+)-g/+\1.g/' \
	-e 's/^([0-9a-f]{7,40}(-dirty)?|[^0-9].*)$$/0~'$$(date -u -d @$(SOURCE_DATE_EPOCH) +%Y%m%d%H%M%S)'.\1/; s/-/+/g' <<<'$(VERSION)')
# The variable that takes it, for go build -ldflags -X.
VERSION_VARIABLE = main.version

# make test: the folder that what the tests leave to look at is kept in, such as screenshots; empty: it is thrown away. Go
# runs all tests anew then, also those that have passed.
ARTIFACTS ?=

# make bench: how often, which, and where. benchstat wants ten of each.
COUNT    ?= 1
BENCH    ?= .
BENCHPKG ?= .

# make soak: how many nights, and the number of the first.
SOAK_NIGHTS ?= 10000
SOAK_FIRST  ?= 1

# make soak-fleet: how many workers are killed.
FLEET_KILLS ?= 1000

# make fuzz: how long each target is fuzzed.
FUZZTIME ?= 30s

# $(call silent,COMMAND,HINT) fails when COMMAND does or when it prints anything; what it prints is shown, with HINT.
# Standard error is left alone: Go reports its downloads there.
silent = if out=$$($(1)) && [[ -z $$out ]]; then exit 0; fi; \
	[[ -z $$out ]] || printf '%s\n' "$$out" "make: $(2)"; exit 1

.PHONY: help quick test lint needs compiler everything browser fmt vet staticcheck fix tidy format soak soak-fleet fuzz bench bench-auto schedule-table outage-table screenshots build package deb-version package-test clean

help: ## this list
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# For the minutes between two edits: no race detector, no processes, no nights by the hundred. It needs Go alone.
quick: ## the tests that are over within half a minute
	@go test -short $(PACKAGES)

# Fuzz targets are run here too, on their seeds and on every input in a testdata/fuzz: to go test these are
# ordinary tests. make fuzz looks for new inputs.
# CGO_ENABLED: the race detector needs cgo, which Go turns off by itself where there is no compiler.
test: everything lint ## everything a change has to pass: make lint, then all tests under the race detector
	@echo '== go test -race'
	@$(if $(ARTIFACTS),mkdir -p $(ARTIFACTS))
	@CGO_ENABLED=1 go test -race -timeout 30m $(if $(ARTIFACTS),-artifacts -outputdir $(abspath $(ARTIFACTS))) ./...

lint: needs fmt vet staticcheck fix tidy ## the checks alone: layout, vet, staticcheck, go fix, go mod tidy

needs:
	@scripts/needs go certs

# At once, so that what is going to be installed is said first, and all of it.
everything:
	@scripts/needs go certs cc promtool chromium postgres

compiler:
	@scripts/needs cc

browser:
	@scripts/needs chromium

# gofmt by its full name, for it need not be in the PATH, or may be another Go's. gofumpt, too, passes testdata by.
fmt:
	@echo '== gofmt, gofumpt'
	@$(call silent,"$$(go env GOROOT)/bin/gofmt" -l .,gofmt would lay these out differently: make format)
	@$(call silent,$(TOOL) gofumpt -l . testdata/groupserver,gofumpt would lay these out differently: make format)

vet:
	@echo '== go vet'
	@go vet -tags packaging $(PACKAGES)

staticcheck:
	@echo '== staticcheck'
	@$(TOOL) staticcheck -tags packaging $(PACKAGES)

fix:
	@echo '== go fix -diff'
	@$(call silent,go fix -diff -tags packaging $(PACKAGES),these can be said in newer Go: go fix $(PACKAGES))

tidy:
	@echo '== go mod tidy -diff'
	@$(call silent,go mod tidy -diff,go.mod or go.sum is not tidy: go mod tidy)

format: ## lay out all Go files as gofumpt does
	@$(TOOL) gofumpt -w . testdata/groupserver

# A night that fails says how it is made again.
soak: needs compiler ## SOAK_NIGHTS (10000) nights of cut runs on a failing site, from number SOAK_FIRST (1) on
	@CGO_ENABLED=1 SOAK_NIGHTS=$(SOAK_NIGHTS) SOAK_FIRST=$(SOAK_FIRST) \
		go test -race -count=1 -timeout 60m -run '^TestSoak' -v ./internal/campaign

soak-fleet: needs compiler ## FLEET_KILLS (1000) workers of several machines are killed, each at a point of its own
	@SENDDIGEST_FLEET_KILLS=$(FLEET_KILLS) go test -count=1 -timeout 0 -v -run 'KilledAtAnyPointWorkers' ./internal/e2e/fleet

# An input that fails is kept by Go in that package's testdata/fuzz: fix the code, commit both. Without -fuzzminimizetime Go
# spends a minute on shrinking each new input where coverage varies, and looks for no other meanwhile.
fuzz: needs ## fuzz every fuzz target for FUZZTIME (30s)
	@list=$$(go test -list '^Fuzz' ./...); \
	awk '/^Fuzz/ { name[n++] = $$1 } /^ok/ { for (i = 0; i < n; i++) print $$2, name[i]; n = 0 }' <<<"$$list" | \
	while read -r package target; do \
		echo "== $$target in $$package"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$package" </dev/null; \
	done

# To compare the numbers of workers within one run: make bench COUNT=10 >new.txt, and then
# go tool -modfile=tools/go.mod benchstat -col /workers new.txt
bench: needs ## run the benchmarks: COUNT (1) times, those matching BENCH, of package BENCHPKG (whole runs)
	@go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(BENCHPKG)

schedule-table: needs ## docs/options.md's table of the orders on heavy-tailed sites
	@go test -count=1 -run '^TestLongestFirst' -v ./internal/schedule | sed -n 's/^ *|/|/p'

# Static, and the same bytes wherever it is built. -buildvcs=false: the version is passed, so Go need not ask git,
# which refuses in a clone that belongs to somebody else.
build: needs ## the programs, static, in ./senddigest, ./sendprofile and ./senddigest-fleet
	@CGO_ENABLED=0 go build -trimpath -buildvcs=false \
		-ldflags '-s -w -buildid= -X $(VERSION_VARIABLE)=$(VERSION)' -o . . ./cmd/sendprofile ./cmd/senddigest-fleet

# gzip -n: no time of its own.
package: build ## the Debian packages for this machine's kind of processor, in ./dist
	@rm -rf dist && mkdir dist
	@umask 022; export SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH); \
		go run ./contrib/generate dist/generated '$(VERSION)'; \
		gzip -9n dist/generated/*.8; gzip -9nc CHANGELOG.md >dist/generated/changelog.gz; \
		export DEB_VERSION='$(DEB_VERSION)' GOARCH=$$(go env GOARCH); \
		for config in contrib/nfpm.yaml contrib/nfpm-fleet.yaml; do $(NFPM) package --config $$config --packager deb --target dist; done

deb-version:
	@echo '$(DEB_VERSION)'

# As root on Debian: it installs the package that it makes, uses it, and removes it with all that belongs to it.
package-test: needs ## install the packages on THIS machine, run the units' commands, read the manuals, purge them
	@scripts/needs git man zsh fish systemd-analyze tzdata
	@echo '== go test contrib'
	@go test -count=1 -tags packaging ./contrib

# Twelve sites, each with an operator's run and one that is told nothing, all at once; they wait more than they work.
bench-auto: needs ## what --workers auto does on sites of 2, 4 and 8 threads, over real sockets (2 minutes)
	@go test -run '^$$' -bench '^BenchmarkAuto$$' -benchtime 1x -timeout 5m ./ratelimit

screenshots: needs browser ## look at the HTML pages: pictures of them in dist/screenshots
	@rm -rf dist/screenshots && mkdir -p dist/screenshots
	@for package in report live browse; do \
		go test -count=1 -run 'Browser|ForEverybody|SaysSo' -artifacts -outputdir "$$PWD/dist/screenshots" ./internal/$$package; done
	@find dist/screenshots -type f

outage-table: needs ## docs/design.md's table of outages among groups that fail by themselves
	@go test -count=1 -run '^TestAnOutageAmong' -v ./dispatcher | sed -n 's/^ *outage_test.go:[0-9]*: |/|/p'

clean: ## remove what make build, profiles and packaging leave behind
	@rm -rf senddigest sendprofile senddigest-fleet dist
	@find . \( -name .git -o -name testdata \) -prune -o -type f \( -name '*.test' -o -name '*.prof' \) -exec rm -f {} +
