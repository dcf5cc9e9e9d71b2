noinst_LIBRARIES += libqueue.a
libqueue_a_SOURCES = \
	queue/attempts.c queue/attempts.h queue/content.c queue/mailbox.c queue/mailbox.h queue/message.c queue/message.h queue/message_edit.c queue/message_set.c queue/notify.c queue/notify_held.c queue/notify_session.c queue/notify_told.c \
	queue/outcome.c queue/queue.h queue/spool.c queue/spool_clock.c queue/spool_clock.h \
	queue/submission.c queue/submission.h queue/submission_alias.c queue/submission_verp.c queue/submission_fate.c queue/submission_file.c queue/submission_id.c queue/submission_record.c queue/submission_table.c queue/submission_commit.c queue/submission_take.c queue/file_trouble.c queue/trouble.c queue/trouble.h \
	queue/worker.c queue/worker.h \
	queue/filter.c queue/filter.h queue/control/act.c queue/control/control.c queue/control/control.h \
	queue/control/edit.c queue/control/explain.c queue/control/groups.c queue/control/groups.h queue/control/later.c \
	queue/control/later.h queue/control/recorded.c queue/control/recorded.h queue/control/row.c queue/control/show.c \
	queue/control/tally.c queue/control/tally.h queue/control/trace.c \
	queue/control/trace.h queue/control/export.c queue/control/import.c queue/control/transit.c \
	queue/control/transit.h queue/control/users.c queue/control/walk.c queue/control/walk.h \
	queue/index/apply.c queue/index/cards.c queue/index/cards.h queue/index/check.c queue/index/check.h queue/index/compact.c queue/index/compact.h queue/index/derive.c queue/index/derive.h queue/index/dictionary.c \
	queue/index/dictionary.h queue/index/durable.c queue/index/durable.h queue/index/images.c queue/index/images.h queue/index/index.c queue/index/index.h queue/index/index_db.h \
	queue/index/keys.c queue/index/keys.h queue/index/mask.c queue/index/mask.h \
	queue/index/number_map.c queue/index/number_map.h queue/index/query.c queue/index/query.h \
	queue/index/read.c queue/index/rows.c queue/index/rows.h queue/index/summary.c queue/index/summary.h queue/index/sweep.c \
	queue/index/sweep.h queue/index/room.c queue/index/room.h queue/index/tidy.c queue/index/tidy.h queue/index/young.c queue/index/young.h queue/index/zones.c queue/index/zones.h \
	queue/log/changes.c queue/log/changes.h queue/log/damage.c queue/log/damage.h queue/log/disk.c \
	queue/log/disk.h queue/log/journal.c queue/log/journal.h queue/log/log_open.c \
	queue/log/commit_group.c queue/log/commit_group.h queue/log/log_writer.c queue/log/log_writer.h queue/log/record.c queue/log/record.h \
	queue/log/records.def queue/log/reclaim.c queue/log/orphans.c queue/log/orphans.h queue/log/recovery.c queue/log/recovery.h \
	queue/log/recovery_count.c queue/log/recovery_index.c queue/log/recovery_step.h queue/log/replay.c \
	queue/log/replay.h queue/log/scan.c queue/log/scan.h queue/log/strays.c queue/log/strays.h queue/log/segment.c queue/log/segment.h \
	queue/log/space.c queue/log/space.h \
	queue/scheduler/expansion.c queue/scheduler/expansion.h queue/scheduler/fetch.c queue/scheduler/hop.c queue/scheduler/hop.h queue/scheduler/job.c \
	queue/scheduler/job.h queue/scheduler/job_state.c \
	queue/scheduler/kept.c queue/scheduler/kept.h queue/scheduler/outside.c queue/scheduler/outside.h \
	queue/scheduler/route.c queue/scheduler/scheduler.c queue/scheduler/tasks.c \
	queue/scheduler/transport.c queue/scheduler/transport.h queue/scheduler/wake.c \
	queue/scheduler/window.c queue/scheduler/window.h \
	queue/scheduler/workers.c queue/scheduler/workers.h

pkglibexec_PROGRAMS += queue/queue queue/care/care
queue_care_care_SOURCES = \
	queue/care/backup.c queue/care/care.c queue/care/care.h queue/care/drops.c queue/care/main.c queue/care/verify.c \
	services/pickup/drop_file.c services/pickup/drop_file.h
queue_care_care_LDADD = libqueue.a $(LIBSERVER) $(LIBMAIL) $(EVENT_LIBS) $(SECCOMP_LIBS) $(DB_LIBS)
queue_queue_SOURCES = queue/main.c
queue_queue_LDADD = libqueue.a $(LIBSERVER) $(LIBMAIL) $(EVENT_LIBS) $(SECCOMP_LIBS) $(DB_LIBS)

noinst_PROGRAMS += tests/bench/make_spool
tests_bench_make_spool_SOURCES = tests/bench/make_spool.c
tests_bench_make_spool_LDADD = libqueue.a $(LIBMAIL)

QUEUE_TEST_LIBS = libqueue.a libconf.a $(LIBIPC) $(LIBMAIL) $(EVENT_LIBS) $(DB_LIBS)

check_PROGRAMS += tests/fuzz/fuzz_spool_record
tests_fuzz_fuzz_spool_record_SOURCES = tests/fuzz/spool_record.c tests/fuzz/driver.c
tests_fuzz_fuzz_spool_record_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"spool_record"'
tests_fuzz_fuzz_spool_record_LDADD = libqueue.a $(LIBMAIL) $(EVENT_LIBS) $(DB_LIBS)
EXTRA_DIST += tests/fuzz/corpus/spool_record

