noinst_LIBRARIES += libsasl.a
libsasl_a_SOURCES = \
	common/sasl/dovecot.c common/sasl/dovecot.h \
	common/sasl/mechanism.c common/sasl/mechanism.h \
	common/sasl/prep.c common/sasl/prep.h \
	common/sasl/scram.c common/sasl/scram.h \
	common/sasl/server.c common/sasl/server.h common/sasl/server_inside.h \
	common/sasl/server_scram.c \
	common/sasl/user_in.c
LIBSASL = libsasl.a $(LIBBASE) $(IDN_LIBS) $(CRYPTO_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/sasl/test_server
tests_unit_sasl_test_server_SOURCES = tests/unit/sasl/test_server.c
tests_unit_sasl_test_server_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_sasl_test_server_LDADD = $(LIBSASL) $(CMOCKA_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_sasl_server
tests_fuzz_fuzz_sasl_server_SOURCES = tests/fuzz/sasl_server.c tests/fuzz/driver.c
tests_fuzz_fuzz_sasl_server_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"sasl_server"'
tests_fuzz_fuzz_sasl_server_LDADD = $(LIBSASL)
EXTRA_DIST += \
	tests/fuzz/corpus/sasl_server/external tests/fuzz/corpus/sasl_server/login \
	tests/fuzz/corpus/sasl_server/plain tests/fuzz/corpus/sasl_server/plus \
	tests/fuzz/corpus/sasl_server/scram
