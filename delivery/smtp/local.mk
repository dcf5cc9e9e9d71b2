# All but main: the tests link it too.
noinst_LIBRARIES += libdelivery.a
libdelivery_a_SOURCES = \
	delivery/smtp/agent.h \
	delivery/smtp/attempt.c delivery/smtp/attempt.h \
	delivery/smtp/command.c delivery/smtp/command.h \
	delivery/smtp/connection.c delivery/smtp/connection.h delivery/smtp/connection_inside.h \
	delivery/smtp/connection_auth.c delivery/smtp/connection_auth.h \
	delivery/smtp/connection_errors.c \
	delivery/smtp/connection_filter.c \
	delivery/smtp/connection_hello.c \
	delivery/smtp/connection_tls.c \
	delivery/smtp/content.c delivery/smtp/content.h \
	delivery/smtp/destination.c delivery/smtp/destination.h \
	delivery/smtp/generic.c delivery/smtp/generic.h \
	delivery/smtp/hello.c delivery/smtp/hello.h \
	delivery/smtp/hosts.c delivery/smtp/hosts.h \
	delivery/smtp/itinerary.c delivery/smtp/itinerary.h \
	delivery/smtp/job.c delivery/smtp/job.h delivery/smtp/job_filter.c delivery/smtp/job_report.c \
	delivery/smtp/login.c delivery/smtp/login.h \
	delivery/smtp/mime7bit.c delivery/smtp/mime7bit.h \
	delivery/smtp/mime_field.c delivery/smtp/mime_field.h \
	delivery/smtp/mx.c delivery/smtp/mx.h \
	delivery/smtp/out_checks.c delivery/smtp/out_checks.h \
	delivery/smtp/own.c delivery/smtp/own.h \
	delivery/smtp/quoted.c delivery/smtp/quoted.h \
	delivery/smtp/reply.c delivery/smtp/reply.h \
	delivery/smtp/route.c delivery/smtp/route.h \
	delivery/smtp/sasl_choice.c delivery/smtp/sasl_choice.h \
	delivery/smtp/sasl_family.c delivery/smtp/sasl_family.h \
	delivery/smtp/timeouts.c delivery/smtp/timeouts.h \
	delivery/smtp/tls_client.c delivery/smtp/tls_client.h \
	delivery/smtp/tls_family.c delivery/smtp/tls_family.h \
	delivery/smtp/tls_policy.c delivery/smtp/tls_policy.h \
	delivery/smtp/tls_policy_entry.c delivery/smtp/tls_policy_inside.h \
	delivery/smtp/tls_policy_find.c delivery/smtp/tls_policy_find.h \
	delivery/smtp/transaction.c delivery/smtp/transaction.h \
	delivery/smtp/transaction_reply.c delivery/smtp/transaction_state.h \
	delivery/smtp/transport_conf.c delivery/smtp/transport_conf.h \
	delivery/smtp/verdict.c delivery/smtp/verdict.h

DELIVERY_LIBS = libdelivery.a libsasl.a libtls.a $(IDN_LIBS) $(LIBSERVER) $(LIBNET) $(LIBDNS) $(LIBMAIL) $(EVENT_LIBS) $(SECCOMP_LIBS) $(IDN2_LIBS) $(OPENSSL_LIBS)