check_PROGRAMS += tests/fuzz/fuzz_index_row
tests_fuzz_fuzz_index_row_SOURCES = tests/fuzz/index_row.c tests/fuzz/driver.c
tests_fuzz_fuzz_index_row_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"index_row"'
tests_fuzz_fuzz_index_row_LDADD = libqueue.a $(LIBMAIL)
EXTRA_DIST += tests/fuzz/corpus/index_row

check_PROGRAMS += tests/fuzz/fuzz_transit
tests_fuzz_fuzz_transit_SOURCES = tests/fuzz/transit.c tests/fuzz/driver.c
tests_fuzz_fuzz_transit_CPPFLAGS = $(AM_CPPFLAGS) -DFUZZ_NAME='"transit"'
tests_fuzz_fuzz_transit_LDADD = libqueue.a $(LIBMAIL) $(EVENT_LIBS) $(DB_LIBS)
EXTRA_DIST += tests/fuzz/corpus/transit

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/queue/test_transit
tests_unit_queue_test_transit_SOURCES = tests/unit/queue/test_transit.c
tests_unit_queue_test_transit_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_transit_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/queue/test_attempts tests/unit/queue/test_record tests/unit/queue/test_spool
check_PROGRAMS += tests/unit/queue/test_scheduler tests/unit/queue/test_window tests/unit/queue/test_index tests/unit/queue/test_rows tests/unit/queue/test_zones
tests_unit_queue_test_zones_SOURCES = tests/unit/queue/test_zones.c
tests_unit_queue_test_zones_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_zones_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_queue_test_index_SOURCES = tests/unit/queue/test_index.c tests/unit/queue/index_model.c tests/unit/queue/index_model.h
tests_unit_queue_test_index_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_index_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_queue_test_rows_SOURCES = tests/unit/queue/test_rows.c
tests_unit_queue_test_rows_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_rows_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_queue_test_attempts_SOURCES = tests/unit/queue/test_attempts.c
tests_unit_queue_test_attempts_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_attempts_LDADD = libqueue.a $(LIBBASE) $(CMOCKA_LIBS)
tests_unit_queue_test_record_SOURCES = tests/unit/queue/test_record.c
tests_unit_queue_test_record_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_record_LDADD = libqueue.a $(LIBBASE) $(CMOCKA_LIBS)
tests_unit_queue_test_scheduler_SOURCES = \
	tests/unit/queue/test_scheduler.c tests/unit/queue/places.c tests/unit/queue/places.h \
	tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_scheduler_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_scheduler_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_queue_test_window_SOURCES = tests/unit/queue/test_window.c
tests_unit_queue_test_window_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_window_LDADD = libqueue.a $(LIBCONF) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/queue/test_checkpoint
tests_unit_queue_test_checkpoint_SOURCES = \
	tests/unit/queue/test_checkpoint.c tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_checkpoint_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_checkpoint_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_queue_test_checkpoint_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=index_apply

check_PROGRAMS += tests/unit/queue/test_recovery
tests_unit_queue_test_recovery_SOURCES = \
	tests/unit/queue/test_recovery.c tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_recovery_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_recovery_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/queue/test_control
tests_unit_queue_test_control_SOURCES = \
	tests/unit/queue/test_control.c tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_control_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_control_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/queue/test_changes
tests_unit_queue_test_changes_SOURCES = tests/unit/queue/test_changes.c
tests_unit_queue_test_changes_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_changes_LDADD = libqueue.a $(LIBBASE) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/queue/test_commit_group
tests_unit_queue_test_commit_group_SOURCES = tests/unit/queue/test_commit_group.c
tests_unit_queue_test_commit_group_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_commit_group_LDADD = libqueue.a $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/queue/test_message_file
tests_unit_queue_test_message_file_SOURCES = \
	tests/unit/queue/test_message_file.c tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_message_file_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_message_file_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/queue/test_scan
tests_unit_queue_test_scan_SOURCES = tests/unit/queue/test_scan.c
tests_unit_queue_test_scan_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_scan_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/queue/test_submission_id
tests_unit_queue_test_submission_id_SOURCES = \
	tests/unit/queue/test_submission_id.c tests/unit/queue/spool_case.c tests/unit/queue/spool_case.h \
	tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_submission_id_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_submission_id_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/queue/test_lists
tests_unit_queue_test_lists_SOURCES = \
	tests/unit/queue/test_lists.c tests/unit/queue/spool_case.c tests/unit/queue/spool_case.h \
	tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_lists_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_lists_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)

check_PROGRAMS += tests/unit/queue/test_space
tests_unit_queue_test_space_SOURCES = \
	tests/unit/queue/test_space.c tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_space_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_space_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
tests_unit_queue_test_spool_SOURCES = \
	tests/unit/queue/test_spool.c tests/unit/queue/spool_case.c tests/unit/queue/spool_case.h tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_spool_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_spool_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
check_PROGRAMS += tests/unit/queue/test_spool_damage
tests_unit_queue_test_spool_damage_SOURCES = \
	tests/unit/queue/test_spool_damage.c tests/unit/queue/spool_case.c tests/unit/queue/spool_case.h tests/unit/queue/world.c tests/unit/queue/world.h
tests_unit_queue_test_spool_damage_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue_test_spool_damage_LDADD = $(QUEUE_TEST_LIBS) $(CMOCKA_LIBS)
endif
