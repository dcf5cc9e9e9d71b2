noinst_LIBRARIES += libconf.a
libconf_a_SOURCES = \
	common/conf/access_actions.def \
	common/conf/back_end.c common/conf/back_end.h \
	common/conf/changed.c \
	common/conf/check_names.c \
	common/conf/check_restrictions.c common/conf/restrictions.def \
	common/conf/check_safety.c \
	common/conf/check_sections.c \
	common/conf/check_sasl.c \
	common/conf/check_tls.c \
	common/conf/check_values.c \
	common/conf/computed.c \
	common/conf/conf.c common/conf/conf.h common/conf/params.def common/conf/unsupported.def \
	common/conf/derive.c common/conf/derive.h \
	common/conf/expand.c common/conf/expand.h \
	common/conf/feedback.c common/conf/feedback.h \
	common/conf/list.c \
	common/conf/own_networks.c common/conf/own_networks.h \
	common/conf/list_file.c common/conf/list_file.h \
	common/conf/macro.c common/conf/macro.h \
	common/conf/param_parse.c \
	common/conf/pipe_settings.c common/conf/pipe_settings.h \
	common/conf/ports.c common/conf/ports.h \
	common/conf/report.c common/conf/report.h \
	common/conf/schema.c common/conf/schema.h \
	common/conf/source.c common/conf/source.h \
	common/conf/source_read.c \
	common/conf/table_settings.c common/conf/table_settings.h \
	common/conf/transports.c common/conf/transports.h \
	common/conf/values.c common/conf/values.h \
	common/net/address.c common/net/address.h

TESTS += tests/unit/conf/parameters_are_used.sh tests/unit/conf/section_names.sh
EXTRA_DIST += tests/unit/conf/parameters_are_used.sh tests/unit/conf/section_names.sh

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/conf/test_expand
tests_unit_conf_test_expand_SOURCES = tests/unit/conf/test_expand.c tests/unit/conf/postfix_names.def
tests_unit_conf_test_expand_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_conf_test_expand_LDADD = $(LIBCONF) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/conf/test_own_networks
tests_unit_conf_test_own_networks_SOURCES = tests/unit/conf/test_own_networks.c
tests_unit_conf_test_own_networks_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_conf_test_own_networks_LDADD = $(LIBCONF) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/conf/test_list_file
tests_unit_conf_test_list_file_SOURCES = tests/unit/conf/test_list_file.c
tests_unit_conf_test_list_file_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_conf_test_list_file_LDADD = $(LIBCONF) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/conf/test_file
tests_unit_conf_test_file_SOURCES = tests/unit/conf/test_file.c
tests_unit_conf_test_file_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_conf_test_file_LDADD = $(LIBCONF) $(CMOCKA_LIBS)
endif

check_PROGRAMS += tests/fuzz/fuzz_conf
tests_fuzz_fuzz_conf_SOURCES = tests/fuzz/conf.c tests/fuzz/driver.c
tests_fuzz_fuzz_conf_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"conf"'
tests_fuzz_fuzz_conf_LDADD = $(LIBCONF)
EXTRA_DIST += \
	tests/fuzz/corpus/conf/conditions \
	tests/fuzz/corpus/conf/damaged \
	tests/fuzz/corpus/conf/sections