pkglibexec_PROGRAMS += delivery/smtp/delivery
delivery_smtp_delivery_SOURCES = delivery/smtp/main.c
delivery_smtp_delivery_LDADD = $(DELIVERY_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_smtp_reply tests/fuzz/fuzz_mime7bit
tests_fuzz_fuzz_smtp_reply_SOURCES = tests/fuzz/smtp_reply.c tests/fuzz/driver.c
tests_fuzz_fuzz_smtp_reply_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"smtp_reply"'
tests_fuzz_fuzz_smtp_reply_LDADD = $(DELIVERY_LIBS)
tests_fuzz_fuzz_mime7bit_SOURCES = tests/fuzz/mime7bit.c tests/fuzz/driver.c
tests_fuzz_fuzz_mime7bit_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"mime7bit"'
tests_fuzz_fuzz_mime7bit_LDADD = libdelivery.a $(LIBBASE)
EXTRA_DIST += \
	tests/fuzz/corpus/smtp_reply/ehlo tests/fuzz/corpus/smtp_reply/mixed \
	tests/fuzz/corpus/smtp_reply/odd tests/fuzz/corpus/smtp_reply/refused \
	tests/fuzz/corpus/mime7bit/bare tests/fuzz/corpus/mime7bit/multipart \
	tests/fuzz/corpus/mime7bit/nested tests/fuzz/corpus/mime7bit/signed

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/delivery/test_sasl_choice
tests_unit_delivery_test_sasl_choice_SOURCES = tests/unit/delivery/test_sasl_choice.c
tests_unit_delivery_test_sasl_choice_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_delivery_test_sasl_choice_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/delivery/test_client tests/unit/delivery/test_forms tests/unit/delivery/test_content
check_PROGRAMS += tests/unit/delivery/test_tls_policy tests/unit/delivery/test_tls_client
check_PROGRAMS += tests/unit/delivery/test_tls_reuse tests/unit/delivery/test_login
tests_unit_delivery_test_client_SOURCES = \
	tests/unit/delivery/test_client.c \
	tests/unit/delivery/peer.c tests/unit/delivery/peer.h \
	tests/unit/delivery/world.c tests/unit/delivery/world.h
tests_unit_delivery_test_client_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_delivery_test_client_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/delivery/test_client_hosts tests/unit/delivery/test_client_content
tests_unit_delivery_test_client_hosts_SOURCES = \
	tests/unit/delivery/test_client_hosts.c \
	tests/unit/delivery/peer.c tests/unit/delivery/peer.h \
	tests/unit/delivery/world.c tests/unit/delivery/world.h
tests_unit_delivery_test_client_hosts_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_delivery_test_client_hosts_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
tests_unit_delivery_test_client_content_SOURCES = \
	tests/unit/delivery/test_client_content.c \
	tests/unit/delivery/peer.c tests/unit/delivery/peer.h \
	tests/unit/delivery/world.c tests/unit/delivery/world.h
tests_unit_delivery_test_client_content_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_delivery_test_client_content_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
tests_unit_delivery_test_login_SOURCES = \
	tests/unit/delivery/test_login.c \
	tests/unit/delivery/peer.c tests/unit/delivery/peer.h \
	tests/unit/delivery/world.c tests/unit/delivery/world.h
tests_unit_delivery_test_login_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_delivery_test_login_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
tests_unit_delivery_test_forms_SOURCES = tests/unit/delivery/test_forms.c
tests_unit_delivery_test_forms_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_delivery_test_forms_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
tests_unit_delivery_test_tls_client_SOURCES = \
	tests/unit/delivery/test_tls_client.c \
	tests/unit/delivery/tls_fixture.c tests/unit/delivery/tls_fixture.h \
	tests/unit/delivery/peer.c tests/unit/delivery/peer.h \
	tests/unit/delivery/world.c tests/unit/delivery/world.h \
	tests/unit/tls/certificates.c tests/unit/tls/certificates.h
tests_unit_delivery_test_tls_client_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_delivery_test_tls_client_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
tests_unit_delivery_test_tls_reuse_SOURCES = \
	tests/unit/delivery/test_tls_reuse.c \
	tests/unit/delivery/tls_fixture.c tests/unit/delivery/tls_fixture.h \
	tests/unit/delivery/peer.c tests/unit/delivery/peer.h \
	tests/unit/delivery/world.c tests/unit/delivery/world.h \
	tests/unit/tls/certificates.c tests/unit/tls/certificates.h
tests_unit_delivery_test_tls_reuse_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) $(OPENSSL_CFLAGS)
tests_unit_delivery_test_tls_reuse_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
tests_unit_delivery_test_tls_policy_SOURCES = tests/unit/delivery/test_tls_policy.c
tests_unit_delivery_test_tls_policy_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_delivery_test_tls_policy_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
tests_unit_delivery_test_content_SOURCES = tests/unit/delivery/test_content.c
tests_unit_delivery_test_content_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_delivery_test_content_LDADD = $(DELIVERY_LIBS) $(CMOCKA_LIBS)
endif
