/*
 * checking: header_checks, body_checks and their kin on what local programs send (common/mail/content_checks.h).
 *
 * Content is put in as it comes, and taken from checking_out() once lookup has said what its tables think of it.
 */
#ifndef POSTERN_PICKUP_CHECKING_H
#define POSTERN_PICKUP_CHECKING_H

#include "services/pickup/pickup.h"
#include "services/pickup/submission.h"

struct checking;

struct checking_about {
	struct conf *conf;
	const char *queue_id;
	bool own; /* this host has written it: its header may have UTF-8 */
	struct span sender;
	const struct drop_recipient *recipients;
	/* An answer came. reason: why there is none to be had, empty if all is well. Never called from within a call. */
	void (*answered)(void *context, struct span reason);
	/* With header_checks: a field as tables leave it, and the end of the header; whole lines may be appended to out. */
	void (*field)(void *context, struct span field);
	void (*header_end)(void *context, struct buf *out);
	void *context;
};

/* field() and header_end() are called. */
bool checking_tells_fields(const struct conf_values *v);

/* NULL where no checks are configured. */
struct checking *checking_new(struct pickup *p, const struct checking_about *about);
void checking_free(struct checking **c);

/* An answer is awaited: nothing may be put in. */
bool checking_waits(const struct checking *c);

void checking_put(struct checking *c, struct span bytes);
/* Whole fields that did not come along: no table is asked about them. */
void checking_put_added(struct checking *c, struct span fields);
void checking_finish(struct checking *c);

enum checking_state { CHECKING_SETTLED, CHECKING_WAITS, CHECKING_IMPOSSIBLE };

/* Asks if it is time to. CHECKING_WAITS: answered() follows. CHECKING_IMPOSSIBLE: lookup is not there. */
enum checking_state checking_ask(struct checking *c);

struct buf *checking_out(struct checking *c);

/* After the end: what is to be done to the envelope; NULL if nothing is. */
const struct submission_change *checking_change(const struct checking *c);
bool checking_discards(const struct checking *c);
uint64_t checking_header_len(const struct checking *c);

/* MAIL_*: of what was put out, and MAIL_HOLD. */
uint32_t checking_flags(const struct checking *c);

#endif
