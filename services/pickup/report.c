#include "services/pickup/report.h"

#include <stdio.h>

#include "common/base/text.h"
#include "common/mail/address.h"
#include "common/mail/date.h"
#include "common/mail/mime_word.h"
#include "services/pickup/unitext.h"

enum { FOLD_AT = 76, WORD_MAX = 900, WORDS_TEXT_MAX = 1500, FROM_MAX = 4000, PRODUCT_MAX = 60 };

/* ---- texts of strangers ---- */

/* One octet that may stand in a header field of this report. */
static char
printable(char c, bool utf8)
{
	if ((unsigned char)c >= 0x80)
		return utf8 ? c : '?';
	return c < 32 || c == 127 ? (c == '\t' || c == '\n' || c == '\r' ? ' ' : '?') : c;
}

/* Do terminals take the character for a command (U+0080 to U+009F)? */
static bool
is_c1(struct span s)
{
	return s.len > 1 && (unsigned char)s.ptr[0] == 0xc2 && (unsigned char)s.ptr[1] < 0xa0;
}

/*
 * Appends text word by word, folded with indent. column: where the line stands. Words are never joined; one that is
 * too long for any line (RFC 5322, 2.1.1) is cut in pieces.
 */
static void
put_folded(struct buf *out, struct span text, size_t column, const char *indent, bool utf8)
{
	struct span word;
	bool first = true;

	if (utf8 && !utf8_valid(text))
		utf8 = false;
	while (span_next_word(&text, " \t\r\n", &word)) {
		struct span piece = span_sub(word, 0, WORD_MAX);
		while (utf8 && piece.len < word.len && ((unsigned char)word.ptr[piece.len] & 0xc0) == 0x80)
			piece.len--;
		if (word.len > piece.len)
			text = span_make(
			    word.ptr + piece.len, (size_t)(text.ptr + text.len - word.ptr) - piece.len);
		if (!first && column + 1 + piece.len > FOLD_AT) {
			buf_printf(out, "\r\n%s", indent);
			column = strlen(indent);
		} else if (!first) {
			buf_append_text(out, " ");
			column++;
		}
		for (size_t i = 0; i < piece.len; i++) {
			bool c1 = is_c1(span_from(piece, i)) || (i > 0 && is_c1(span_from(piece, i - 1)));
			char c = printable(piece.ptr[i], utf8 && !c1);
			buf_append(out, &c, 1);
		}
		column += piece.len;
		first = false;
	}
}

static void
put_field(const struct report *r, struct buf *out, const char *name, struct span value)
{
	buf_printf(out, "%s: ", name);
	put_folded(out, value, strlen(name) + 2, "    ", r->utf8);
	buf_append_text(out, "\r\n");
}

/* "type;value" as it came from another part of Postern, with a blank behind the semicolon. */
static void
put_typed(const struct report *r, struct buf *out, const char *name, struct span typed)
{
	ptrdiff_t semicolon = span_find(typed, ';');
	size_t len = semicolon > 0 ? (size_t)semicolon : 0;

	buf_printf(
	    out, "%s: %.*s; ", name, (int)(len ? len : strlen("unknown")), len ? typed.ptr : "unknown");
	put_folded(out, span_from(typed, len ? len + 1 : 0), strlen(name) + len + 4, "    ", r->utf8);
	buf_append_text(out, "\r\n");
}

/* RFC 6533, 3: the type of an address beyond ASCII is utf-8. */
static void
put_address(const struct report *r, struct buf *out, const char *name, struct span address)
{
	bool utf8 = r->utf8 && text_is_8bit(address);

	buf_printf(out, "%s: %s; ", name, utf8 ? "utf-8" : "rfc822");
	for (size_t i = 0; i < address.len; i++) {
		char c = printable(address.ptr[i], utf8);
		buf_append(out, &c, 1);
	}
	buf_append_text(out, "\r\n");
}

static void
put_date(struct buf *out, const char *name, int64_t us)
{
	char date[MAIL_DATE_SIZE];

	buf_printf(out, "%s: %s\r\n", name, mail_date_format(us, date));
}

/* ---- the header ---- */

