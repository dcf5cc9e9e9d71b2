#include "smtpd/received.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/mail/date.h"
#include "smtpd/local_client.h"
#include "smtpd/session.h"
#include "smtpd/tls.h"
#include "smtpd/transaction.h"

enum { NAME_SHOWN_MAX = 255, RECEIVED_MAX = 3000 };

/* RFC 3848, RFC 6531 (4.3). */
static const char *
protocol(const struct session *s)
{
	static const char *const names[2][4] = {
	    {"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA"}, {"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA"}};

	if (!s->esmtp)
		return "SMTP";
	return names[s->transaction->smtputf8][(s->tls ? 2 : 0) + (s->sasl_username ? 1 : 0)];
}

/* What a stranger said his name is: within one line, without what could end a comment or a field. */
static void
append_name(struct buf *out, struct span name)
{
	for (size_t i = 0; i < name.len && i < NAME_SHOWN_MAX; i++) {
		char c = name.ptr[i];
		bool odd = (unsigned char)c <= ' ' || c == 127 || c == '(' || c == ')' || c == '\\' ||
			   c == '<' || c == '>' || c == ';' || c == '"';

		(void)buf_append(out, odd ? "?" : &c, 1);
	}
}

/* The from clause (RFC 5321, 4.4). */
static void
append_client(struct buf *out, const struct session *s)
{
	(void)buf_append_text(out, "from ");
	append_name(out, span_of(s->helo ? s->helo : s->client_name));
	(void)buf_append_text(out, " (");
	append_name(out, span_of(s->client_name));
	(void)buf_printf(
	    out, " [%s%s])\r\n\t", s->client.family == AF_INET6 ? "IPv6:" : "", s->client_address);
}

/* smtpd_sasl_authenticated_header. */
static void
append_authenticated(struct buf *out, const struct session *s)
{
	if (!s->sasl_username || !s->settings->values->smtpd_sasl_authenticated_header)
		return;
	(void)buf_append_text(out, "(Authenticated sender: ");
	append_name(out, span_of(s->sasl_username));
	(void)buf_append_text(out, ")\r\n\t");
}

struct span
received_header(const struct session *s)
{
	const struct transaction *t = s->transaction;
	char date[MAIL_DATE_SIZE];
	struct buf out;
	struct span text;

	buf_init(&out, RECEIVED_MAX);
	(void)buf_append_text(&out, "Received: ");
	if (!local_client_hides(s)) {
		append_client(&out, s);
		tls_append_received(&out, s);
		append_authenticated(&out, s);
	}
	(void)buf_printf(&out, "by %s (%s) with %s id %s", s->settings->values->myhostname,
	    s->settings->values->mail_name, protocol(s), t->id_text);
	if (t->accepted == 1)
		(void)buf_printf(&out, "\r\n\tfor <%.*s>", SPAN_ARG(t->first_recipient));
	(void)buf_printf(
	    &out, t->accepted == 1 ? "; %s" : ";\r\n\t%s", mail_date_format(clock_wall_us(), date));
	text = arena_copy_span(t->arena, buf_span(&out));
	buf_free(&out);
	return text;
}
