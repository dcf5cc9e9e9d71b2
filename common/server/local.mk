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
	common/server/server.c common/server/server.h

TESTS += tests/unit/server/prove_roles.sh
EXTRA_DIST += tests/unit/server/prove_roles.sh
