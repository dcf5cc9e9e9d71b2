noinst_LIBRARIES += libpolicy.a
libpolicy_a_SOURCES = \
	services/policy/client_key.c \
	services/policy/counters.c services/policy/counters.h \
	services/policy/failures.c services/policy/failures.h \
	services/policy/users.c services/policy/users.h

pkglibexec_PROGRAMS += services/policy/policy
services_policy_policy_SOURCES = services/policy/main.c
services_policy_policy_LDADD = libpolicy.a $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/policy/test_counters
tests_unit_policy_test_counters_SOURCES = tests/unit/policy/test_counters.c
tests_unit_policy_test_counters_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_policy_test_counters_LDADD = libpolicy.a $(LIBBASE) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/policy/test_failures
tests_unit_policy_test_failures_SOURCES = tests/unit/policy/test_failures.c
tests_unit_policy_test_failures_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_policy_test_failures_LDADD = libpolicy.a $(LIBBASE) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/policy/test_users
tests_unit_policy_test_users_SOURCES = tests/unit/policy/test_users.c
tests_unit_policy_test_users_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_policy_test_users_LDADD = libpolicy.a $(LIBBASE) $(CMOCKA_LIBS)
endif
