pkglibexec_PROGRAMS += services/log/log
services_log_log_SOURCES = \
	services/log/destination.c services/log/destination.h \
	services/log/main.c \
	services/log/order.c services/log/order.h
services_log_log_LDADD = $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/log/test_order
tests_unit_log_test_order_SOURCES = tests/unit/log/test_order.c services/log/order.c
tests_unit_log_test_order_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_log_test_order_LDADD = $(LIBBASE) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/log/test_destination
tests_unit_log_test_destination_SOURCES = tests/unit/log/test_destination.c services/log/destination.c
tests_unit_log_test_destination_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_log_test_destination_LDADD = $(LIBBASE) $(CMOCKA_LIBS)
endif
