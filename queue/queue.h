/*
 * queue: what the parts of the program share. The loop owns all of it; what threads own is behind their mailboxes.
 */
#ifndef POSTERN_QUEUE_QUEUE_H
#define POSTERN_QUEUE_QUEUE_H

#include <event2/event.h>

#include "common/base/log.h"
#include "common/base/table.h"
#include "common/mail/queue_id.h"
#include "common/server/server.h"
#include "queue/index/index.h"
#include "queue/log/log_writer.h"
#include "queue/message.h"
#include "queue/trouble.h"
#include "queue/worker.h"

struct control_listener;
struct hop;
struct listing;
struct scheduler;
struct strays;
struct submission;

TAILQ_HEAD(hop_list, hop);

/* A segment that holds, or may hold, something. Oldest first. */
struct segment_info {
	struct segment s;
	uint64_t end; /* log position behind its last record */
	uint64_t live_bytes;
	uint32_t messages; /* live ones whose content record lies in it */
	bool sealed;
	bool gone; /* its file was deleted: what lives in it is moved, and lost if queue ends before that */
};

struct queue {
	struct server *server;
	struct event_base *base;
	const struct conf_values *conf; /* the present configuration's */
	bool failing; /* server_fail() was called */
	bool alone; /* the instance is stopped, a command works with its queue; nothing is sent */
	bool alone_long; /* for an import: its segments are as long as ever */

	/* Messages in memory. */
	struct message_set live;
	struct message_list unreflected; /* by position of their oldest record that the index lacks */
	struct message_list unrecorded; /* with outcomes that the log lacks */
	struct message_list contents; /* with content in memory, oldest first */
	uint64_t content_bytes;

	/* The log. */
	int segments_dir, files_dir, damaged_dir;
	struct log_writer writer;
	struct event *writer_event, *kick_event;
	struct work_list pending; /* records for the writer at the end of this turn */
	bool kicked;
	uint64_t durable; /* log position up to which all is durable */
	struct segment_info *segments;
	size_t segment_count;
	struct segment free_slots[16];
	size_t free_slot_count;
	unsigned next_slot;
	uint64_t segment_size;
	uint64_t id_high, id_high_at_start;
	int64_t wall_high_us; /* the latest that the clock has shown */
	bool spare_wanted, spare_coming;
	bool spare_begins; /* whether one can be made at all will be known in a moment */
	bool reserve_given; /* the writer has the slot that is kept back */
	unsigned reserve_slot;
	char no_spare[200]; /* why there is none; "": there is */
	bool read_only; /* the file system */
	bool probing; /* whether message files can be written again */
	bool files_hang; /* the helper gets no answer from the disk */
	bool stalled; /* the disk does not end what it was asked for: TROUBLE_LOG says so */
	struct trouble_state trouble[TROUBLE_COUNT];
	int64_t begun_us; /* monotonic: when the newest segment was begun */
	bool freeing; /* the oldest segment is being freed or emptied */
	bool free_failed; /* it could not be: it is tried again each second */
	unsigned moving; /* messages being moved out of it */
	uint64_t unmovable; /* was told of last */
	unsigned damages; /* set aside, as far as is known */
	unsigned deleted; /* segments, under the running queue */
	unsigned gone; /* messages whose content went with a segment of the log, found at the start */
	struct strays *strays; /* NULL: none are being made whole */
	char *notice; /* what master was told */
	struct queue_id_giver giver;

	/* The index. */
	struct index *index; /* the indexer's, once it runs */
	struct worker indexer, helper, reader;
	struct event *indexer_event, *helper_event, *reader_event;
	struct recovery *recovery; /* NULL: the index is up to date */
	bool storing;
	bool tidying;
	int64_t store_after_us; /* monotonic: the index had no space */
	uint64_t *to_index; /* ids that want to be stored soon */
	size_t to_index_count, to_index_cap;

