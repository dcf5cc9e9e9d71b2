noinst_LIBRARIES += libresolver.a
libresolver_a_SOURCES = \
	services/resolver/cache.c services/resolver/cache.h \
	services/resolver/engine.c services/resolver/engine.h \
	services/resolver/hosts.c services/resolver/hosts.h \
	services/resolver/name.c services/resolver/name.h \
	services/resolver/peername.c services/resolver/peername.h \
	services/resolver/query.c services/resolver/query.h \
	services/resolver/servers.c services/resolver/servers.h \
	services/resolver/shares.c services/resolver/shares.h \
	services/resolver/wire.c services/resolver/wire.h
RESOLVER_LIBS = libresolver.a $(LIBDNS)
RESOLVER_SYSTEM_LIBS = $(RESOLV_LIBS) $(IDN2_LIBS) $(EVENT_LIBS)

pkglibexec_PROGRAMS += services/resolver/resolver
services_resolver_resolver_SOURCES = services/resolver/main.c services/resolver/host_names.c services/resolver/host_names.h
services_resolver_resolver_LDADD = $(RESOLVER_LIBS) $(LIBSERVER) $(RESOLVER_SYSTEM_LIBS) $(SECCOMP_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_dns_answer
tests_fuzz_fuzz_dns_answer_SOURCES = tests/fuzz/dns_answer.c tests/fuzz/driver.c
tests_fuzz_fuzz_dns_answer_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"dns_answer"'
tests_fuzz_fuzz_dns_answer_LDADD = $(RESOLVER_LIBS) $(RESOLVER_SYSTEM_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/resolver/test_parts tests/unit/resolver/test_engine
tests_unit_resolver_test_parts_SOURCES = tests/unit/resolver/test_parts.c
tests_unit_resolver_test_parts_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_resolver_test_parts_LDADD = $(RESOLVER_LIBS) $(RESOLVER_SYSTEM_LIBS) $(CMOCKA_LIBS)
tests_unit_resolver_test_engine_SOURCES = \
	tests/unit/resolver/test_engine.c tests/unit/resolver/fake_server.c tests/unit/resolver/fake_server.h
tests_unit_resolver_test_engine_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_resolver_test_engine_LDADD = $(RESOLVER_LIBS) $(RESOLVER_SYSTEM_LIBS) $(CMOCKA_LIBS)
endif

EXTRA_DIST += tests/fuzz/corpus/dns_answer