void
report_put_from(const struct conf_values *v, struct span from, struct buf *out)
{
	ptrdiff_t blank = span_find(from, ' ');
	size_t len = blank > 0 ? (size_t)blank : from.len;
	struct span rest = span_from(from, len), name = span_trim(rest);
	bool commented = name.len > 2 && name.ptr[0] == '(' && name.ptr[name.len - 1] == ')';
	struct buf address;

	buf_init(&address, FROM_MAX);
	buf_append_span(&address, span_sub(from, 0, len));
	if (span_find(from, '@') < 0 && span_find(from, '<') < 0)
		buf_printf(&address, "@%s", v->myorigin);
	buf_append_text(out, "From: ");
	mime_word_mailbox(out, commented ? span_sub(name, 1, name.len - 2) : span_make("", 0),
	    buf_span(&address), v->header_from_format == CONF_HEADER_FROM_FORMAT_OBSOLETE);
	if (!commented)
		buf_append_span(out, rest);
	buf_append_text(out, "\r\n");
	buf_free(&address);
}

static void
put_part(const struct report *r, struct buf *out, const char *description, const char *type, bool eight_bit)
{
	buf_printf(
	    out, "--%s\r\nContent-Description: %s\r\nContent-Type: %s\r\n", r->boundary, description, type);
	if (eight_bit)
		buf_append_text(out, "Content-Transfer-Encoding: 8bit\r\n");
	buf_append_text(out, "\r\n");
}

/* What servers say may be UTF-8 in any session, and is shown where the template's charset allows it. */
static bool
words_are_utf8(const struct report *r)
{
	struct span charset = r->template->charset;

	return r->utf8 || span_is_nocase(charset, "us-ascii") || span_is_nocase(charset, "utf-8");
}

void
report_begin(struct report *r, struct buf *out, size_t *header_len)
{
	char date[MAIL_DATE_SIZE], type[200];
	bool utf8 = words_are_utf8(r);
	struct span subject = r->postmaster_copy ? r->template->postmaster_subject : r->template->subject;

	mail_date_format(r->now_us, date);
	buf_printf(out, "Received: by %s (%s)\r\n\tid %s; %s\r\n", r->values->myhostname,
	    r->values->mail_name, r->own_id, date);
	buf_printf(out, "Date: %s\r\n", date);
	report_put_from(r->values, r->template->from, out);
	buf_printf(out, "Subject: %.*s\r\nTo: ", SPAN_ARG(subject));
	put_folded(out, r->to, 4, " ", r->utf8);
	/* RFC 3834, 5: nobody shall answer this by machine. It answers the sender's message, but is no answer to postmaster. */
	buf_printf(out, "\r\nAuto-Submitted: %s\r\nMessage-Id: %s\r\nMIME-Version: 1.0\r\n",
	    r->postmaster_copy ? "auto-generated" : "auto-replied", r->message_id);
	buf_printf(out, "Content-Type: multipart/report; report-type=%s;\r\n\tboundary=\"%s\"\r\n",
	    r->utf8 ? "global-delivery-status" : "delivery-status", r->boundary);
	buf_append_text(out, "Content-Transfer-Encoding: 8bit\r\n\r\n");
	*header_len = out->len;
	buf_append_text(out, "This is a MIME-encapsulated message.\r\n\r\n");
	snprintf(type, sizeof(type), "text/plain; charset=%.*s",
	    utf8 ? 5 : (int)(r->template->charset.len < 60 ? r->template->charset.len : 60),
	    utf8 ? "utf-8" : r->template->charset.ptr);
	put_part(r, out, "Notification", type, utf8 || text_is_8bit(r->template->body));
	/* The words are for the sender, as in Postfix. */
	if (!r->postmaster_copy)
		template_expand(out, r->template->body, r->values);
}

/* ---- the words ---- */

void
report_recipient_words(struct report *r, struct buf *out, const struct msg_notify_rcpt *m)
{
	struct span shown = m->orig_to.len > 0 ? m->orig_to : m->recipient;
	size_t start;

	r->recipients++;
	/* A recipient takes less than this, and the end of the words needs some room too. */
	if (out->len + 8192 > out->max)
		return;
	r->in_words++;
	start = out->len;
	buf_append_text(out, "\r\n<");
	put_folded(out, m->recipient, 1, "    ", r->utf8);
	buf_append_text(out, ">");
	if (!span_equal(shown, m->recipient)) {
		buf_append_text(out, " (expanded from <");
		put_folded(out, shown, out->len - start, "    ", r->utf8);
		buf_append_text(out, ">)");
	}
	buf_append_text(out, ": ");
	put_folded(out, span_sub(m->text, 0, WORDS_TEXT_MAX), out->len - start, "    ", words_are_utf8(r));
	buf_append_text(out, "\r\n");
}

/* ---- message/delivery-status ---- */

