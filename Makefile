# resthook: REST hooks for any SQLite database.
#
#   make help     what there is to make
#   SAN=1         the same with AddressSanitizer and UndefinedBehaviorSanitizer, beside the plain build
#   KILLS=N       make torture: so many; SEED=S chooses where
#   MINUTES=N     make soak: so long
#   BUILD=DIR     build somewhere else than in build/
#   SHORT=1       make matrix: with the oldest and the newest only
#   SECONDS=n     make fuzz: so long, shared among the targets
#   V=1           show whole commands
#
# The extension's sources are compiled twice: for resthook.so, where SQLite is reached through the host's own
# copy, and (core/, SQLITE_CORE) for resthookd, which links SQLite. Lists of sources are wildcards: a new file
# needs no line here. Packages are named in .ci/deps.

CC ?= cc
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
BUILD := build$(if $(SAN),/san)
, := ,
WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
SANFLAGS = $(if $(SAN),-fsanitize=address$(,)undefined -fno-sanitize-recover=all -fno-omit-frame-pointer) \
	$(if $(FUZZER),-fsanitize=fuzzer-no-link)
SECONDS = 60
CFLAGS ?= $(if $(SAN),-O1,-O2) -g
# What makes a mistake harder to use; the last few only where the compiler has them for this processor.
able = $(foreach flag,$(1),$(shell $(CC) -Werror $(flag) -c -x c /dev/null -o /dev/null 2>/dev/null && echo $(flag)))
GUARDED := -fstack-protector-strong $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3) \
	$(call able,-fstack-clash-protection -fcf-protection -mbranch-protection=standard)
override CFLAGS += -std=c11 -D_GNU_SOURCE $(WARN) -fPIC -fvisibility=hidden -ffunction-sections -fdata-sections \
	$(GUARDED) $(SANFLAGS) -Iext -I$(BUILD)/gen -MMD -MP
HARDEN = -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack
DAEMON_LIBS = -lsqlite3 -lcurl -lcjson -lcrypto

# Where make install puts things (the GNU directory variables).
PREFIX ?= /usr/local
prefix = $(PREFIX)
exec_prefix = $(prefix)
bindir = $(exec_prefix)/bin
libdir = $(exec_prefix)/lib
datarootdir = $(prefix)/share
datadir = $(datarootdir)
docdir = $(datarootdir)/doc/resthook
unitdir = $(prefix)/lib/systemd/system

