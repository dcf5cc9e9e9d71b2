noinst_LIBRARIES += libipc.a
libipc_a_SOURCES = common/ipc/fate.c common/ipc/fate.h \
	common/ipc/channel.c common/ipc/channel.h \
	common/ipc/codec.c common/ipc/codec.h \
	common/ipc/connect.c common/ipc/ipc.h \
	common/ipc/conversation.c common/ipc/conversation.h \
	common/ipc/messages.def \
	common/ipc/outqueue.c common/ipc/outqueue.h \
	common/ipc/protocol.c common/ipc/protocol.h \
	common/ipc/flush.c common/ipc/receive.c common/ipc/send.c

check_PROGRAMS += tests/fuzz/fuzz_ipc
tests_fuzz_fuzz_ipc_SOURCES = tests/fuzz/ipc.c tests/fuzz/driver.c
tests_fuzz_fuzz_ipc_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"ipc"'
tests_fuzz_fuzz_ipc_LDADD = $(LIBIPC) $(EVENT_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/ipc/test_codec tests/unit/ipc/test_channel tests/unit/ipc/test_violation tests/unit/ipc/test_fate
tests_unit_ipc_test_codec_SOURCES = tests/unit/ipc/test_codec.c
tests_unit_ipc_test_codec_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_ipc_test_codec_LDADD = $(LIBIPC) $(EVENT_LIBS) $(CMOCKA_LIBS)
tests_unit_ipc_test_channel_SOURCES = tests/unit/ipc/test_channel.c tests/unit/ipc/world.c tests/unit/ipc/world.h
tests_unit_ipc_test_channel_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_ipc_test_channel_LDADD = $(LIBIPC) $(EVENT_LIBS) $(CMOCKA_LIBS)
tests_unit_ipc_test_violation_SOURCES = tests/unit/ipc/test_violation.c tests/unit/ipc/world.c tests/unit/ipc/world.h
tests_unit_ipc_test_violation_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_ipc_test_violation_LDADD = $(LIBIPC) $(EVENT_LIBS) $(CMOCKA_LIBS)
tests_unit_ipc_test_fate_SOURCES = tests/unit/ipc/test_fate.c
tests_unit_ipc_test_fate_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_ipc_test_fate_LDADD = $(LIBIPC) $(EVENT_LIBS) $(CMOCKA_LIBS)
endif
