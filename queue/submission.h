/*
 * submission: a message on its way in, from smtpd or pickup.
 *
 * Up to spool_inline_limit content gathers in memory, within one budget for all submissions; beyond either it goes
 * to a file of its own, written by the helper. SUBMIT_CLOSE makes it one record; the answer follows its commit.
 */
#ifndef POSTERN_QUEUE_SUBMISSION_H
#define POSTERN_QUEUE_SUBMISSION_H

#include "common/mail/verp.h"
#include "queue/queue.h"

/* Where content begins in a message file, less what is prepended when the message ends. */
enum { FILE_PREPEND_ROOM = 65536 };

/* Octets of a record's head beside the envelope's texts: numbers, Message-ID. */
enum { HEAD_TEXTS = 1536 };

struct submission {
	struct submission *next; /* in its slot */
	struct queue *q;
	struct ipc_channel *channel; /* NULL: gone */
	uint32_t call;
	uint64_t id;
	uint64_t
	    about; /* the message that it reports on, 0: it is no report, or one that nobody waits for by its id */
	struct part_envelope e;
	char *texts; /* of e */
	size_t texts_len;
	struct buf recipients; /* encoded */
	uint32_t count;
	uint32_t reports; /* of these, aliases that are only told of */
	bool may_expand; /* an address behind an alias has NOTIFY=SUCCESS */
	struct buf content; /* in memory, behind so many octets of room */
	size_t room; /* where the record begins that the content becomes part of */
	uint64_t received; /* octets of content */
	uint64_t ungranted;
	bool spilled; /* goes to a file */
	bool closing;
	enum submit_status status; /* of the file's fate */
	int fd;
	unsigned writes; /* tasks under way */
	char *prepend;
	size_t prepend_len;
	struct message *message; /* once committed */
	int64_t commit_us; /* monotonic: when that began */
	bool given_up; /* its submitter was told that it is refused: submission_give_up() */
	struct message *taken; /* out of another queue: e and its texts are this one's */
	bool tried; /* attempts were made already, or none is wanted now */
	char verp[VERP_DELIMITERS + 1]; /* "": none */
	int64_t later_us; /* MAIL_LATER: its recipients are due then, in spool time */
	char text[200];
};

/* submission_table.c: by the connection and the conversation in which they come. */
struct submission *submission_find(const struct ipc_channel *channel, uint32_t call);
void submission_attach(struct submission *s);

/* It can no longer be found: what comes for it is dropped. */
void submission_detach(struct submission *s);

/* submission_file.c: the helper's part */
void submission_spill(struct submission *s);
void submission_file_write(struct submission *s, struct span bytes);

/* Writes what is prepended, syncs file and directory; submission_commit() follows. */
void submission_file_end(struct submission *s);
void submission_file_drop(struct submission *s);

/* submission_alias.c: what is told of aliases, once all recipients are there. -1 if there is no room for it. */
int submission_note_aliases(struct submission *s);

/* submission_verp.c: with a sender of its own where that was asked for. -1 if there is no room for it. */
int submission_encode_recipient(struct submission *s, struct part_recipient *p);

/* submission_id.c: by the clock, and by the ids that are known. Tick at least every few seconds. */
void submission_id_tick(struct queue *q);
bool submission_id_is_possible(struct queue *q, uint64_t id);

/* It is not so young that the message would be in memory. */
bool submission_id_may_be_used(const struct queue *q, uint64_t id);

/* submission_record.c: content is taken over by *record, which the caller frees. -1 if it would be too large. */
int submission_encode(struct submission *s, struct buf *record, size_t *payload_len);

/* submission_commit.c */
void submission_commit(struct submission *s);
bool submission_is_too_long(const struct submission *s, size_t octets);

/* submission.c: attached, with room for content and none for recipients. */
struct submission *submission_new(struct queue *q, struct ipc_channel *channel, uint32_t call, uint64_t id);
void submission_grant(struct submission *s, uint64_t octets);

/* Tells who submits, if he is there. */
void submission_answer(struct submission *s, enum submit_status status, const char *text);

/* The same with the status' own text; the submission is gone then. */
void submission_refuse(struct submission *s, enum submit_status status);

/* Nothing is told. A file of content goes first, if no message has it. */
void submission_end(struct submission *s);
void submission_free(struct submission *s);

/*
 * submission_take.c: a message with all its history, instead of OPEN and RCPT; m is the submission's from now on. Content follows by
 * submission_data(), then submission_taken(), which has it answered, or submission_drop(), which does not.
 */
struct submission *submission_take(
    struct queue *q, struct ipc_channel *channel, uint32_t call, struct message *m);
void submission_taken(struct submission *s);
void submission_drop(struct submission *s);

static inline struct span
submission_content(const struct submission *s)
{
	return span_from(buf_span(&s->content), s->room);
}

#endif
