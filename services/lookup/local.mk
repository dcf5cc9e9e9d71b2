noinst_LIBRARIES += libroute.a
libroute_a_SOURCES = \
	services/lookup/engine/bcc.c \
	services/lookup/engine/canonical.c \
	services/lookup/engine/domains.c services/lookup/engine/domains.h \
	services/lookup/engine/engine.c services/lookup/engine/engine.h \
	services/lookup/engine/expand.c \
	services/lookup/engine/interfaces.c services/lookup/engine/interfaces.h \
	services/lookup/engine/permit.c \
	services/lookup/engine/question.c \
	services/lookup/engine/resolve.c \
	services/lookup/engine/results.c services/lookup/engine/results.h \
	services/lookup/engine/rewrite.c \
	services/lookup/engine/route.h \
	services/lookup/engine/validate.c

LIBROUTE = libroute.a $(LIBMAP) $(LIBBASE)

pkglibexec_PROGRAMS += services/lookup/lookup
services_lookup_lookup_SOURCES = \
	services/lookup/checks.c services/lookup/checks.h \
	services/lookup/desk.c services/lookup/desk.h \
	services/lookup/guard.c services/lookup/guard.h \
	services/lookup/main.c \
	services/lookup/password_check.c services/lookup/password_check.h \
	services/lookup/passwords.c services/lookup/passwords.h \
	services/lookup/table_watch.c services/lookup/table_watch.h \
	services/lookup/token_check.c services/lookup/token_check.h \
	services/lookup/worker.c \
	services/lookup/workers.c services/lookup/workers.h services/lookup/workers_inside.h
services_lookup_lookup_LDADD = libroute.a $(LIBPASSWORD) $(LIBMAP) $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/lookup/test_route
tests_unit_lookup_test_route_SOURCES = tests/unit/lookup/test_route.c tests/unit/lookup/base.h
tests_unit_lookup_test_route_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_lookup_test_route_LDADD = $(LIBROUTE) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/lookup/test_rewrite
tests_unit_lookup_test_rewrite_SOURCES = tests/unit/lookup/test_rewrite.c tests/unit/lookup/base.h
tests_unit_lookup_test_rewrite_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_lookup_test_rewrite_LDADD = $(LIBROUTE) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/lookup/test_permit
tests_unit_lookup_test_permit_SOURCES = tests/unit/lookup/test_permit.c tests/unit/lookup/base.h
tests_unit_lookup_test_permit_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_lookup_test_permit_LDADD = $(LIBROUTE) $(CMOCKA_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_lookup_address
tests_fuzz_fuzz_lookup_address_SOURCES = tests/fuzz/lookup_address.c tests/fuzz/driver.c
tests_fuzz_fuzz_lookup_address_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"lookup_address"'
tests_fuzz_fuzz_lookup_address_LDADD = $(LIBROUTE)