/* Behind "X-": mail_name, if a field's name can be made of it. */
static const char *
product(const struct report *r)
{
	struct span name = span_of(r->values->mail_name);

	for (size_t i = 0; i < name.len; i++)
		if (name.ptr[i] <= ' ' || name.ptr[i] > '~' || name.ptr[i] == ':' || name.ptr[i] == ';')
			return "Postern";
	return name.len > 0 && name.len <= PRODUCT_MAX ? name.ptr : "Postern";
}

void
report_status(const struct report *r, struct buf *out)
{
	char sender[PRODUCT_MAX + 10];

	if (r->recipients > r->in_words)
		buf_printf(
		    out, "\r\n(and %u more, listed in the next part)\r\n", r->recipients - r->in_words);
	buf_append_text(out, "\r\n");
	put_part(r, out, "Delivery report",
	    r->utf8 ? "message/global-delivery-status" : "message/delivery-status", r->utf8);
	buf_printf(out, "Reporting-MTA: dns; %s\r\n", r->values->myhostname);
	if (r->envid.len > 0)
		put_field(r, out, "Original-Envelope-Id", r->envid);
	buf_printf(out, "X-%s-Queue-ID: %s\r\n", product(r), r->id);
	snprintf(sender, sizeof(sender), "X-%s-Sender", product(r));
	if (r->sender.len > 0)
		put_address(r, out, sender, r->sender);
	if (r->arrival_us > 0)
		put_date(out, "Arrival-Date", r->arrival_us);
}

static const char *
action(uint8_t class)
{
	switch (class) {
	case OUTCOME_DELIVERED:
		return "delivered";
	case OUTCOME_RELAYED:
		return "relayed";
	case OUTCOME_EXPANDED:
		return "expanded";
	case OUTCOME_DEFERRED:
		return "delayed";
	default:
		return "failed";
	}
}

/* RFC 6533, 3: in a global report the address is written out. */
static void
put_original(const struct report *r, struct buf *out, struct span orcpt)
{
	struct buf plain;

	if (!r->utf8 || !span_starts_nocase(orcpt, "utf-8;")) {
		put_typed(r, out, "Original-Recipient", orcpt);
		return;
	}
	buf_init(&plain, orcpt.len);
	unitext_decode(&plain, orcpt);
	put_typed(r, out, "Original-Recipient", buf_span(&plain));
	buf_free(&plain);
}

void
report_recipient(const struct report *r, struct buf *out, const struct msg_notify_rcpt *m)
{
	bool delayed = r->kind == NOTIFY_DELAYED;

	buf_append_text(out, "\r\n"); /* groups are apart (RFC 3464, 2.1) */
	put_address(r, out, "Final-Recipient", m->recipient);
	if (m->orcpt.len > 0)
		put_original(r, out, m->orcpt);
	else if (m->orig_to.len > 0 && !span_equal(m->orig_to, m->recipient))
		put_address(r, out, "Original-Recipient", m->orig_to);
	buf_printf(out, "Action: %s\r\n", delayed ? "delayed" : action(m->class));
	buf_printf(out, "Status: %.*s\r\n", SPAN_ARG(m->status));
	if (m->remote_mta.len > 0)
		put_typed(r, out, "Remote-MTA", m->remote_mta);
	if (m->diagnostic.len > 0)
		put_typed(r, out, "Diagnostic-Code", m->diagnostic);
	else if (m->text.len > 0) {
		buf_printf(out, "Diagnostic-Code: X-%s; ", product(r));
		put_folded(out, m->text, 28, "    ", r->utf8);
		buf_append_text(out, "\r\n");
	}
	if (m->attempt_us > 0)
		put_date(out, "Last-Attempt-Date", m->attempt_us);
	if (delayed && r->expire_us > 0)
		put_date(out, "Will-Retry-Until", r->expire_us);
}

/* ---- the message ---- */

void
report_content(const struct report *r, struct buf *out, bool header_only, bool eight_bit)
{
	static const char *const words[][2] = {
	    [NOTIFY_FAILED] = {"Undelivered Message", "Undelivered Message Headers"},
	    [NOTIFY_DELAYED] = {"Delayed Message", "Delayed Message Headers"},
	    [NOTIFY_SUCCEEDED] = {"Message", "Message Headers"},
	    [NOTIFY_POSTMASTER] = {"Undelivered Message", "Undelivered Message Headers"},
	};
	const char *type = header_only ? (r->utf8 ? "message/global-headers" : "text/rfc822-headers")
				       : (r->utf8 ? "message/global" : "message/rfc822");

	buf_append_text(out, "\r\n");
	put_part(r, out, words[r->kind][header_only], type, eight_bit);
}

void
report_end(const struct report *r, struct buf *out)
{
	buf_printf(out, "\r\n--%s--\r\n", r->boundary);
}
