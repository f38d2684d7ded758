# oncpu: exact on-CPU time per function invocation.
#   make demo   install what is needed, build, run the main job on real functions (root)
#   make test   install what is needed, build, run every test (root)
#   make check  the quick tests · make vmtest · make bench · make lint · make fmt · make help
# V=1 shows commands; SAN=address|undefined|thread builds with a sanitizer into build-$(SAN).

CC      ?= gcc
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/bin/bpftool) bpftool)
JOBS    ?= $(shell nproc)
B       := $(if $(SAN),build-$(SAN),build)
ARCH    := $(shell uname -m | sed 's/x86_64/x86/;s/aarch64/arm64/')

WARN    := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
CFLAGS  ?= -O2 -g
, := ,
# what SAN names; the fuzzers bring their own main(), and libFuzzer is clang's
SANITIZERS := $(if $(filter address,$(SAN)),address$(,)undefined,$(if $(filter \
	fuzzer,$(SAN)),fuzzer-no-link$(,)address$(,)undefined,$(SAN)))
SANFLAG := $(if $(SAN),-fsanitize=$(SANITIZERS) -fno-omit-frame-pointer -fno-sanitize-recover=all)
ifeq ($(SAN),fuzzer)
CC := $(CLANG)
WARN += -Wno-format-nonliteral # clang wants literals also of functions that are checked by their attribute
endif
override CFLAGS += -std=gnu11 $(WARN) -D_GNU_SOURCE -Iinclude -Iagent -I$(B) -MMD -MP $(SANFLAG) \
	-fstack-protector-strong -fPIE
override LDFLAGS += -pie -Wl,-z,relro,-z,now $(SANFLAG)
LDLIBS  := -lbpf -lelf -lz -lsqlite3 -lmicrohttpd -ljansson -linih -lncursesw -ltinfo -lcrypto -lpthread

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(CURDIR)/%,%,$(2))';)

.DEFAULT_GOAL := all
.PHONY: build-tests all deps test-deps demo test vmtest check unit bench torture fuzz fuzzers lint sanitize fmt clean help install uninstall deb
.DELETE_ON_ERROR:

