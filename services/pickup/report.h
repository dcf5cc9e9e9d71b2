/*
 * report: a notification as text: multipart/report (RFC 6522) with words for people, message/delivery-status
 * (RFC 3464), and the message or its header; in the forms of RFC 6533 where the message is internationalised.
 *
 * Nothing here knows of sockets. What strangers wrote is made printable, folded and bounded.
 */
#ifndef POSTERN_PICKUP_REPORT_H
#define POSTERN_PICKUP_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/span.h"
#include "common/ipc/ipc.h"
#include "services/pickup/template.h"

enum {
	REPORT_HEAD_MAX = 256 * 1024, /* header, words, and as many recipients in words as fit */
	REPORT_STATUS_MAX = 64 << 20 /* NOTIFY_RECIPIENTS_MAX of NOTIFY_OCTETS_MAX always fit */
};

struct report {
	/* About the message that it is about. */
	enum notify_kind kind;
	const char *id; /* its queue id */
	struct span sender, envid;
	int64_t arrival_us, expire_us;
	bool utf8; /* it came with SMTPUTF8 */
	bool postmaster_copy;

	/* About the report. */
	const struct conf_values *values;
	const struct template *template;
	const char *own_id;
	const char *message_id; /* with brackets */
	const char *boundary;
	struct span to;
	int64_t now_us;

	unsigned recipients, in_words;
};

/* "MAILER-DAEMON (Mail Delivery System)" as a From field, with a domain behind the address: header_from_format says how. */
void report_put_from(const struct conf_values *v, struct span from, struct buf *out);

/* The report's header and the words before the recipients. *header_len: with the empty line. */
void report_begin(struct report *r, struct buf *out, size_t *header_len);

/* "<a@b>: why" in words. Beyond the room in out recipients are only counted. */
void report_recipient_words(struct report *r, struct buf *out, const struct msg_notify_rcpt *m);

/* The end of the words, and what all recipients have in common. */
void report_status(const struct report *r, struct buf *out);

/* The group of one recipient (RFC 3464, 2.3). */
void report_recipient(const struct report *r, struct buf *out, const struct msg_notify_rcpt *m);

/* What goes before the returned message, and behind all. */
void report_content(const struct report *r, struct buf *out, bool header_only, bool eight_bit);
void report_end(const struct report *r, struct buf *out);

#endif
