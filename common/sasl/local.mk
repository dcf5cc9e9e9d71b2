noinst_LIBRARIES += libsasl.a
libsasl_a_SOURCES = \
	common/sasl/client.c common/sasl/client.h common/sasl/client_inside.h \
	common/sasl/client_scram.c \
	common/sasl/dovecot.c common/sasl/dovecot.h \
	common/sasl/mechanism.c common/sasl/mechanism.h \
	common/sasl/prep.c common/sasl/prep.h \
	common/sasl/scram.c common/sasl/scram.h \
	common/sasl/scram_slow.c common/sasl/scram_slow.h \
	common/sasl/server.c common/sasl/server.h common/sasl/server_inside.h \
	common/sasl/server_bearer.c \
	common/sasl/server_scram.c \
	common/sasl/user_in.c
LIBSASL = libsasl.a $(LIBBASE) $(IDN_LIBS) $(CRYPTO_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/sasl/test_client
tests_unit_sasl_test_client_SOURCES = tests/unit/sasl/test_client.c
tests_unit_sasl_test_client_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_sasl_test_client_LDADD = $(LIBSASL) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/sasl/test_dovecot
tests_unit_sasl_test_dovecot_SOURCES = tests/unit/sasl/test_dovecot.c
tests_unit_sasl_test_dovecot_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_sasl_test_dovecot_LDADD = $(LIBSASL) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/sasl/test_server
tests_unit_sasl_test_server_SOURCES = tests/unit/sasl/test_server.c
tests_unit_sasl_test_server_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_sasl_test_server_LDADD = $(LIBSASL) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/sasl/test_server_scram
tests_unit_sasl_test_server_scram_SOURCES = tests/unit/sasl/test_server_scram.c
tests_unit_sasl_test_server_scram_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_sasl_test_server_scram_LDADD = $(LIBSASL) $(CMOCKA_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_sasl_server
tests_fuzz_fuzz_sasl_server_SOURCES = tests/fuzz/sasl_server.c tests/fuzz/driver.c
tests_fuzz_fuzz_sasl_server_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"sasl_server"'
tests_fuzz_fuzz_sasl_server_LDADD = $(LIBSASL)
EXTRA_DIST += \
	tests/fuzz/corpus/sasl_server/external tests/fuzz/corpus/sasl_server/login \
	tests/fuzz/corpus/sasl_server/plain tests/fuzz/corpus/sasl_server/plus \
	tests/fuzz/corpus/sasl_server/scram

check_PROGRAMS += tests/fuzz/fuzz_sasl_client
tests_fuzz_fuzz_sasl_client_SOURCES = tests/fuzz/sasl_client.c tests/fuzz/driver.c
tests_fuzz_fuzz_sasl_client_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"sasl_client"'
tests_fuzz_fuzz_sasl_client_LDADD = $(LIBSASL)
EXTRA_DIST += \
	tests/fuzz/corpus/sasl_client/bearer tests/fuzz/corpus/sasl_client/login \
	tests/fuzz/corpus/sasl_client/plus tests/fuzz/corpus/sasl_client/scram

check_PROGRAMS += tests/fuzz/fuzz_dovecot_line
tests_fuzz_fuzz_dovecot_line_SOURCES = tests/fuzz/dovecot_line.c tests/fuzz/driver.c
tests_fuzz_fuzz_dovecot_line_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"dovecot_line"'
tests_fuzz_fuzz_dovecot_line_LDADD = $(LIBSASL)
EXTRA_DIST += \
	tests/fuzz/corpus/dovecot_line/answers tests/fuzz/corpus/dovecot_line/greeting \
	tests/fuzz/corpus/dovecot_line/odd
