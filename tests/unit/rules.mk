# Unit tests that need more than the ledger, core and base archives.
DAEMONLIBS = $(B)/libdaemon.a $(B)/libapi.a $(B)/libhttp.a $(UNITLIBS)
$(B)/unit/test_config $(B)/unit/test_maps $(B)/unit/test_http $(B)/unit/test_query: $(B)/unit/%: \
		tests/unit/%.c tests/unit/rules.mk $(DAEMONLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(DAEMONLIBS) -lcmocka $(LDLIBS) -o $@

# the pipeline against a kernel side that is an array, and a ledger whose disk can be full
$(B)/unit/test_pipeline: tests/unit/test_pipeline.c tests/unit/fake_kern.c tests/unit/rules.mk $(DAEMONLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) -Wl,--wrap=ledger_commit \
		tests/unit/test_pipeline.c tests/unit/fake_kern.c $(DAEMONLIBS) -lcmocka $(LDLIBS) -o $@
