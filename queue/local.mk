noinst_LIBRARIES += libqueue.a
libqueue_a_SOURCES = \
	queue/content.c queue/control.c queue/control.h queue/control_act.c queue/control_filter.c queue/control_row.c \
	queue/control_show.c queue/control_stats.c queue/control_walk.c queue/disk.c queue/disk.h queue/fetch.c queue/hop.c queue/hop.h \
	queue/index.c queue/index.h queue/index_keys.c queue/index_keys.h queue/job.c queue/journal.c \
	queue/log_writer.c queue/log_writer.h queue/mailbox.c queue/mailbox.h queue/message.c queue/message.h \
	queue/notify.c queue/outcome.c queue/queue.h queue/record.c queue/record.h queue/records.def queue/replay.c \
	queue/route.c queue/scheduler.c queue/segment.c queue/segment.h queue/space.c queue/spool.c queue/spool_clock.c \
	queue/spool_clock.h queue/submission.c queue/submission.h queue/submission_file.c queue/trace.c queue/trace.h queue/worker.c queue/worker.h \
	queue/young.c

pkglibexec_PROGRAMS += queue/queue
queue_queue_SOURCES = queue/main.c
queue_queue_LDADD = libqueue.a $(LIBSERVER) $(LIBMAIL) $(EVENT_LIBS) $(SECCOMP_LIBS) $(DB_LIBS)

QUEUE_TEST_LIBS = libqueue.a libconf.a $(LIBIPC) $(LIBMAIL) $(EVENT_LIBS) $(DB_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_spool_record
tests_fuzz_fuzz_spool_record_SOURCES = tests/fuzz/spool_record.c tests/fuzz/driver.c
tests_fuzz_fuzz_spool_record_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"spool_record"'
tests_fuzz_fuzz_spool_record_LDADD = libqueue.a $(LIBBASE)
EXTRA_DIST += tests/fuzz/corpus/spool_record

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/queue/test_record tests/unit/queue/test_spool
tests_unit_queue_test_record_SOURCES = tests/unit/queue/test_record.c
tests_unit_queue_test_record_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_record_LDADD = libqueue.a $(LIBBASE) $(CMOCKA_LIBS)
tests_unit_queue_test_spool_SOURCES = \
	tests/unit/queue/test_spool.c tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_spool_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_spool_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
endif
