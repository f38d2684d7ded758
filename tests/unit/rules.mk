# Unit tests that need more than the ledger, core and base archives.
DAEMONLIBS = $(B)/libdaemon.a $(B)/libapi.a $(B)/libhttp.a $(UNITLIBS)
$(B)/unit/test_config $(B)/unit/test_maps $(B)/unit/test_http $(B)/unit/test_query \
		$(B)/unit/test_api_access $(B)/unit/test_boundaries: $(B)/unit/%: \
		tests/unit/%.c tests/unit/rules.mk $(DAEMONLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(DAEMONLIBS) -lcmocka $(LDLIBS) -o $@

# the pipeline against a kernel side that is an array, and a ledger whose disk can be full
$(B)/unit/test_pipeline: tests/unit/test_pipeline.c tests/unit/fake_kern.c tests/unit/rules.mk $(DAEMONLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) -Wl,--wrap=ledger_commit \
		tests/unit/test_pipeline.c tests/unit/fake_kern.c $(DAEMONLIBS) -lcmocka $(LDLIBS) -o $@

# hostile ELF files, against libelf; what the kernel side leaves in the ring; numbers and tables for people
$(B)/unit/test_elf $(B)/unit/test_event: $(B)/unit/%: tests/unit/%.c tests/unit/rules.mk $(KERNLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(KERNLIBS) -lcmocka $(LDLIBS) -o $@
$(B)/unit/test_format: tests/unit/test_format.c tests/unit/rules.mk $(B)/libcli.a $(B)/libbase.a
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(B)/libcli.a $(B)/libbase.a -lcmocka $(LDLIBS) -o $@

# the commands' declarations: all of the binary but its main
CLILIBS = $(B)/libcli.a $(B)/libdaemon.a $(B)/libslicer.a $(B)/libapi.a $(B)/libhttp.a $(B)/libledger.a \
	$(KERNLIBS)
$(B)/unit/test_commands $(B)/unit/test_manual $(B)/unit/test_rates $(B)/unit/test_pricer: $(B)/unit/%: tests/unit/%.c tests/unit/rules.mk $(CLILIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(CLILIBS) -lcmocka $(LDLIBS) -o $@

# the slicer's pure parts
SLICERLIBS = $(B)/libslicer.a $(B)/libhttp.a $(KERNLIBS)
$(B)/unit/test_slicer: tests/unit/test_slicer.c tests/unit/rules.mk $(SLICERLIBS)
	$(Q)mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(CFLAGS) -Itests -I. $(LDFLAGS) $< $(SLICERLIBS) -lcmocka $(LDLIBS) -o $@
