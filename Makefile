# smalti: what one types while working on it. `make help` lists the targets.
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 0
# GoMLX's Go backend does pointer arithmetic that checkptr refuses; our own packages stay checked.
RACEFLAGS = -gcflags='github.com/gomlx/compute/...=-d=checkptr=0'

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

build: ## build the one binary
	go build -o smalti ./cmd/smalti

check: ## format, vet and lint (golangci-lint when installed)
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on the files above"; exit 1; }
	go vet ./...
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else echo "golangci-lint is not installed: only vet ran"; fi

test: ## every test: no weights, no network
	go test ./...

race: ## the packages that share memory, under the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -short $(RACEFLAGS) ./engine/... ./paint ./run ./train ./store/... ./weights/...

parity: ## our models against the reference's fixtures: make parity FIXTURES="DIR..."
	go run ./tools/parity $(or $(FIXTURES),$(wildcard testdata/golden/*/))

kills: ## kill trainings twenty times at random moments and hold their ends against runs in one piece
	SMALTI_KILLS=20 go test ./train -run TestKills -count=1 -v

fuzz: ## each fuzz target for 20 seconds
	@for p in $$(grep -rl '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9]*' $$p/*_test.go | cut -c6-); do \
			echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime 20s $$p || exit 1; done; done

gomlx-tests: ## GoMLX's own graph and layer tests on our backend (minutes)
	go run ./tools/gomlxtests

PYTHON ?= /usr/bin/python3
bench-vs-torch: build ## our speed beside PyTorch's, in turns: make bench-vs-torch BENCH="--parts paint --rounds 3"
	@if command -v $(PYTHON) >/dev/null; then $(PYTHON) tools/bench/versus.py --smalti ./smalti $(BENCH); else echo "skipped: $(PYTHON) is not installed"; fi

gallery: build ## make the pictures of docs/play.md again
	docs/gallery/make.sh ./smalti

clean: ## remove what was built
	rm -rf smalti dist

.PHONY: help build check test race parity kills fuzz gomlx-tests bench-vs-torch gallery clean
