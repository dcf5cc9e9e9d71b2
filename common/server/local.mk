noinst_LIBRARIES += libserver.a
libserver_a_SOURCES = \
	common/server/control.c \
	common/server/landlock.c \
	common/server/listeners.c \
	common/server/logsink.c common/server/logsink.h \
	common/server/peers.c \
	common/server/process.h \
	common/server/sandbox.c common/server/sandbox.h \
	common/server/seccomp.c \
	common/server/server.c common/server/server.h
