SMTPD_SOURCES = \
	smtpd/access.c \
	smtpd/auth.c smtpd/auth.h \
	smtpd/auth_ask.c \
	smtpd/auth_dovecot.c smtpd/auth_dovecot.h \
	smtpd/auth_offer.c smtpd/auth_offer.h \
	smtpd/auth_scram.c smtpd/auth_scram.h \
	smtpd/auth_settings.c smtpd/auth_settings.h \
	smtpd/check_flow.c smtpd/check_flow.h \
	smtpd/cmd_auth.c \
	smtpd/cmd_bdat.c \
	smtpd/cmd_data.c \
	smtpd/cmd_helo.c \
	smtpd/cmd_mail.c \
	smtpd/cmd_misc.c \
	smtpd/cmd_rcpt.c \
	smtpd/cmd_starttls.c \
	smtpd/cmd_unknown.c \
	smtpd/command.c smtpd/command.h \
	smtpd/content.c smtpd/content.h \
	smtpd/content_flow.c smtpd/content_flow.h \
	smtpd/content_header.c smtpd/content_header.h \
	smtpd/envelope_change.c smtpd/envelope_change.h smtpd/header_flow.c smtpd/header_flow.h \
	smtpd/limits.c smtpd/limits.h \
	smtpd/listener.c smtpd/listener.h \
	smtpd/local_client.c smtpd/local_client.h \
	smtpd/parameters.c smtpd/parameters.h \
	smtpd/peername.c smtpd/peername.h \
	smtpd/received.c smtpd/received.h \
	smtpd/reply.c smtpd/reply.h \
	smtpd/resolution.c smtpd/resolution.h \
	smtpd/restriction.c smtpd/restriction.h \
	smtpd/restriction_list.c \
	smtpd/rules.c \
	smtpd/rules_asking.c \
	smtpd/rules_login.c \
	smtpd/rules_tls.c \
	smtpd/sender_field.c smtpd/sender_field.h \
	smtpd/session.c smtpd/session.h \
	smtpd/session_errors.c smtpd/session_errors.h \
	smtpd/session_input.c smtpd/session_input.h \
	smtpd/settings.c smtpd/settings.h \
	smtpd/smtpd.c smtpd/smtpd.h \
	smtpd/submission.c smtpd/submission.h \
	smtpd/tls.c smtpd/tls.h \
	smtpd/tls_level.c smtpd/tls_level.h \
	smtpd/tls_authorities.c smtpd/tls_authorities.h \
	smtpd/tls_listener.c smtpd/tls_listener.h \
	smtpd/tls_received.c \
	smtpd/transaction.c smtpd/transaction.h \
	smtpd/user_limits.c smtpd/user_limits.h

noinst_LIBRARIES += libsmtpd.a
libsmtpd_a_SOURCES = $(SMTPD_SOURCES)
LIBSMTPD = libsmtpd.a libsasl.a libtls.a libnet.a libmail.a libdns.a libconf.a libipc.a $(LIBBASE) $(IDN_LIBS) $(OPENSSL_LIBS)

pkglibexec_PROGRAMS += smtpd/smtpd
smtpd_smtpd_SOURCES = smtpd/main.c
smtpd_smtpd_LDADD = libsmtpd.a libsasl.a libtls.a libnet.a libmail.a libdns.a $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(IDN_LIBS) $(OPENSSL_LIBS)

FAKES = \
	tests/unit/smtpd/fakes.c tests/unit/smtpd/fakes.h \
	tests/unit/smtpd/fake_answers.c tests/unit/smtpd/fake_answers.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/smtpd/test_auth
tests_unit_smtpd_test_auth_SOURCES = tests/unit/smtpd/test_auth.c $(FAKES)
tests_unit_smtpd_test_auth_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_smtpd_test_auth_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/smtpd/test_submitted
tests_unit_smtpd_test_submitted_SOURCES = tests/unit/smtpd/test_submitted.c $(FAKES)
tests_unit_smtpd_test_submitted_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_smtpd_test_submitted_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/smtpd/test_content tests/unit/smtpd/test_dialogues tests/unit/smtpd/test_sessions tests/unit/smtpd/test_model
tests_unit_smtpd_test_content_SOURCES = tests/unit/smtpd/test_content.c
tests_unit_smtpd_test_content_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_smtpd_test_content_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(CMOCKA_LIBS)
tests_unit_smtpd_test_model_SOURCES = tests/unit/smtpd/test_model.c $(FAKES)
tests_unit_smtpd_test_model_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_smtpd_test_model_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/smtpd/test_groups
tests_unit_smtpd_test_groups_SOURCES = tests/unit/smtpd/test_groups.c $(FAKES)
tests_unit_smtpd_test_groups_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_smtpd_test_groups_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(CMOCKA_LIBS)
tests_unit_smtpd_test_dialogues_SOURCES = tests/unit/smtpd/test_dialogues.c $(FAKES)
tests_unit_smtpd_test_dialogues_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_smtpd_test_dialogues_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(CMOCKA_LIBS)

tests_unit_smtpd_test_sessions_SOURCES = tests/unit/smtpd/test_sessions.c $(FAKES)
tests_unit_smtpd_test_sessions_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_smtpd_test_sessions_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS) $(CMOCKA_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_smtpd_command tests/fuzz/fuzz_smtpd_session
tests_fuzz_fuzz_smtpd_command_SOURCES = tests/fuzz/smtpd_command.c tests/fuzz/driver.c
tests_fuzz_fuzz_smtpd_command_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"smtpd_command"'
tests_fuzz_fuzz_smtpd_command_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS)
tests_fuzz_fuzz_smtpd_session_SOURCES = tests/fuzz/smtpd_session.c tests/fuzz/driver.c $(FAKES)
tests_fuzz_fuzz_smtpd_session_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"smtpd_session"'
tests_fuzz_fuzz_smtpd_session_LDADD = $(LIBSMTPD) $(EVENT_LIBS) $(IDN2_LIBS) $(UNISTRING_LIBS)
