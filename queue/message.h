/*
 * message: a message that is in memory, with its recipients, and the set of all such.
 *
 * Only the loop touches these. A message is in memory while it is young (not in the index yet) or while something is
 * being done with it; what waits for a later attempt lives in the index alone. While a message is in memory, what
 * memory says of it counts.
 */
#ifndef POSTERN_QUEUE_MESSAGE_H
#define POSTERN_QUEUE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/error.h"
#include "common/ipc/protocol.h"
#include "common/mail/member_name.h"
#include "queue/log/record.h"

struct expansion;
struct hop;
struct hop_task;
struct job;
struct notification;

struct recipient {
	struct part_recipient p; /* spans point into the message's blocks or into 'texts' */
	struct hop *hop; /* set while it waits in that hop or is in a job for it */
	struct recipient *next; /* in a hop_task */
	struct job *job;
	struct expansion *expansion; /* scheduler/expansion.h: while it is in a job; may be NULL */
	char *texts; /* of the last outcome */
	bool unrecorded; /* p says more than the log does */
	bool unindexed; /* p says more than the index does */
	bool resolving;
	bool reporting; /* a DSN that tells of it is under way */
	uint8_t passes; /* from transport to transport since its last outcome */
};

struct message_block {
	struct message_block *next;
	char bytes[];
};

struct message {
	uint64_t id;
	struct part_envelope e;
	struct message *hash_next;
	char *bytes; /* what e and the first recipients point into; content last */
	struct message_block *blocks; /* of recipients that were added */
	struct recipient **recipients;
	struct recipient *first_recipients; /* the array they were made in */
	uint32_t count, cap;
	uint32_t open; /* not RECIPIENT_DONE */
	uint64_t octets; /* of its recipients in a record, but for what attempts brought */
	uint32_t prepared; /* message_prepare_recipient() made so many more */
	uint64_t prepared_octets;

	uint64_t position; /* of the record that has the content */
	uint64_t content_position; /* of its first octet; of a message file: behind the record */
	struct span content; /* in memory, or ptr NULL */
	bool lost; /* its record is damaged or gone: nothing can read the content any more */
	bool content_counted; /* in the budget of contents kept for delivery */

	/* The oldest record that the index does not reflect: 0 if there is none. */
	uint64_t unreflected;
	int64_t unreflected_since_us;
	TAILQ_ENTRY(message) unreflected_link;
	TAILQ_ENTRY(message) unrecorded_link;
	TAILQ_ENTRY(message) content_link;
	bool unrecorded;

	unsigned jobs; /* jobs in which it is */
	unsigned tasks; /* waiting in so many hops */
	unsigned busy; /* holds on it: log records and questions under way */
	bool indexing; /* a transaction with it is under way */
	bool indexed; /* the index has it */
	bool envelope_unindexed;
	bool removed; /* its removal was given to the log */
	bool removal_durable;
	bool notifying;
	bool telling, told; /* a report: those whom it tells of are being finished, or are (notify_told.c) */
	struct notification *notification; /* notify.c: while 'notifying'; NULL: of another kind */
	bool
	    fresh; /* no attempt was made yet: its recipients are known to the index as due now, or not at all */
	bool expired_logged;
};

TAILQ_HEAD(message_list, message);

/* All in memory, by id. */
struct message_set {
	struct message **slots;
	size_t slot_count;
	size_t count;
};

void message_set_init(struct message_set *set);
void message_set_fini(struct message_set *set);
struct message *message_find(const struct message_set *set, uint64_t id);
void message_add(struct message_set *set, struct message *m);
void message_take_out(struct message_set *set, struct message *m);

/* Ids in memory, ascending, as an array of *count that the caller frees. */
uint64_t *message_ids(const struct message_set *set, size_t *count);

/*
 * From the payload of a MESSAGE or SNAPSHOT record, or what message_pack() made. bytes is malloc()ed and the message's
 * from now on, also in case of an error. content_len: 0 where no content follows. NULL with err if malformed.
 */
struct message *message_from_payload(uint64_t id, char *bytes, size_t offset, size_t len, struct error *err);
void message_free(struct message **m);

/* The payload of a SNAPSHOT without content. */
int message_pack(struct buf *out, const struct message *m);

/*
 * So much of recipients one message may have: with what attempts bring (outcome.c) all of it must fit into a record, and a row of the
 * index.
 */
