noinst_LIBRARIES += liblocal.a
liblocal_a_SOURCES = \
	delivery/local/alias_value.c delivery/local/alias_value.h \
	delivery/local/command_result.c delivery/local/command.h \
	delivery/local/dotlock.c \
	delivery/local/letter.c delivery/local/letter.h \
	delivery/local/list_file.c delivery/local/list_file.h \
	delivery/local/mailbox.c delivery/local/mailbox.h \
	delivery/local/maildir.c \
	delivery/local/mbox.c \
	delivery/local/pipe_argv.c delivery/local/pipe_argv.h \
	delivery/local/sync_many.c delivery/local/sync_many.h \
	delivery/local/target.c delivery/local/target.h
LOCAL_LIBS = liblocal.a $(LIBMAIL) $(LIBSERVER)

pkglibexec_PROGRAMS += delivery/local/local
delivery_local_local_SOURCES = \
	delivery/local/command.c \
	delivery/local/command_exec.c delivery/local/command_exec.h \
	delivery/local/deed.c \
	delivery/local/expand.c delivery/local/expand.h delivery/local/expansion.h \
	delivery/local/expand_ask.c \
	delivery/local/expand_source.c \
	delivery/local/helper.c delivery/local/helper.h \
	delivery/local/job.c delivery/local/job.h \
	delivery/local/jobs_in.c \
	delivery/local/job_filter.c \
	delivery/local/letters_in.c delivery/local/letters_in.h \
	delivery/local/lists.c delivery/local/lists.h \
	delivery/local/local.h \
	delivery/local/main.c \
	delivery/local/member.c \
	delivery/local/pipe.c \
	delivery/local/recall.c delivery/local/recall.h \
	delivery/local/pool.c delivery/local/pool.h \
	delivery/local/recipient.c \
	delivery/local/spawn.c delivery/local/spawn.h \
	delivery/local/surroundings.c delivery/local/surroundings.h \
	delivery/local/user.c \
	delivery/local/virtual.c \
	delivery/local/writer.c delivery/local/writer.h \
	delivery/local/writers.c delivery/local/writers.h
delivery_local_local_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(SECCOMP_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_alias_value
tests_fuzz_fuzz_alias_value_SOURCES = tests/fuzz/alias_value.c tests/fuzz/driver.c
tests_fuzz_fuzz_alias_value_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"alias_value"'
tests_fuzz_fuzz_alias_value_LDADD = liblocal.a $(LIBMAIL) $(LIBSERVER)
EXTRA_DIST += tests/fuzz/corpus/alias_value

check_PROGRAMS += tests/fuzz/fuzz_letter
tests_fuzz_fuzz_letter_SOURCES = tests/fuzz/letter.c tests/fuzz/driver.c
tests_fuzz_fuzz_letter_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"letter"'
tests_fuzz_fuzz_letter_LDADD = liblocal.a $(LIBMAIL)
EXTRA_DIST += tests/fuzz/corpus/letter

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/local/test_commands tests/unit/local/test_mailbox tests/unit/local/test_names \
	tests/unit/local/test_list_file tests/unit/local/test_virtual tests/unit/local/test_writers
tests_unit_local_test_commands_SOURCES = tests/unit/local/test_commands.c
tests_unit_local_test_commands_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_local_test_commands_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(SECCOMP_LIBS) $(CMOCKA_LIBS)
tests_unit_local_test_mailbox_SOURCES = tests/unit/local/test_mailbox.c
tests_unit_local_test_mailbox_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_local_test_mailbox_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(SECCOMP_LIBS) $(CMOCKA_LIBS)
tests_unit_local_test_names_SOURCES = tests/unit/local/test_names.c
tests_unit_local_test_names_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_local_test_names_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(SECCOMP_LIBS) $(CMOCKA_LIBS)
tests_unit_local_test_list_file_SOURCES = tests/unit/local/test_list_file.c
tests_unit_local_test_list_file_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_local_test_list_file_LDADD = $(LOCAL_LIBS) $(CMOCKA_LIBS)
tests_unit_local_test_virtual_SOURCES = tests/unit/local/test_virtual.c delivery/local/virtual.c
tests_unit_local_test_virtual_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_local_test_virtual_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(CMOCKA_LIBS)
tests_unit_local_test_writers_SOURCES = tests/unit/local/test_writers.c \
	delivery/local/pool.c delivery/local/spawn.c delivery/local/writers.c
tests_unit_local_test_writers_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_local_test_writers_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(CMOCKA_LIBS)
endif
