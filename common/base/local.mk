noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	common/base/arena.c common/base/arena.h \
	common/base/base64.c common/base/base64.h \
	common/base/buf.c common/base/buf.h \
	common/base/clock.c common/base/clock.h \
	common/base/error.c common/base/error.h \
	common/base/inherited.c common/base/inherited.h \
	common/base/io.c common/base/io.h \
	common/base/log.c common/base/log.h \
	common/base/mark.c common/base/mark.h \
	common/base/mem.c common/base/mem.h \
	common/base/octets.h \
	common/base/span.c common/base/span.h \
	common/base/table.c common/base/table.h \
	common/base/text.c common/base/text.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/base/test_base
tests_unit_base_test_base_SOURCES = tests/unit/base/test_base.c
tests_unit_base_test_base_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_test_base_LDADD = $(LIBBASE) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/base/test_base64
tests_unit_base_test_base64_SOURCES = tests/unit/base/test_base64.c
tests_unit_base_test_base64_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_base_test_base64_LDADD = $(LIBBASE) $(CMOCKA_LIBS)
endif
