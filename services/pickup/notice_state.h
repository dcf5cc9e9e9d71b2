/*
 * notice_state: a notification on its way, as notice.c gathers it and notice_report.c makes a message of it.
 */
#ifndef POSTERN_PICKUP_NOTICE_STATE_H
#define POSTERN_PICKUP_NOTICE_STATE_H

#include "common/base/arena.h"
#include "services/pickup/checking.h"
#include "services/pickup/report.h"
#include "services/pickup/rewriting.h"
#include "services/pickup/submission.h"

/* The report in the order in which it is sent. */
enum part {
	PART_HEAD,
	PART_WORDS,
	PART_MIDDLE,
	PART_STATUS,
	PART_BEFORE,
	PART_CONTENT,
	PART_END,
	PART_COUNT
};

struct notice {
	struct pickup *p;
	struct notice *next, **prev;
	struct ipc_channel *channel; /* NULL: nobody waits any more */
	uint32_t call;
	struct conf *conf; /* what it began under */
	struct arena *arena;

	struct report report;
	uint32_t flags; /* of the message */
	uint64_t content_len, header_len, came; /* octets: of the message, of its header, that came here */
	struct span why; /* NOTIFY_HELD; NOTIFY_SESSION: its subject */
	struct span postmaster; /* who gets a copy, empty if nobody does */
	bool alone; /* postmaster is told, and nobody else */
	struct buf parts[PART_COUNT];
	bool going;

	struct checking *checking; /* NULL: no table looks at it */
	const struct submission_change *change; /* what tables want of its envelope, until that is done */
	bool whole; /* PART_HEAD is all of it, as tables left it */
	struct rewriting *rewriting; /* of its header */
	struct span envelope_sender;
	struct submission *submission;
	struct drop_recipient to;
	char original[QUEUE_ID_SIZE], own[QUEUE_ID_SIZE];
	uint64_t about,
	    given_id; /* what queue calls the message, and the report on it; 0: a copy, or a notice */
	uint64_t own_id, answer_id;
	size_t header_octets;
	enum part at; /* that is being sent */
	size_t sent; /* octets of it */
};

/* ---- notice.c ---- */

/* Answers queue. The notice is gone then. */
void notice_finish(struct notice *n, enum submit_status status, struct span text);

/* ---- notice_report.c ---- */

/* Mail to this sender is not returned, so that notices to postmaster never go round. */
struct span notice_double_bounce(struct notice *n);

/* Composes the report and submits it; notice_finish() follows. copy: for postmaster. */
void notice_compose(struct notice *n, struct span to, struct span sender, bool copy);

#endif
