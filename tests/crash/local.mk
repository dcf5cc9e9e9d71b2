# What a crash may leave: see docs/design/crash-tests.md. "make check" runs the short forms, "make crash-check" the long ones.
CRASH_QUEUE_SOURCES = \
	tests/crash/load.c tests/crash/load.h tests/crash/recorder.c tests/crash/recorder.h \
	tests/unit/queue/world.c tests/unit/queue/world.h

check_PROGRAMS += tests/crash/powercut
tests_crash_powercut_SOURCES = tests/crash/powercut.c \
	tests/crash/disk_states.c tests/crash/disk_states.h $(CRASH_QUEUE_SOURCES)
tests_crash_powercut_CPPFLAGS = $(AM_CPPFLAGS) -U_FORTIFY_SOURCE
tests_crash_powercut_LDADD = $(QUEUE_TEST_LIBS)

check_PROGRAMS += tests/crash/faults
tests_crash_faults_SOURCES = tests/crash/faults.c $(CRASH_QUEUE_SOURCES)
tests_crash_faults_CPPFLAGS = $(AM_CPPFLAGS) -U_FORTIFY_SOURCE
tests_crash_faults_LDADD = $(QUEUE_TEST_LIBS)

check_PROGRAMS += tests/crash/damage
tests_crash_damage_SOURCES = tests/crash/damage.c $(CRASH_QUEUE_SOURCES)
tests_crash_damage_CPPFLAGS = $(AM_CPPFLAGS) -U_FORTIFY_SOURCE
tests_crash_damage_LDADD = $(QUEUE_TEST_LIBS)

# Some minutes; "make -j2 crash-check" runs two at a time.
CRASH_CHECKS = crash-powercut-all crash-powercut-1 crash-powercut-2 crash-faults crash-damage
.PHONY: crash-check $(CRASH_CHECKS)
crash-powercut-all: tests/crash/powercut
	tests/crash/powercut all 9
crash-powercut-1: tests/crash/powercut
	tests/crash/powercut 3000 1
crash-powercut-2: tests/crash/powercut
	tests/crash/powercut 3000 2
crash-faults: tests/crash/faults
	tests/crash/faults 1
crash-damage: tests/crash/damage
	tests/crash/damage 1000 1
crash-check: $(CRASH_CHECKS)
	@echo "The loops of kill -9 and of rare orders: CRASH_LONG=1 and pytest on tests/system/test_crash.py, test_crash_steps.py and test_orders.py."
