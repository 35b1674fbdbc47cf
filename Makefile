# Two commands: `make run` serves mail on 127.0.0.1:2525, `make test` runs every test. Both install what is missing.
BUILD ?= build
PREFIX ?= /usr
DESTDIR ?=
MESON_FLAGS ?=
COUNT ?= 200

.PHONY: all build packages run demo test unit system lint format bench fuzz crash sanitize install clean

all: packages build

packages:
	@tools/install-packages build

build:
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) $(MESON_FLAGS)
	@ninja -C $(BUILD)
	@tools/stage.sh $(BUILD)

run: all
	@tools/install-packages demo
	@tools/run.sh $(BUILD)

demo: all
	@tools/install-packages demo
	@tools/demo.sh $(BUILD)

test:
	@tools/install-packages build test
	@$(MAKE) --no-print-directory build
	@tools/run-tests --build $(BUILD)

unit: build
	@tools/run-tests --build $(BUILD) unit

system: build
	@tools/run-tests --build $(BUILD) system

# The system tests on builds with sanitizers, each in its own directory.
sanitize:
	@tools/install-packages build test
	@tools/run-tests --build $(BUILD) sanitize

lint:
	@tools/lint

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

bench: build
	@tools/install-packages test
	@bench/run --build $(BUILD)
	@bench/tables --build $(BUILD)

# Longer runs on demand: make fuzz SECONDS=600, make crash COUNT=200
fuzz:
	@tools/install-packages build test
	@tools/run-tests --build $(BUILD) fuzz --seconds $(or $(SECONDS),60)

crash: build
	@POSTERN_CRASH_CUTS=$(COUNT) tools/run-tests --build $(BUILD) crash

install: build
	@DESTDIR="$(DESTDIR)" tools/install.sh $(BUILD) "$(PREFIX)"

clean:
	rm -rf $(BUILD) $(BUILD)-*
