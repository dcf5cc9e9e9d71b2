noinst_LIBRARIES += liblocal.a
liblocal_a_SOURCES = \
	delivery/local/alias_value.c delivery/local/alias_value.h \
	delivery/local/dotlock.c \
	delivery/local/letter.c delivery/local/letter.h \
	delivery/local/mailbox.c delivery/local/mailbox.h \
	delivery/local/maildir.c \
	delivery/local/mbox.c \
	delivery/local/target.c delivery/local/target.h
LOCAL_LIBS = liblocal.a $(LIBMAIL) $(LIBSERVER)

pkglibexec_PROGRAMS += delivery/local/local
delivery_local_local_SOURCES = \
	delivery/local/expand.c delivery/local/expand.h \
	delivery/local/job.c \
	delivery/local/local.h \
	delivery/local/main.c \
	delivery/local/recipient.c \
	delivery/local/spawn.c delivery/local/spawn.h \
	delivery/local/writer.c delivery/local/writer.h \
	delivery/local/writers.c delivery/local/writers.h
delivery_local_local_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(SECCOMP_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_letter
tests_fuzz_fuzz_letter_SOURCES = tests/fuzz/letter.c tests/fuzz/driver.c
tests_fuzz_fuzz_letter_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"letter"'
tests_fuzz_fuzz_letter_LDADD = liblocal.a $(LIBMAIL)
EXTRA_DIST += tests/fuzz/corpus/letter

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/local/test_mailbox tests/unit/local/test_names
tests_unit_local_test_mailbox_SOURCES = tests/unit/local/test_mailbox.c
tests_unit_local_test_mailbox_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_local_test_mailbox_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(SECCOMP_LIBS) $(CMOCKA_LIBS)
tests_unit_local_test_names_SOURCES = tests/unit/local/test_names.c
tests_unit_local_test_names_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_local_test_names_LDADD = $(LOCAL_LIBS) $(EVENT_LIBS) $(SECCOMP_LIBS) $(CMOCKA_LIBS)
endif
