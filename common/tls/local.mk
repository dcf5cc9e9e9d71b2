noinst_LIBRARIES += libtls.a
libtls_a_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
libtls_a_SOURCES = \
	common/tls/believed.c common/tls/believed.h \
	common/tls/context.c common/tls/context.h common/tls/context_inside.h \
	common/tls/context_tickets.c \
	common/tls/facts.c common/tls/facts.h \
	common/tls/keys.c common/tls/keys.h common/tls/keys_inside.h \
	common/tls/library.c common/tls/library.h \
	common/tls/match.c common/tls/match.h \
	common/tls/parameters.c common/tls/parameters.h \
	common/tls/peer.c \
	common/tls/provider.c common/tls/provider.h common/tls/provider_inside.h \
	common/tls/provider_keys.c \
	common/tls/provider_signature.c \
	common/tls/session.c common/tls/session.h common/tls/session_inside.h \
	common/tls/session_io.c \
	common/tls/session_start.c \
	common/tls/session_wire.c \
	common/tls/trust.c common/tls/trust.h common/tls/trust_inside.h \
	common/tls/verify.c

if HAVE_CMOCKA
TLS_WORLD = \
	tests/unit/tls/certificates.c tests/unit/tls/certificates.h \
	tests/unit/tls/fixture.c tests/unit/tls/fixture.h \
	tests/unit/tls/world.c tests/unit/tls/world.h
TLS_TEST_LIBS = libtls.a libnet.a $(LIBIPC) $(EVENT_LIBS) $(OPENSSL_LIBS) $(CMOCKA_LIBS)
TLS_TEST_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) $(CMOCKA_CFLAGS)
check_PROGRAMS += tests/unit/tls/test_hostile tests/unit/tls/test_keys tests/unit/tls/test_parameters \
	tests/unit/tls/test_resumption tests/unit/tls/test_session tests/unit/tls/test_verify
tests_unit_tls_test_hostile_SOURCES = tests/unit/tls/test_hostile.c $(TLS_WORLD)
tests_unit_tls_test_hostile_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_tls_test_hostile_LDADD = $(TLS_TEST_LIBS)
tests_unit_tls_test_parameters_SOURCES = tests/unit/tls/test_parameters.c $(TLS_WORLD)
tests_unit_tls_test_parameters_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_tls_test_parameters_LDADD = $(TLS_TEST_LIBS)
tests_unit_tls_test_verify_SOURCES = tests/unit/tls/test_verify.c $(TLS_WORLD)
tests_unit_tls_test_verify_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_tls_test_verify_LDADD = $(TLS_TEST_LIBS)
tests_unit_tls_test_keys_SOURCES = tests/unit/tls/test_keys.c $(TLS_WORLD)
tests_unit_tls_test_keys_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_tls_test_keys_LDADD = $(TLS_TEST_LIBS)
tests_unit_tls_test_resumption_SOURCES = tests/unit/tls/test_resumption.c $(TLS_WORLD)
tests_unit_tls_test_resumption_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_tls_test_resumption_LDADD = $(TLS_TEST_LIBS)
tests_unit_tls_test_session_SOURCES = tests/unit/tls/test_session.c $(TLS_WORLD)
tests_unit_tls_test_session_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_tls_test_session_LDADD = $(TLS_TEST_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_tls_names
tests_fuzz_fuzz_tls_names_SOURCES = tests/fuzz/tls_names.c tests/fuzz/driver.c
tests_fuzz_fuzz_tls_names_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS) -DFUZZ_NAME='"tls_names"'
tests_fuzz_fuzz_tls_names_LDADD = libtls.a libnet.a $(LIBIPC) $(EVENT_LIBS) $(OPENSSL_LIBS)

# make bench-handshakes: with the key here and apart, ECDSA and RSA; then the memory of idle sessions.
EXTRA_PROGRAMS += tests/bench/handshakes
tests_bench_handshakes_SOURCES = tests/bench/handshakes.c tests/unit/tls/certificates.c tests/unit/tls/certificates.h
tests_bench_handshakes_CPPFLAGS = $(AM_CPPFLAGS) $(OPENSSL_CFLAGS)
tests_bench_handshakes_LDADD = libkeys.a libtls.a libnet.a $(LIBIPC) $(EVENT_LIBS) $(OPENSSL_LIBS)
CLEANFILES += tests/bench/handshakes
.PHONY: bench-handshakes
bench-handshakes: tests/bench/handshakes
	tests/bench/handshakes -k ecdsa -m here
	tests/bench/handshakes -k ecdsa -m apart
	tests/bench/handshakes -k rsa -m here
	tests/bench/handshakes -k rsa -m apart
	tests/bench/handshakes -i 1000
