noinst_LIBRARIES += libserver.a
libserver_a_SOURCES = \
	common/server/control.c \
	common/server/landlock.c \
	common/server/listeners.c \
	common/server/logsink.c common/server/logsink.h \
	common/server/peers.c \
	common/server/process.h \
	common/server/prove.c common/server/prove.h \
	common/server/sandbox.c common/server/sandbox.h \
	common/server/seccomp.c \
	common/server/wanted.c common/server/server.c common/server/server.h

TESTS += tests/unit/server/prove_roles.sh
EXTRA_DIST += tests/unit/server/prove_roles.sh

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/server/test_logsink
tests_unit_server_test_logsink_SOURCES = tests/unit/server/test_logsink.c
tests_unit_server_test_logsink_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_server_test_logsink_LDADD = $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/server/test_sandbox
tests_unit_server_test_sandbox_SOURCES = tests/unit/server/test_sandbox.c
tests_unit_server_test_sandbox_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_server_test_sandbox_LDADD = $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS) $(CMOCKA_LIBS)
endif