FOLDERS := base core kern ledger http api slicer daemon cli
SRC      = $(wildcard agent/$(1)/*.c)
OBJ      = $(patsubst agent/%.c,$(B)/obj/%.o,$(call SRC,$(1))) $(patsubst agent/%.S,$(B)/obj/%.S.o,$(wildcard agent/$(1)/*.S))
ARCHIVES := $(foreach f,$(FOLDERS),$(B)/lib$(f).a)

all: $(B)/oncpu $(B)/liboncpu-runtime.so $(B)/functions.stamp $(B)/manual.stamp

define folder_rule
$(B)/lib$(1).a: $$(call OBJ,$(1))
	$$(call say,AR,$$@)rm -f $$@; ar rcs $$@ $$^
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rule,$(f))))

$(B)/obj/%.o: agent/%.c
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -c $< -o $@

# data that is part of the program (.incbin, from the top of the repository, or what make gzipped)
$(B)/obj/%.S.o: agent/%.S
	$(Q)mkdir -p $(@D)
	$(call say,AS,$@)$(CC) -Iagent/$(*D) -Wa,-I$(B)/web -MMD -MP -c $< -o $@
$(B)/obj/core/policies_embedded.S.o: agent/core/policies.json
$(B)/obj/api/openapi.S.o: agent/api/openapi.json

# the page: make's own part of it is gzip, and no more
UPLOT := build/uplot/node_modules/uplot
WEB   := $(patsubst dashboards/web/%,$(B)/web/%.gz,$(wildcard $(addprefix dashboards/web/*.,html css js svg))) \
	$(addprefix $(B)/web/,uplot.esm.js.gz uplot.css.gz uplot-license.txt.gz)
$(B)/obj/api/assets.S.o: $(WEB)
$(B)/web/uplot.esm.js.gz: $(UPLOT)/dist/uPlot.esm.js
$(B)/web/uplot.css.gz: $(UPLOT)/dist/uPlot.min.css
$(B)/web/uplot-license.txt.gz: $(UPLOT)/LICENSE
$(WEB): $(B)/web/%.gz:
	$(Q)mkdir -p $(@D)
	$(call say,GZIP,$@)gzip -9nc $< >$@
$(filter-out $(B)/web/uplot%,$(WEB)): $(B)/web/%.gz: dashboards/web/%
$(UPLOT)/dist/uPlot.esm.js $(UPLOT)/dist/uPlot.min.css $(UPLOT)/LICENSE &: $(wildcard dashboards/web/package*.json)
	$(Q)rm -f build/uplot/fetched
	$(call say,NPM,build/uplot)dashboards/web/fetch.sh build/uplot

# the kernel side: one object, one skeleton
$(B)/oncpu.bpf.o: bpf/oncpu.bpf.c $(wildcard bpf/*.h bpf/*.def include/oncpu/*.h)
	$(Q)mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) -g -O2 -mcpu=v3 -target bpf -D__TARGET_ARCH_$(ARCH) -Wall -Wextra -Werror \
		-Wno-unused-parameter -idirafter /usr/include/$(shell uname -m)-linux-gnu -Iinclude -Ibpf -c $< -o $@
$(B)/oncpu.skel.h: $(B)/oncpu.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name oncpu_bpf > $@
$(call OBJ,kern): | $(B)/oncpu.skel.h

$(B)/oncpu: $(B)/libcli.a $(B)/libdaemon.a $(B)/libslicer.a $(B)/libapi.a $(B)/libhttp.a $(B)/libledger.a $(B)/libkern.a $(B)/libcore.a $(B)/libbase.a
	$(call say,LD,$@)$(CC) $(LDFLAGS) -Wl,--whole-archive $(B)/libcli.a -Wl,--no-whole-archive \
		$(filter-out $(B)/libcli.a,$^) $(LDLIBS) -o $@

$(B)/liboncpu-runtime.so: agent/runtime/runtime.c include/oncpu/runtime.h
	$(Q)mkdir -p $(@D)
	$(call say,SO,$@)$(CC) -O2 -g -std=gnu11 $(WARN) -Iinclude -fPIC -shared -fvisibility=hidden \
		-Wl,-soname,liboncpu-runtime.so $< -o $@

# the manual and the shells' completion, written by the program from what its commands declare
$(B)/manual.stamp: $(B)/oncpu
	$(call say,MAN,$(B)/man)rm -rf $(B)/man $(B)/completion; mkdir -p $(B)/man $(B)/completion
	$(Q)for page in $$($(B)/oncpu help --man); do \
		$(B)/oncpu help --man $$page >$(B)/man/$$page || exit 1; done
	$(Q)for shell in bash zsh; do \
		$(B)/oncpu help --completion $$shell >$(B)/completion/$$shell || exit 1; done
	$(Q)touch $@

# the functions of the demo and the tests: real programs, built with the public header
FUNCTIONS := $(patsubst tests/functions/%.c,$(B)/functions/%,$(wildcard tests/functions/*.c))
$(B)/functions/%: tests/functions/%.c include/oncpu/runtime.h
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) -O2 -g -std=gnu11 -D_GNU_SOURCE $(WARN) -Iinclude $< -o $@ -lpthread
$(B)/functions.stamp: $(FUNCTIONS)
	$(Q)touch $@

# unit tests: one program a file, each linked with the folders below it
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
UNITLIBS = $(B)/libledger.a $(B)/libcore.a $(B)/libbase.a
$(B)/unit/%: tests/unit/%.c $(UNITLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(UNITLIBS) -lcmocka $(LDLIBS) -o $@
unit: $(UNITS)

# tests on the running kernel, through agent/kern, without the agent
KERNLIBS = $(B)/libkern.a $(B)/libcore.a $(B)/libbase.a
BPFTESTS := $(patsubst tests/bpf/%.c,$(B)/bpf/%,$(wildcard tests/bpf/*.c))
$(B)/bpf/%: tests/bpf/%.c $(KERNLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(KERNLIBS) -lcmocka $(LDLIBS) -o $@

# programs that hold a thread in the middle of what it does
$(B)/slow_%.bpf.o: tests/bpf/programs/slow_%.bpf.c bpf/kernel.h
	$(Q)mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) -g -O2 -mcpu=v3 -target bpf -D__TARGET_ARCH_$(ARCH) \
		-idirafter /usr/include/$(shell uname -m)-linux-gnu -c $< -o $@
$(B)/slow_%.skel.h: $(B)/slow_%.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name slow_$*_bpf > $@
.PRECIOUS: $(B)/slow_%.bpf.o $(B)/slow_%.skel.h
$(B)/bpf/test_move: $(B)/slow_move.skel.h
$(B)/bpf/test_join: $(B)/slow_fork.skel.h

CHECKS = $(UNITS) $(filter $(B)/bpf/test_%,$(BPFTESTS))
E2E    = $(sort $(wildcard tests/e2e/test_*.sh tests/e2e/test_*.py))

SANITIZED = $(patsubst $(B)/%,build-address/%,$(UNITS))

build-tests: all $(UNITS) $(BPFTESTS)
check: build-tests
	$(Q)tests/run.sh $(CHECKS)
# everything, after installing what it needs
test: deps test-deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) build-tests
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=address all unit
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=thread all
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) SAN=fuzzer fuzzers
	$(Q)KERNELS="$(KERNELS)" tests/run.sh tests/test_lint.sh $(CHECKS) $(SANITIZED) $(E2E) \
		tests/fuzz/test_fuzz.sh tests/vm/run.sh

# the same code on other kernels of Debian's, in virtual machines; UPDATE=1 writes the instruction counts anew
vmtest: deps test-deps
	$(Q)$(MAKE) --no-print-directory build-tests
	$(Q)tests/vm/run.sh $(KERNELS)

demo: deps
	$(Q)$(MAKE) --no-print-directory -j$(JOBS) all
	$(Q)tests/demo.sh

$(B)/floor.bpf.o: tests/bench/floor.bpf.c
	$(Q)mkdir -p $(@D)
	$(call say,BPF,$@)$(CLANG) -g -O2 -target bpf -idirafter /usr/include/$(shell uname -m)-linux-gnu -c $< -o $@
$(B)/floor.skel.h: $(B)/floor.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name floor_bpf > $@
COST := $(wildcard tests/bench/cost/*.c)
$(B)/bench/cost: $(COST) $(wildcard tests/bench/cost/*.h) $(B)/floor.skel.h $(KERNLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(filter-out -MMD -MP,$(CFLAGS)) -Itests -I. $(LDFLAGS) $(COST) $(KERNLIBS) $(LDLIBS) -o $@
BENCHES := $(B)/bench/cost $(patsubst tests/bench/%.c,$(B)/bench/%,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c)))
$(B)/bench/%: tests/bench/%.c $(KERNLIBS) $(B)/libledger.a
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(B)/libledger.a $(KERNLIBS) $(LDLIBS) -o $@
$(B)/bench/freezer: tests/bench/freezer.c $(B)/libslicer.a $(KERNLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(B)/libslicer.a $(KERNLIBS) $(LDLIBS) -o $@
# those that use cost's loads, or what it attaches
$(B)/bench/boundary $(B)/bench/tracked: $(B)/bench/%: tests/bench/%.c $(COST) $(wildcard tests/bench/cost/*.h) \
		$(B)/floor.skel.h $(KERNLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(filter-out -MMD -MP,$(CFLAGS)) -Itests -I. $(LDFLAGS) $< $(filter-out %/main.c,$(COST)) \
		$(KERNLIBS) $(LDLIBS) -o $@
bench: test-deps
	$(Q)$(MAKE) --no-print-directory all $(BENCHES) $(B)/bpf/exactness
	$(Q)tests/bench/run.sh

# what it is built with, from Debian's packages; asked for only where missing
DEPS := gcc libc6-dev pkg-config clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev libsqlite3-dev \
	libmicrohttpd-dev libjansson-dev libinih-dev linux-libc-dev python3 libncurses-dev libssl-dev
TEST_DEPS := g++ libcmocka-dev sqlite3 bpftrace libbpf-tools linux-perf clang-format cppcheck jq \
	libasan8 libubsan1 libtsan2 qemu-system-x86 busybox-static chromium prometheus man-db mandoc groff libclang-rt-dev \
	python3-jsonschema systemd systemd-container strace dpkg-dev python3-pyte
# of prometheus its program is wanted, not its service
define install
	$(Q)missing=; for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | \
		grep -q 'ok installed' || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then \
		[ "$$(id -u)" = 0 ] || { echo "these packages are missing:$$missing (run: sudo make $@)"; exit 1; }; \
		echo "installing:$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $$missing >$(or $(TMPDIR),/tmp)/oncpu-apt.log 2>&1 || \
			{ tail -n 20 $(or $(TMPDIR),/tmp)/oncpu-apt.log; exit 1; }; \
		case "$$missing " in *" prometheus "*) \
			! [ -d /run/systemd/system ] || systemctl disable -q --now prometheus;; esac; \
	fi
endef
deps:
	$(call install,$(DEPS))
	$(Q)dashboards/web/fetch.sh build/uplot
test-deps:
	$(call install,$(TEST_DEPS))
	$(Q)tests/lambda/install.sh build/lambda
	$(Q)tests/browser/install.sh build/browser

# make install DESTDIR= PREFIX=/usr/local: the program, its manual, completion, and a systemd unit
PREFIX     ?= /usr/local
SYSCONFDIR ?= /etc
VERSION    := $(shell sed -n 's/^\#define ONCPU_VERSION "\(.*\)"/\1/p' agent/daemon/agent.h)
install: all
	$(Q)DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' BUILD='$(B)' agent/packaging/install.sh
uninstall:
	$(Q)DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' BUILD='$(B)' agent/packaging/install.sh --remove
# a Debian package of what is built: build/oncpu_VERSION_ARCHITECTURE.deb
deb: all
	$(Q)VERSION='$(VERSION)' BUILD='$(B)' agent/packaging/deb.sh

SOURCES = $(shell git ls-files '*.c' '*.h')
fmt:
	$(Q)clang-format -i $(SOURCES)
lint:
	$(Q)tests/lint.sh $(SOURCES)
# the agent killed 200 times and more: KILLS=n SEED=n
torture: all
	$(Q)tests/e2e/torture.py $(or $(KILLS),200) $(SEED)
# the fuzzers for longer than `make test` runs them; KEEP=1 adds what they find to the corpus
fuzz: test-deps
	$(Q)$(MAKE) --no-print-directory SAN=fuzzer fuzzers
	$(Q)tests/fuzz/run.sh $(or $(SECONDS),600)
# the unit tests with the address and undefined-behaviour sanitizers
sanitize:
	$(Q)$(MAKE) --no-print-directory SAN=address unit
	$(Q)tests/run.sh $(SANITIZED)
clean:
	$(Q)rm -rf build build-address build-undefined build-thread build-fuzzer
help:
	$(Q)sed -n '2,5s/^# *//p' Makefile

-include tests/unit/rules.mk tests/fuzz/rules.mk
-include $(shell find $(B)/obj $(B)/unit $(B)/bpf $(B)/bench -name '*.d' 2>/dev/null)
