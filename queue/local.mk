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
