/*
 * resolution: what lookup says of a recipient, kept for some seconds.
 *
 * Mail for one mailbox comes in runs; the answer for its address is asked for once in a run. Only positive answers are
 * kept, all are dropped when lookup says that something changed.
 */
#ifndef POSTERN_SMTPD_RESOLUTION_H
#define POSTERN_SMTPD_RESOLUTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/span.h"

struct session;
struct smtpd;

struct resolution_row {
	struct resolution_row *next;
	struct span recipient;
	struct span transport;
	struct span nexthop;
	uint8_t flags; /* ROUTE_* */
	struct span copy; /* of ROUTE_COPY: for whom */
};

struct resolution {
	unsigned references;
	struct arena *arena; /* holds all of it */
	uint8_t status; /* enum lookup_status */
	uint8_t class; /* enum address_class */
	bool routed; /* what is left of it once routing through ourselves was undone holds more routing */
	struct span address; /* as rewritten */
	struct span reason;
	uint64_t generation;
	int64_t expires_us;
	unsigned row_count; /* without copies */
	struct resolution_row *rows, **rows_end;
};

/*
 * Finds out about address; flags: RESOLVE_BCC where it is a recipient of new mail. done gets it at once or when lookup has answered (status LOOKUP_TEMPORARY if it is away).
 * The resolution belongs to the session's request from then on.
 */
void resolution_find(struct session *s, struct span address, struct span sender, unsigned flags,
    void (*done)(struct session *s, const struct resolution *r));

void resolution_forget_all(struct smtpd *d);

/* What was asked about recipients whose RCPT had no turn yet is given up: the session ends. */
void resolution_forget_ahead(struct session *s);

#endif
