# The fuzzers: libFuzzer programs, built by `make SAN=fuzzer` (clang; address and undefined-behaviour
# sanitizers) into build-fuzzer/fuzz.
FUZZERS  := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZLIBS  = $(B)/libdaemon.a $(B)/libslicer.a $(B)/libapi.a $(B)/libhttp.a $(B)/libledger.a
fuzzers: $(FUZZERS)
$(B)/fuzz/%: tests/fuzz/%.c tests/fuzz/fuzz.h tests/fuzz/rules.mk $(FUZZLIBS) $(KERNLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -I. -fsanitize=fuzzer $(LDFLAGS) $< $(FUZZLIBS) $(KERNLIBS) $(LDLIBS) -o $@
# the privileged half, before a kernel side that is a witness: what the fuzzer defines itself comes first
$(B)/fuzz/fuzz_attacher: tests/fuzz/fuzz_attacher.c tests/fuzz/fuzz.h tests/fuzz/rules.mk $(FUZZLIBS) $(KERNLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -I. -fsanitize=fuzzer $(LDFLAGS) -Wl,--allow-multiple-definition $< \
		$(B)/libdaemon.a $(KERNLIBS) $(LDLIBS) -o $@