SQL := $(wildcard sql/*.sql)
EXT := $(wildcard ext/*.c)
DISPATCHER := $(filter-out dispatcher/fault.c,$(wildcard dispatcher/*.c))
EXT_SO := $(EXT:ext/%.c=$(BUILD)/so/%.o) $(BUILD)/so/sql.o
EXT_CORE := $(EXT:ext/%.c=$(BUILD)/core/%.o) $(BUILD)/core/sql.o
DAEMON := $(DISPATCHER:dispatcher/%.c=$(BUILD)/dispatcher/%.o)
FAULTY := $(patsubst dispatcher/%.c,%.o,$(shell grep -l 'fault\.h' $(DISPATCHER)))
UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
MODEL := $(patsubst tests/%.c,$(BUILD)/tests/%.o,$(wildcard tests/model/*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(filter-out %/replay.c,$(wildcard tests/fuzz/*.c)))
BENCH := $(patsubst tests/%.c,$(BUILD)/%,$(wildcard tests/bench/*.c))

# In front of a command: a short line instead of it; with V=1 the command, with -s nothing.
say = $(if $(V),,@$(if $(findstring s,$(firstword -$(MAKEFLAGS))),,printf '%-5s %s\n' '$(1)' '$(2)' && ))

all: $(BUILD)/resthook.so $(BUILD)/resthookd ## the extension and the dispatcher (default)

$(BUILD)/resthook.so: $(EXT_SO)
	$(call say,LINK,$@)$(CC) $(CFLAGS) -shared $(HARDEN) $(if $(SAN),,-Wl$(,)-z$(,)defs) -o $@ $^ $(LDFLAGS)
$(BUILD)/resthookd: $(DAEMON) $(EXT_CORE)
	$(call say,LINK,$@)$(CC) $(CFLAGS) -pie $(HARDEN) -o $@ $^ $(LDFLAGS) $(DAEMON_LIBS)

$(BUILD)/so/%.o: ext/%.c $(BUILD)/gen/sql.h
	@mkdir -p $(@D)
	$(call say,CC so,$<)$(CC) $(CFLAGS) -c -o $@ $<
$(BUILD)/core/%.o: ext/%.c $(BUILD)/gen/sql.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -DSQLITE_CORE -c -o $@ $<
$(BUILD)/dispatcher/%.o: dispatcher/%.c $(BUILD)/gen/sql.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -DSQLITE_CORE -c -o $@ $<
$(BUILD)/so/sql.o $(BUILD)/core/sql.o: $(BUILD)/gen/sql.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -c -o $@ $<

# SQL lives in sql/. A file becomes one constant, sql_<file>; a file with lines "-- name: x" one constant for each.
$(BUILD)/gen/sql.c: sql/embed.awk $(SQL)
	@mkdir -p $(@D)
	$(call say,GEN,$@)awk -f sql/embed.awk $(SQL) > $@
$(BUILD)/gen/sql.h: $(BUILD)/gen/sql.c
	$(call say,GEN,$@)sed -n '/^extern /p' $< > $@

# Every room but main, for the tests' programs. The linker takes a member only for a name that is still missing:
# a test that defines http_send and its sisters itself never meets http.o.
$(BUILD)/rooms.a: $(filter-out %/main.o,$(DAEMON)) $(EXT_CORE)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^
$(BUILD)/tests/%.o: tests/%.c $(BUILD)/gen/sql.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CFLAGS) -Idispatcher -DSQLITE_CORE -c -o $@ $<
$(BUILD)/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/rooms.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) -Wl,--gc-sections -o $@ $^ $(LDFLAGS) -lcmocka $(DAEMON_LIBS)
$(BUILD)/model: $(MODEL) $(BUILD)/rooms.a
	$(call say,LINK,$@)$(CC) $(CFLAGS) -Wl,--gc-sections -o $@ $^ $(LDFLAGS) $(DAEMON_LIBS)

# Its disk fails when it is told to, and so does the memory of our own rooms.
$(BUILD)/unit/test_failures $(BUILD)/unit/test_syncer $(BUILD)/unit/test_durable: $(BUILD)/tests/failures/disk.o
$(BUILD)/unit/test_failures: LDFLAGS += $(addprefix -Wl$(,)--wrap=,malloc calloc realloc strdup vasprintf identity_boot)

# A target of the fuzzer: with a main that replays its corpus, or (FUZZER) with libFuzzer's.
$(BUILD)/fuzz/%: $(BUILD)/tests/fuzz/%.o $(if $(FUZZER),,$(BUILD)/tests/fuzz/replay.o) $(BUILD)/rooms.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) $(if $(FUZZER),-fsanitize=fuzzer) -Wl,--gc-sections -o $@ $^ $(LDFLAGS) $(DAEMON_LIBS)

$(BUILD)/bench/%: $(BUILD)/tests/bench/%.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(CFLAGS) -o $@ $^ $(LDFLAGS) -lsqlite3 -lcurl -lssl -lcrypto

# The dispatcher with fault points (dispatcher/fault.h), in a folder of its own: the rooms that have any are compiled
# once more, the others are the same.
$(BUILD)/faults/%.o: dispatcher/%.c $(BUILD)/gen/sql.h
	@mkdir -p $(@D)
	$(call say,CC faults,$<)$(CC) $(CFLAGS) -DSQLITE_CORE -DFAULTS -c -o $@ $<
$(BUILD)/faults/resthookd: $(FAULTY:%=$(BUILD)/faults/%) $(BUILD)/faults/fault.o \
		$(filter-out $(FAULTY:%=$(BUILD)/dispatcher/%),$(DAEMON)) $(EXT_CORE)
	$(call say,LINK,$@)$(CC) $(CFLAGS) -pie $(HARDEN) -o $@ $^ $(LDFLAGS) $(DAEMON_LIBS)

# The network's calls, failing when they are told to; a disk that takes its time.
$(BUILD)/faults/%.so: tests/failures/%.c
	@mkdir -p $(@D)
	$(call say,CC so,$<)$(CC) $(CFLAGS) -shared -o $@ $< $(LDFLAGS)

deps: ## install the Debian packages that building and testing need
	sh .ci/deps

demo: all ## a row is inserted by the plain sqlite3 shell; a local receiver gets the signed request
	@$(PYTHON) tests/demo $(BUILD)

unit: $(UNIT) ## build the unit tests' programs, build/unit/test_*
model: $(if $(MODEL),$(BUILD)/model) ## build the model of the cursor, build/model

faults: $(BUILD)/faults/resthookd $(BUILD)/faults/net.so $(BUILD)/faults/stuck.so ## build the dispatcher that the tests kill at named points, build/faults/resthookd
replay: $(FUZZ) ## build what replays the fuzzer's corpus, build/fuzz/*

fuzz: ## look for input that breaks a promise, SECONDS=60 in all (sh .ci/deps fuzz)
	@$(MAKE) -s CC=clang SAN=1 FUZZER=1 BUILD=$(BUILD)/fuzzer replay
	$(PYTHON) tests/fuzz/run --build $(BUILD)/fuzzer --seconds $(SECONDS)

test: ## build and run every test; with SAN=1 or CI=true under the sanitizers, and plain what is about the build
	@SAN=$(SAN) BUILD=$(BUILD) $(PYTHON) tests/run

matrix: all ## the catalogue of pitfalls with other versions of SQLite (needs npm and the network)
	$(PYTHON) tests/matrix $(if $(SHORT),--short) $(BUILD)

bench-programs: $(BENCH)

bench: all $(BENCH) ## what users pay, measured against the limits: build/bench/figures.json, growth.svg (8 minutes)
	$(PYTHON) tests/bench/run --build $(BUILD)

bench-check: all $(BENCH) ## instruction counts of a fixed drain and fixed writes, against tests/bench/baseline
	$(PYTHON) tests/bench/check --build $(BUILD)

KILLS = 500
SEED = 1
torture: all faults ## everything is killed, everywhere, KILLS times (500) by SEED (1): is anything lost, or sent that was not?
	$(PYTHON) tests/torture/torture.py --build $(BUILD) --kills $(KILLS) --seed $(SEED)

failures: $(BUILD)/unit/test_failures ## the n-th thing fails, for each n: the disk, memory, the power (half an hour)
	$< all

MINUTES = 5
soak: all ## everything at once for MINUTES (5): does memory, a file or a table grow?
	$(PYTHON) tests/torture/soak.py --build $(BUILD) --minutes $(MINUTES)

languages: all ## writers in other languages, with Debian's runtimes and npm's (sh .ci/deps languages)
	RESTHOOK_BUILD=$(BUILD) $(PYTHON) tests/languages/run

formats: all ## each format, read by npm's packages for it (needs npm and the network)
	RESTHOOK_BUILD=$(BUILD) $(PYTHON) tests/formats/run

coverage: ## lines and branches of ext/ and dispatcher/ that the tests run (sh .ci/deps lint): build/coverage/lines.html
	$(PYTHON) tests/coverage --build $(BUILD)/coverage

lint: all $(BUILD)/rooms.a ## formatting, clang-tidy, cppcheck, and which room may know what
	@BUILD=$(BUILD) sh .ci/lint$(if $(findstring s,$(firstword -$(MAKEFLAGS))),, && echo 'lint: clean')

format: ## rewrite the C sources as .clang-format has them
	clang-format -i $(wildcard ext/*.[ch] dispatcher/*.[ch] tests/*/*.[ch])

