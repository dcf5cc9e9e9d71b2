noinst_LIBRARIES += libnet.a
libnet_a_SOURCES = \
	common/net/address.c common/net/address.h \
	common/net/linger.c \
	common/net/stream.c common/net/stream.h common/net/stream_inside.h \
	common/net/stream_arm.c

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/net/test_address tests/unit/net/test_stream
tests_unit_net_test_address_SOURCES = tests/unit/net/test_address.c
tests_unit_net_test_address_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_net_test_address_LDADD = $(LIBNET) $(CMOCKA_LIBS)
tests_unit_net_test_stream_SOURCES = tests/unit/net/test_stream.c
tests_unit_net_test_stream_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_net_test_stream_LDADD = $(LIBNET) $(EVENT_LIBS) $(CMOCKA_LIBS)
endif
