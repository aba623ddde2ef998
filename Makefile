# The short way in. `make demo` and `make test` set up everything on a fresh Debian by themselves: the packages of
# tools/packages that are missing are installed (by sudo where you are not root).
BUILD ?= build
NINJA = ninja -C $(BUILD)

all: $(BUILD)/build.ninja
	@$(NINJA)

$(BUILD)/build.ninja: | packages
	@meson setup $(BUILD) $(MESON_OPTIONS)

packages:
	@tools/install-packages build

demo: all
	@tools/demo $(BUILD)

test: all
	@tools/test $(BUILD)

# Latency, memory and share of the machine's peak against the peers that are installed, on the models that ledge ships and
# those named in MODELS=... (bench/README.md). BENCH_OPTIONS='--rounds 9 --seconds 2' for more than the minute a model.
bench: all
	@bench/run $(BUILD) $(BENCH_OPTIONS) $(MODELS)

# A minute for each parser; SECONDS=3600 for the long one.
fuzz: | packages
	@tools/fuzz $${SECONDS_EACH:-60}

# Clang, the sanitizers, a fuzz smoke and cross builds: half an hour.
check: all
	@tools/check-builds

install: all
	@meson install -C $(BUILD)

clean:
	rm -rf $(BUILD)

.PHONY: all packages demo test bench fuzz check install clean