install: all ## below PREFIX (/usr/local), in DESTDIR if given
	install -D -m 755 $(BUILD)/resthookd $(DESTDIR)$(bindir)/resthookd
	install -D -m 644 $(BUILD)/resthook.so $(DESTDIR)$(libdir)/sqlite3/resthook.so
	install -D -m 644 sql/strigo.sql $(DESTDIR)$(datadir)/resthook/strigo.sql
	install -D -m 644 -t $(DESTDIR)$(docdir) README.md SECURITY.md LICENSE
	install -d $(DESTDIR)$(unitdir)
	sed 's|@bindir@|$(bindir)|; s|@docdir@|$(docdir)|' dispatcher/resthookd@.service \
		> $(DESTDIR)$(unitdir)/resthookd@.service && chmod 644 $(DESTDIR)$(unitdir)/resthookd@.service

uninstall: ## take away what install put there (the same PREFIX and DESTDIR)
	rm -f $(DESTDIR)$(bindir)/resthookd $(DESTDIR)$(libdir)/sqlite3/resthook.so \
		$(DESTDIR)$(datadir)/resthook/strigo.sql $(DESTDIR)$(unitdir)/resthookd@.service \
		$(DESTDIR)$(docdir)/README.md $(DESTDIR)$(docdir)/SECURITY.md $(DESTDIR)$(docdir)/LICENSE
	@for each in $(libdir)/sqlite3 $(datadir)/resthook $(docdir) $(unitdir); do \
		rmdir $(DESTDIR)$$each 2>/dev/null || true; done

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@sed -n '/^#  *[A-Z]*=/s/^#   /     /p' $(firstword $(MAKEFILE_LIST))

.PHONY: all deps demo unit model faults replay fuzz test torture failures soak matrix languages formats bench bench-programs bench-check \
	coverage lint format install uninstall clean help
.SECONDARY: # keep the tests' objects
-include $(wildcard $(BUILD)/*/*.d $(BUILD)/tests/*/*.d)
