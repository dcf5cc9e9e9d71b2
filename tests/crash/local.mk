# What a crash may leave: see docs/design/crash-tests.md. "make check" runs the short forms, "make crash-check" the long ones.
CRASH_QUEUE_SOURCES = \
	tests/crash/load.c tests/crash/load.h tests/crash/recorder.c tests/crash/recorder.h \
	tests/unit/queue/world.c tests/unit/queue/world.h

check_PROGRAMS += tests/crash/powercut
tests_crash_powercut_SOURCES = tests/crash/powercut.c \
	tests/crash/disk_states.c tests/crash/disk_states.h $(CRASH_QUEUE_SOURCES)
tests_crash_powercut_CPPFLAGS = $(AM_CPPFLAGS) -U_FORTIFY_SOURCE
tests_crash_powercut_LDADD = $(QUEUE_TEST_LIBS)