	/* The scheduler. */
	struct scheduler *scheduler; /* hop.h */
	struct event *tick_event;
	unsigned active_jobs;
	uint64_t route_generation;

	/* Submissions. */
	uint64_t submission_bytes;
	unsigned submissions;

	/* Control. */
	struct control_listener *control;

	/* Notices of conversations with errors. */
	LIST_HEAD(session_notice_list, session_notice) session_notices; /* pickup has not taken them yet */
	unsigned session_notice_count, session_notices_left_out;
	int64_t session_notice_us; /* monotonic: up to when those that were sent use up what is allowed */
};

extern const struct log queue_log; /* ident qmgr */

/* A log line about a message: "QID: text", as qmgr. */
#define QUEUE_LOG(id) (&(struct log){"qmgr", queue_id_format((id), (char[QUEUE_ID_SIZE]){0})})

/* ---- spool.c ---- */

/* Opens the spool in the working directory, replays it, starts the threads; ends with a commit that succeeded. */
int spool_start(struct queue *q, struct error *err);

/* Ends the threads and frees everything, for tests: a process that ends need not. */
void spool_stop(struct queue *q);

/* Nothing is in flight. */
bool spool_is_idle(struct queue *q);

/* ---- content.c: content in memory, in the log, in files ---- */

/* done(q, m, fd, context): content is in m->content, or fd is the message's file (to be closed by done), or neither:
 * it cannot be read (err). */
typedef void content_done(struct queue *q, struct message *m, int fd, void *context, const char *error);
void content_get(struct queue *q, struct message *m, content_done *done, void *context);

/* The first octets of it, at most so many, wherever it is; less only where its file is shorter. Borrowed until done returns. */
typedef void content_first_done(
    struct queue *q, struct message *m, struct span content, void *context, const char *error);
void content_first(
    struct queue *q, struct message *m, uint64_t most, content_first_done *done, void *context);
void content_keep(struct queue *q, struct message *m);
void content_forget(struct queue *q, struct message *m);
void content_tried(struct queue *q, struct message *m);
void content_trim(struct queue *q);
void content_remove_file(struct queue *q, uint64_t id);
void content_file_name(uint64_t id, char name[32]);

/* ---- scheduler.c ---- */

int scheduler_init(struct queue *q, struct error *err);
void scheduler_fini(struct queue *q);
void scheduler_configured(struct queue *q);

/* Recipients of m that are due now go to their hops; for the others the hop's wake is set. */
void scheduler_add(struct queue *q, struct message *m, bool flush);
void scheduler_add_one(struct queue *q, struct message *m, struct recipient *r, bool flush);
void scheduler_run_soon(struct queue *q);

/*
 * The index has message id for that hop at that time; of the second, something at that time and nothing before. False: there is
 * no place for the hop now; it will be found.
 */
bool scheduler_note_due(
    struct queue *q, struct span transport, struct span nexthop, int64_t due_spool_us, uint64_t id);
bool scheduler_note_hop(struct queue *q, struct span key, int64_t due_spool_us);

/* m leaves all hops in which it waits (held, deleted). */
void scheduler_take_out(struct queue *q, struct message *m);

/* Every hop is tried at once, whatever was learnt before. */
void scheduler_flush(struct queue *q);

/* defer_transports: somebody asks for r, which was made due just now. */
void scheduler_ask_for(struct queue *q, const struct recipient *r);
void scheduler_tick(struct queue *q);
void scheduler_worker_up(struct queue *q);
int64_t scheduler_backoff_us(const struct queue *q, uint32_t attempt);

/* ---- outcome.c ---- */

/* One attempt's result for one recipient. Texts are copied. */
struct outcome {
	enum outcome_class class;
	unsigned flags;
	struct span status, relay, text, remote_mta, diagnostic;
	struct span tried; /* attempts.h */
};

/* With soft_bounce what is final is for now. code: for o->status, lives as long as *o. */
void outcome_soften(const struct queue *q, struct outcome *o, char code[12]);

