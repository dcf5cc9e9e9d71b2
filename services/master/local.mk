pkglibexec_PROGRAMS += services/master/master
services_master_master_SOURCES = \
	services/master/address.c services/master/address.h \
	services/master/broker.c services/master/broker.h services/master/children.c \
	services/master/claim.c services/master/claim.h \
	services/master/connect.c \
	services/master/control.c \
	services/master/directories.c \
	services/master/folders.c services/master/folders.h \
	services/master/keyfiles.c services/master/keyfiles.h \
	services/master/logfile.c services/master/logfile.h \
	services/master/main.c \
	services/master/master.h \
	services/master/names.c services/master/names.h \
	services/master/plan.c \
	services/master/reload.c \
	services/master/seen.c services/master/seen.h \
	services/master/sockets.c \
	services/master/stop.c \
	services/master/watch.c
services_master_master_LDADD = libkeysources.a $(LIBMAP) $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)

noinst_PROGRAMS += tests/unit/master/idle_child
tests_unit_master_idle_child_SOURCES = tests/unit/master/idle_child.c
tests_unit_master_idle_child_LDADD = $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)

TESTS += tests/unit/master/life.sh
EXTRA_DIST += tests/unit/master/life.sh

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/master/test_logfile
tests_unit_master_test_logfile_SOURCES = tests/unit/master/test_logfile.c services/master/logfile.c
tests_unit_master_test_logfile_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_test_logfile_LDADD = libconf.a $(LIBBASE) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/master/test_address
tests_unit_master_test_address_SOURCES = tests/unit/master/test_address.c services/master/address.c services/master/names.c
tests_unit_master_test_address_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_test_address_LDADD = libconf.a $(LIBBASE) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/master/test_broker
tests_unit_master_test_broker_SOURCES = tests/unit/master/test_broker.c services/master/address.c services/master/broker.c services/master/names.c
tests_unit_master_test_broker_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_master_test_broker_LDADD = libconf.a $(LIBBASE) $(CMOCKA_LIBS)
endif
