pkglibexec_PROGRAMS += services/pickup/pickup
services_pickup_pickup_SOURCES = \
	services/pickup/checking.c services/pickup/checking.h \
	services/pickup/content.c services/pickup/content.h \
	services/pickup/drop_dir.c services/pickup/drop_dir.h \
	services/pickup/drop_file.c services/pickup/drop_file.h \
	services/pickup/drop_socket.c services/pickup/drop_socket.h \
	services/pickup/held_notice.c services/pickup/held_notice.h \
	services/pickup/intake.c services/pickup/intake.h \
	services/pickup/line_facts.c services/pickup/line_facts.h \
	services/pickup/main.c \
	services/pickup/notice.c services/pickup/notice.h \
	services/pickup/notice_report.c services/pickup/notice_state.h \
	services/pickup/permission.c services/pickup/permission.h \
	services/pickup/pickup.h \
	services/pickup/report.c services/pickup/report.h services/pickup/unitext.c services/pickup/unitext.h \
	services/pickup/rewriting.c services/pickup/rewriting.h \
	services/pickup/session_notice.c services/pickup/session_notice.h \
	services/pickup/submission.c services/pickup/submission.h \
	services/pickup/template.c services/pickup/template.h services/pickup/template_expand.c
services_pickup_pickup_LDADD = $(LIBMAIL) $(LIBSERVER) $(EVENT_LIBS) $(SECCOMP_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_pickup_header tests/fuzz/fuzz_drop_file
tests_fuzz_fuzz_pickup_header_SOURCES = tests/fuzz/pickup_header.c tests/fuzz/driver.c \
	services/pickup/content.c services/pickup/line_facts.c
tests_fuzz_fuzz_pickup_header_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"pickup_header"'
tests_fuzz_fuzz_pickup_header_LDADD = $(LIBMAIL)
tests_fuzz_fuzz_drop_file_SOURCES = tests/fuzz/drop_file.c tests/fuzz/driver.c
tests_fuzz_fuzz_drop_file_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"drop_file"'
tests_fuzz_fuzz_drop_file_LDADD = $(LIBMAIL)
EXTRA_DIST += \
	tests/fuzz/corpus/drop_file/whole \
	tests/fuzz/corpus/pickup_header/fields tests/fuzz/corpus/pickup_header/resent \
	tests/fuzz/corpus/pickup_header/text

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/pickup/test_content tests/unit/pickup/test_drop_file tests/unit/pickup/test_report
tests_unit_pickup_test_content_SOURCES = tests/unit/pickup/test_content.c \
	services/pickup/content.c services/pickup/line_facts.c
tests_unit_pickup_test_content_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_pickup_test_content_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
tests_unit_pickup_test_drop_file_SOURCES = tests/unit/pickup/test_drop_file.c services/pickup/drop_file.c
tests_unit_pickup_test_drop_file_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_pickup_test_drop_file_LDADD = $(LIBMAIL) $(CMOCKA_LIBS)
tests_unit_pickup_test_report_SOURCES = tests/unit/pickup/test_report.c \
	services/pickup/report.c services/pickup/unitext.c services/pickup/template.c services/pickup/template_expand.c
tests_unit_pickup_test_report_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_pickup_test_report_LDADD = libmail.a $(LIBCONF) $(CMOCKA_LIBS)
endif
