#include "services/pickup/held_notice.h"

#include "common/base/text.h"
#include "common/mail/date.h"

enum { SHOWN_MAX = 300 };

/* "user alice" of "user alice: more than ..." */
static struct span
who(struct span why)
{
	ptrdiff_t colon = span_find_last(why, ':');

	return colon > 0 ? span_sub(why, 0, (size_t)colon) : why;
}

static void
put_printable(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len && i < SHOWN_MAX; i++) {
		bool odd = (unsigned char)text.ptr[i] < ' ' || (unsigned char)text.ptr[i] > '~';

		(void)buf_append(out, odd ? "?" : &text.ptr[i], 1);
	}
}

/* Nothing that a shell would look at within quotes. */
static bool
is_plain(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alnum(text.ptr[i]) && !strchr(" .:@_+=-", text.ptr[i]))
			return false;
	return text.len < SHOWN_MAX;
}

/* With the colon: "user al" is part of what is said of alice, too. */
static void
put_command(struct buf *out, const char *verb, struct span why)
{
	if (is_plain(who(why)))
		(void)buf_printf(out, "    postern queue %s --state hold --reason \"%.*s:\"\r\n", verb,
		    SPAN_ARG(who(why)));
	else if (strcmp(verb, "list") == 0)
		(void)buf_append_text(out, "    postern queue list --state hold\r\n");
}

void
held_notice_put(const struct report *r, struct span why, struct buf *out, size_t *header_len)
{
	const struct conf_values *v = r->values;
	char date[MAIL_DATE_SIZE];

	mail_date_format(r->now_us, date);
	(void)buf_printf(out, "Received: by %s (%s)\r\n\tid %s; %s\r\nDate: %s\r\n", v->myhostname,
	    v->mail_name, r->own_id, date, date);
	report_put_from(v, TEMPLATE_FROM, out);
	(void)buf_append_text(out, "To: ");
	put_printable(out, r->to);
	(void)buf_append_text(out, "\r\nSubject: Mail on hold: ");
	put_printable(out, who(why));
	/* RFC 3834, 5: nobody shall answer this by machine. */
	(void)buf_printf(out,
	    "\r\nAuto-Submitted: auto-generated\r\nMessage-Id: %s\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n",
	    r->message_id);
	*header_len = out->len;
	(void)buf_printf(out,
	    "This is the mail system at host %s.\r\n\r\nMail is being put on hold:\r\n\r\n    ",
	    v->myhostname);
	put_printable(out, why);
	(void)buf_printf(out, "\r\n\r\nThe message that this notice is about is %s, from <", r->id);
	put_printable(out, r->sender);
	(void)buf_append_text(out, ">.\r\nWhat that user sends beyond the limit is taken and not delivered, "
				   "and no further\r\nnotice of it is sent for a day. An account that sends "
				   "more than it ever did may be\r\nin strange hands.\r\n\r\n"
				   "To see what is on hold, to let it go, or to drop it:\r\n\r\n");
	put_command(out, "list", why);
	put_command(out, "release", why);
	put_command(out, "delete", why);
	(void)buf_append_text(out, "\r\n                   The mail system\r\n");
}
