noinst_LIBRARIES += libmail.a
libmail_a_SOURCES = \
	common/mail/address.c common/mail/address.h \
	common/mail/casefold.c common/mail/casefold.h \
	common/mail/check_action.c common/mail/check_action.h \
	common/mail/content_checks.c common/mail/content_checks.h common/mail/content_checks_inside.h \
	common/mail/content_checks_settle.c \
	common/mail/content_strict.c common/mail/content_strict.h \
	common/mail/date.c common/mail/date.h \
	common/mail/delay.c common/mail/delay.h \
	common/mail/domain_form.c common/mail/domain_form.h \
	common/mail/drop_format.c common/mail/drop_format.h \
	common/mail/duplicates.c common/mail/duplicates.h \
	common/mail/filter_route.c common/mail/filter_route.h \
	common/mail/header.c common/mail/header.h \
	common/mail/header_rewrite.c common/mail/header_rewrite.h \
	common/mail/list.c \
	common/mail/literal.c \
	common/mail/local_part.h \
	common/mail/id_lines.c common/mail/id_lines.h \
	common/mail/member_name.c common/mail/member_name.h \
	common/mail/mime_walk.c common/mail/mime_walk.h \
	common/mail/mime_word.c common/mail/mime_word.h \
	common/mail/status_filter.c common/mail/status_filter.h \
	common/mail/outcome.c common/mail/outcome.h \
	common/mail/path.c \
	common/mail/queue_id.c common/mail/queue_id.h \
	common/mail/remembered.c common/mail/remembered.h \
	common/mail/transcript.c common/mail/transcript.h \
	common/mail/verp.c common/mail/verp.h \
	common/mail/way.c common/mail/way.h \
	common/mail/xtext.c common/mail/xtext.h

check_PROGRAMS += tests/fuzz/fuzz_content_checks
tests_fuzz_fuzz_content_checks_SOURCES = tests/fuzz/content_checks.c tests/fuzz/driver.c
tests_fuzz_fuzz_content_checks_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"content_checks"'
tests_fuzz_fuzz_content_checks_LDADD = $(LIBMAIL)
EXTRA_DIST += \
	tests/fuzz/corpus/content_checks/mixed tests/fuzz/corpus/content_checks/nested \
	tests/fuzz/corpus/content_checks/odd tests/fuzz/corpus/content_checks/too-deep \
	tests/fuzz/corpus/content_checks/line-of-the-limit
check_PROGRAMS += tests/fuzz/fuzz_address_path tests/fuzz/fuzz_address_list
tests_fuzz_fuzz_address_path_SOURCES = tests/fuzz/address_path.c tests/fuzz/driver.c
tests_fuzz_fuzz_address_path_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"address_path"'
tests_fuzz_fuzz_address_path_LDADD = $(LIBMAIL)
tests_fuzz_fuzz_address_list_SOURCES = tests/fuzz/address_list.c tests/fuzz/driver.c
tests_fuzz_fuzz_address_list_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"address_list"'
tests_fuzz_fuzz_address_list_LDADD = $(LIBMAIL)
EXTRA_DIST += \
	tests/fuzz/corpus/address_path/host-dot tests/fuzz/corpus/address_path/literal tests/fuzz/corpus/address_path/null \
	tests/fuzz/corpus/address_path/postmaster tests/fuzz/corpus/address_path/route \
	tests/fuzz/corpus/address_path/sloppy tests/fuzz/corpus/address_path/utf8 \
	tests/fuzz/corpus/address_list/local tests/fuzz/corpus/address_list/mixed \
	tests/fuzz/corpus/address_list/open

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/mail/test_checks
tests_unit_mail_test_checks_SOURCES = tests/unit/mail/test_checks.c
tests_unit_mail_test_checks_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_checks_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/mail/test_verp
tests_unit_mail_test_verp_SOURCES = tests/unit/mail/test_verp.c
tests_unit_mail_test_verp_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_verp_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/mail/test_address tests/unit/mail/test_forms tests/unit/mail/test_header tests/unit/mail/test_header_rewrite
tests_unit_mail_test_address_SOURCES = tests/unit/mail/test_address.c
tests_unit_mail_test_address_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_address_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
tests_unit_mail_test_forms_SOURCES = tests/unit/mail/test_forms.c
tests_unit_mail_test_forms_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_forms_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
tests_unit_mail_test_header_SOURCES = tests/unit/mail/test_header.c
tests_unit_mail_test_header_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_header_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
tests_unit_mail_test_header_rewrite_SOURCES = tests/unit/mail/test_header_rewrite.c
tests_unit_mail_test_header_rewrite_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_header_rewrite_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/mail/test_transcript
tests_unit_mail_test_transcript_SOURCES = tests/unit/mail/test_transcript.c
tests_unit_mail_test_transcript_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_transcript_LDADD = libmail.a libconf.a $(LIBMAIL) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/mail/test_way
tests_unit_mail_test_way_SOURCES = tests/unit/mail/test_way.c
tests_unit_mail_test_way_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_way_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/mail/test_strict
tests_unit_mail_test_strict_SOURCES = tests/unit/mail/test_strict.c
tests_unit_mail_test_strict_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_mail_test_strict_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
endif
