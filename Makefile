# The whole vocabulary. Everything is built with Meson, in build/.
.PHONY: all run demo-timeout demo-scale demo-deploy demo-bill install test asan sim mutate chaos failover crowd fuzz attack check fmt bench bench-deflate bench-fleet bench-small bench-log bench-bytes bench-brokers bench-ingress bench-polling screenshot clean help

SOURCES = $(shell git ls-files 'src/*.[ch]' 'test/*.[ch]' 'bench/*.[ch]' 2>/dev/null)

all: ## build build/sennit, installing what is missing
	@tools/install run
	@tools/build build

APP =
PORT = 8080
run: all ## the whiteboard and the chatroom on the local platform, each with several instances and Redis; APP=chatroom: one of them alone; PORT=8080
	@exec build/sennit up $(if $(APP),examples/$(APP)/service.yaml,examples/whiteboard/service.yaml examples/chatroom/service.yaml --default whiteboard) --port $(PORT)

demo-timeout demo-scale demo-deploy demo-bill: all ## the platform shown: a cut at the timeout, zero to ten and back, a deploy under 1,000 sockets, a bill
	@tools/install test
	@node tools/demo.mjs $(@:demo-%=%)

PREFIX = /usr/local
install: ## install the program, the library, sennit.h, manual pages and completion: PREFIX=/usr/local DESTDIR=
	@tools/install run
	@tools/build build-install --buildtype=release --prefix=$(PREFIX)
	@meson configure build-install --prefix=$(PREFIX)
	@DESTDIR=$(abspath $(DESTDIR)) meson install -C build-install --quiet

test: ## all tests; ends in a count
	@tools/install test
	@tools/build build
	@tools/test

asan: ## the same tests with address and undefined behaviour sanitizers (whose instrumentation makes gcc warn falsely)
	@tools/install test
	@tools/build build-asan -Db_sanitize=address,undefined -Db_lundef=false -Dwerror=false
	@tools/test --build build-asan

sim: ## whole simulated fleets: SEED=n replays one and tells, SEEDS=n runs so many (FIRST=n: from there)
	@tools/install test
	@tools/build build
	@build/test/sim/test_sim $(if $(SEED),$(SEED),$(or $(FIRST),1) $(or $(SEEDS),220))

mutate: ## break the product on purpose, in every way of test/mutants: the proof must object (MUTANTS="skip-* claim-once")
	@tools/install test
	@tools/mutate $(MUTANTS)
	@[ -n "$(MUTANTS)" ] || SENNIT_FAULTS=1 node --test test/e2e/client.test.mjs test/e2e/pages.test.mjs

chaos: SECONDS = 300
chaos: all ## eight real instances in bad weather for five minutes, or `make chaos SECONDS=30 SEED=2 BROKER=postgres`: nothing may be lost
	@tools/install test
	@node test/chaos/run.mjs --seconds $(SECONDS) --seed $(or $(SEED),1) --broker $(or $(BROKER),redis) $(CHAOS)

failover: all ## twenty replicas that lag are promoted under load, or `make failover PROMOTIONS=5 SERVER=valkey-server`: no loss may be hidden
	@tools/install test
	@node test/failover/run.mjs --promotions $(or $(PROMOTIONS),20) $(if $(SERVER),--server $(SERVER)) $(FAILOVER)

crowd: all ## 1,000 users take all places of the chatroom's four instances, two tabs of Chromium among them; USERS=400
	@tools/install test
	@CROWD=$(or $(USERS),1000) node --test test/e2e/full.test.mjs

SECONDS = 60
fuzz: ## run every fuzzer for a minute, or `make fuzz SECONDS=600` (clang)
	@tools/install fuzz
	@tools/build build-fuzz --native-file tools/clang.ini -Dfuzz=true -Db_lundef=false
	@SECONDS=$(SECONDS) tools/fuzz build-fuzz

attack: all ## hostile clients and a broken Redis against serve and up; SECONDS=600: the live fuzzers for ten minutes (ATTACK="--only past")
	@tools/install test
	@node test/attack/run.mjs --seconds $(SECONDS) --seed $(or $(SEED),1) $(ATTACK)

check: ## layers and style, and a build with clang
	@tools/install check
	@tools/tidy.py
	@tools/build build-clang --native-file tools/clang.ini

fmt: ## format the C sources
	@tools/install check
	@clang-format -i $(SOURCES)

bench: ## against the peers that npm offers, side by side (bench/README.md)
	@tools/install bench
	@tools/build build-release --buildtype=release
	@node bench/run.mjs

bench-deflate: ## compressed messages against ws and bun, 1 KB of JSON (bench/README.md)
	@tools/install bench
	@tools/build build-release --buildtype=release
	@node bench/deflate.mjs

bench-ingress: ## the ingress of sennit up beside Debian's nginx and HAProxy (bench/README.md)
	@tools/install bench
	@tools/build build-release --buildtype=release
	@node bench/ingress.mjs

bench-fleet: ## four instances and Redis, 1000 clients in one room, beside Socket.IO with its adapters for Redis (bench/README.md)
	@tools/install bench
	@tools/build build-release --buildtype=release
	@node bench/fleet.mjs

bench-polling: ## what a session and a message cost over long-polling, and an upgrade, beside socket.io (bench/README.md)
	@tools/install bench
	@tools/build build-release --buildtype=release
	@node bench/polling.mjs

bench-small: ## one instance at rest: exec to first answer, memory, size; a handler in C beside the YAML rules (bench/README.md)
	@tools/install bench
	@tools/build build-release --buildtype=release
	@node bench/small.mjs

bench-log: ## what the log costs Redis and how soon it is whole again; PART=resume: that alone (bench/README.md)
	@tools/install run
	@tools/build build-release --buildtype=release
	@node bench/log.mjs $(if $(PART),--part $(PART))

bench-bytes: ## what a byte that a client sends costs an instance, the dearest kinds first (bench/README.md)
	@tools/install run
	@tools/build build-release --buildtype=release
	@node bench/bytes.mjs

bench-brokers: ## what a logged message costs with each broker, and how late it is (bench/README.md)
	@tools/install test
	@tools/build build-release --buildtype=release
	@SENNIT=build-release/sennit node bench/brokers.mjs

screenshot: all ## docs/whiteboard.png and docs/chatroom.png, each of a service of its own
	@tools/install test
	@node tools/screenshot.mjs

clean: ## remove what was built
	@rm -rf build build-install build-asan build-fuzz build-clang build-release

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20