enum { MESSAGE_RECIPIENTS_MAX = 100000, MESSAGE_RECIPIENT_OCTETS_MAX = 20 << 20 };

/* Adds a recipient, whose texts are copied. NULL at either limit. Its index must be new. */
struct recipient *message_add_recipient(struct message *m, const struct part_recipient *p);

/*
 * One that may become a recipient: it takes room from the others and is nowhere else to be seen. NULL as above. Either of the other
 * two functions follows, before m is freed; message_keep_recipient() gives it its index.
 */
struct recipient *message_prepare_recipient(struct message *m, const struct part_recipient *p);
void message_keep_recipient(struct message *m, struct recipient *r);
void message_drop_recipient(struct message *m, struct recipient *r);

struct recipient *message_recipient(const struct message *m, uint32_t index);

/*
 * Its record is durable, and its removal was not given to the log. What is still on its way in may be refused, and is gone
 * then: until its sender is told 250 there is nothing to see, to change or to send.
 */
static inline bool
message_is_queued(const struct message *m)
{
	return m->position != 0 && !m->removed;
}

/* Takes over what an attempt brought (texts are copied). Returns false if it is older than what is known. */
bool recipient_apply(struct message *m, struct recipient *r, const struct part_outcome *o);
void recipient_outcome(const struct recipient *r, struct part_outcome *o);

/* Who sends it to this recipient: owner-NAME, where a list with an owner brought it here; an address of VERP. */
static inline struct span
recipient_sender(const struct message *m, const struct recipient *r)
{
	return r->p.own_sender ? r->p.sender : m->e.sender;
}

/* Who wrote it, as far as that is known: the same, without the recipient in it. */
static inline struct span
recipient_origin(const struct message *m, const struct recipient *r)
{
	return r->p.own_sender == OWN_SENDER_LIST ? r->p.sender : m->e.sender;
}

/* The address that listings and the log show: of what a list led to that of the list. text: see member_shown(). */
static inline struct span
recipient_shown(const struct part_recipient *p, char text[MEMBER_SHOWN_SIZE])
{
	return p->orig_to.len > 0 ? member_shown(p->recipient, text) : p->recipient;
}

/*
 * The address that log and headers show as the original one, "" if same: of a list with an owner, whose members get mail of its
 * own, the member as its ORCPT has it. (orig_to is the list: what the sender wrote.)
 */
static inline struct span
recipient_original(const struct part_recipient *p)
{
	struct span member = p->orcpt;

	if (p->own_sender != OWN_SENDER_LIST || member.len == 0)
		return p->orig_to;
	member = span_from(member, (size_t)(span_find(member, ';') + 1));
	return span_equal(member, p->recipient) ? span_make("", 0) : member;
}

/* Whether its sender wants to be told of a DSN_NOTIFY_FAILURE or DSN_NOTIFY_DELAY (RFC 3461, 4.1): both where nothing was said. */
static inline bool
recipient_wants(const struct recipient *r, unsigned wish)
{
	return r->p.notify == 0 || (r->p.notify & wish) != 0;
}

/* Nobody is to be told of its success any more; nothing at all would be the default, which is failures. */
static inline void
recipient_hide_success(struct part_recipient *p)
{
	p->notify &= (uint8_t)~DSN_NOTIFY_SUCCESS;
	if (p->notify == 0)
		p->notify = DSN_NOTIFY_NEVER;
}

void recipient_set_state(struct message *m, struct recipient *r, enum recipient_state state);

/* All of its recipients may have a route of so many octets. */
bool message_has_room_for_routes(const struct message *m, size_t octets);

/* Changes the route; texts are copied. False: the message has no room for it, and only the generation is taken. */
bool recipient_route(
    struct message *m, struct recipient *r, struct span transport, struct span nexthop, uint64_t generation);

/* Lets go of content that can be read again from the log. Does nothing if there is none. */
void message_drop_content(struct message *m);

/* Puts it on hold or releases it. by: which operator, and when; empty if none did. Texts are copied. */
void message_hold(struct message *m, bool held, struct span reason, struct span by, int64_t at_us);

/* What an EDIT record says. Twice is as once. */
void message_edit(struct message *m, const struct part_edit *edit);

/* Applies a record that is not MESSAGE or SNAPSHOT, as replay does. -1 with err if malformed. *removed: REMOVAL. */
int message_apply(struct message *m, const struct record *record, bool *removed, struct error *err);

#endif
