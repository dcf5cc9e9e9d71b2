#include "services/pickup/session_notice.h"

#include "common/mail/date.h"
#include "common/mail/transcript.h"

/* Columns of a line, and what the next one of the same begins with (Postfix's smtpd_chat.c). */
enum { COLUMNS = 78, INDENT = 4 };

static void
put_printable(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		bool odd = (unsigned char)text.ptr[i] < ' ' || (unsigned char)text.ptr[i] > '~';

		(void)buf_append(out, odd ? "?" : &text.ptr[i], 1);
	}
}

/* A line, at a blank where it is too long and there is one. */
static void
put_wrapped(struct buf *out, struct span line)
{
	size_t room = COLUMNS;

	while (line.len > room) {
		ptrdiff_t blank = span_find_last(span_sub(line, 0, room), ' ');
		size_t taken = blank > INDENT ? (size_t)blank : room;

		put_printable(out, span_sub(line, 0, taken));
		(void)buf_printf(out, "\r\n%*s", INDENT, "");
		line = span_from(line, blank > INDENT ? taken + 1 : taken);
		room = COLUMNS - INDENT;
	}
	put_printable(out, line);
	(void)buf_append_text(out, "\r\n");
}

static void
put_line(struct buf *out, struct span line)
{
	bool in = line.len && line.ptr[0] == TRANSCRIPT_IN, said = line.len && line.ptr[0] == TRANSCRIPT_OUT;
	struct buf whole;

	if (!in && !said) {
		put_wrapped(out, line);
		return;
	}
	buf_init(&whole, TRANSCRIPT_LINE + sizeof("Out: "));
	(void)buf_append_text(&whole, in ? "In:  " : "Out: ");
	(void)buf_append_span(&whole, span_sub(line, 1, TRANSCRIPT_LINE));
	put_wrapped(out, buf_span(&whole));
	buf_free(&whole);
}

void
session_notice_put(
    const struct report *r, struct span subject, struct span lines, struct buf *out, size_t *header_len)
{
	const struct conf_values *v = r->values;
	char date[MAIL_DATE_SIZE];
	struct span line;

	mail_date_format(r->now_us, date);
	(void)buf_printf(out, "Received: by %s (%s)\r\n\tid %s; %s\r\nDate: %s\r\n", v->myhostname,
	    v->mail_name, r->own_id, date, date);
	report_put_from(v, TEMPLATE_FROM, out);
	(void)buf_append_text(out, "To: ");
	put_printable(out, r->to);
	(void)buf_printf(out, " (Postmaster)\r\nSubject: %s ", v->mail_name);
	put_printable(out, subject);
	/* RFC 3834, 5: nobody shall answer this by machine. */
	(void)buf_printf(out,
	    "\r\nAuto-Submitted: auto-generated\r\nMessage-Id: %s\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
	    r->message_id);
	*header_len = out->len;
	(void)buf_append_text(out, "Transcript of session follows.\r\n\r\n");
	while (span_next_line(&lines, &line))
		put_line(out, line);
	(void)buf_append_text(out, "\r\nFor other details, see the local mail logfile\r\n");
}