void outcome_set(struct queue *q, struct message *m, struct recipient *r, const struct outcome *o);

/* After a job or report: DSNs that are due, removal if all is done. */
void outcome_settle(struct queue *q, struct message *m);

/* Whether it is in notify_classes. */
bool outcome_has_class(const struct queue *q, const char *wanted);
int64_t outcome_lifetime_us(const struct queue *q, const struct message *m);

/* A "to=" line for what queue itself decides, as Postfix's error(8) does. */
void outcome_log(const struct message *m, const struct recipient *r, const struct outcome *o);

/* ---- notify.c ---- */

void notify_settle(struct queue *q, struct message *m);

/* A report is expected under that id, about message 'about'. What nobody waits for any more is not taken. */
bool notify_awaits(const struct queue *q, uint64_t about, uint64_t id);

/* It is durable. */
void notify_reported(struct queue *q, uint64_t about, uint64_t id);

/* Those whom the report with that id tells of are done with, or have been warned. Nothing where they were before. */
void notify_finish(struct queue *q, struct message *m, uint64_t id);

/* pickup is there: what waited to be asked of it again need not wait out its time; nor has the mail on hold been told of. */
void notify_pickup_up(struct queue *q);

/* Frees what is under way, for spool_stop(). */
void notify_stop(struct queue *q);

/* ---- notify_told.c ---- */

/* Before m is handed out, if it is a report from before the start. False: scheduler_add() follows when that is done. */
bool notify_told_first(struct queue *q, struct message *m, bool flush);

/* ---- notify_held.c ---- */

void notify_held(struct queue *q, struct message *m);

/* The log told of a message whose notice or report was not made yet, or that was not recorded; the index has it now. */
void notify_found(struct queue *q, uint64_t id);

/* ---- notify_session.c ---- */

ipc_handler notify_session;
void notify_session_stop(struct queue *q);

/* ---- route.c ---- */

/* The generation of a route that was chosen for good, whatever tables will say. */
#define ROUTE_STAYS UINT64_MAX

/* To be asked for again before it is used. */
bool route_is_old(const struct queue *q, const struct recipient *r);
void route_refresh(struct queue *q, struct message *m, struct recipient *r, bool flush);
ipc_handler route_changed;

/* ---- submission.c ---- */

ipc_handler submission_open, submission_rcpt, submission_reset, submission_data, submission_close,
    submission_abort;
void submission_peer_down(struct queue *q, struct ipc_channel *peer);

/*
 * Nothing can be written, or no message files: who has waited for some seconds is told so. Whether the record is on the disk is not known, so if it
 * becomes durable after all it is removed; at worst, the process dying before that, the mail comes twice.
 */
void submission_give_up(struct queue *q);

/* ---- file_trouble.c ---- */

/* For a file of so many octets; where there is none that is logged, or told if no message could have one. */
bool file_trouble_has_room(struct queue *q, uint64_t id, uint64_t octets);

/* Each second: whether TROUBLE_FILES begins since the disk gives no answer, or is over. */
void file_trouble_check(struct queue *q);

/* ---- submission_fate.c ---- */

ipc_handler submission_fate;
void submission_fate_peer_down(struct ipc_channel *peer);

/* For queue itself: done(context, durable), now or later. */
void submission_fate_find(
    struct queue *q, uint64_t id, void (*done)(void *context, bool durable), void *context);

/* Forgets all questions, without an answer. */
void submission_fate_stop(void);

/* It was durable, and will soon be nowhere. */
void submission_fate_finished(const struct queue *q, uint64_t id);

/* ---- control.c ---- */

ipc_handler control_flush_ask;

#include "queue/index/young.h"
#include "queue/log/journal.h"
#include "queue/log/recovery.h"
#include "queue/log/space.h"

/* The ipc context of handlers is the server. */
static inline struct queue *
queue_of(void *server)
{
	return server_data(server);
}

#endif
