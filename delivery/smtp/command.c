#include "delivery/smtp/command.h"

#include <inttypes.h>

#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/ipc/protocol.h"
#include "common/mail/address.h"
#include "common/mail/xtext.h"
#include "delivery/smtp/sasl_family.h"

bool
command_is_safe(struct span address)
{
	for (size_t i = 0; i < address.len; i++) {
		unsigned char c = (unsigned char)address.ptr[i];

		if (c < ' ' || c == 127)
			return false;
	}
	return true;
}

/* An address as it goes out: without the quotes of its local part, where smtp_quote_rfc821_envelope says so. */
static void
append_path(struct buf *out, const struct job *job, struct span address)
{
	struct span local, domain, plain;

	if (!job->conf->values->smtp_quote_rfc821_envelope && address.len > 0 && address.ptr[0] == '"') {
		address_split(address, &local, &domain);
		plain = address_unquote_local(job->arena, local);
		if (plain.ptr && span_find(plain, '<') < 0 && span_find(plain, '>') < 0) {
			buf_printf(out, "<%.*s%s%.*s>", SPAN_ARG(plain), domain.len > 0 ? "@" : "",
			    SPAN_ARG(domain));
			return;
		}
	}
	buf_printf(out, "<%.*s>", SPAN_ARG(address));
}

void
command_mail(struct buf *out, const struct job *job, const struct capabilities *peer, bool to_7bit)
{
	struct sasl_family sasl;

	buf_append_text(out, "MAIL FROM:");
	append_path(out, job, job->sender);
	if (peer->offers & OFFERS_SIZE)
		buf_printf(out, " SIZE=%" PRIu64, job_size(job));
	if ((peer->offers & OFFERS_8BITMIME) && !to_7bit && (job->flags & (MAIL_8BIT | MAIL_BODY_8BITMIME)))
		buf_append_text(out, " BODY=8BITMIME");
	if ((peer->offers & OFFERS_SMTPUTF8) && (job->flags & MAIL_SMTPUTF8))
		buf_append_text(out, " SMTPUTF8");
	if (peer->offers & OFFERS_DSN) {
		if (job->flags & MAIL_RET_FULL)
			buf_append_text(out, " RET=FULL");
		else if (job->flags & MAIL_RET_HDRS)
			buf_append_text(out, " RET=HDRS");
		if (job->envid.len > 0) {
			buf_append_text(out, " ENVID=");
			xtext_encode(out, job->envid);
		}
	}
	/* RFC 4954, 5: nobody vouches for who wrote it. */
	sasl_family_of(job->conf->values, job->lmtp, &sasl);
	if (peer->authenticated && sasl.dummy)
		buf_append_text(out, " AUTH=<>");
	buf_append_text(out, "\r\n");
}

static void
append_notify(struct buf *out, unsigned notify)
{
	static const struct {
		unsigned bit;
		const char *word;
	} words[] = {{DSN_NOTIFY_NEVER, "NEVER"}, {DSN_NOTIFY_SUCCESS, "SUCCESS"},
	    {DSN_NOTIFY_FAILURE, "FAILURE"}, {DSN_NOTIFY_DELAY, "DELAY"}};
	const char *separator = " NOTIFY=";

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (!(notify & words[i].bit))
			continue;
		buf_printf(out, "%s%s", separator, words[i].word);
		separator = ",";
	}
}

/*
 * "rfc822;plain text" becomes "rfc822;xtext" (RFC 3461, 4.2). Where none came with the mail, the address does that it came
 * for (5.2.1), unless only SMTPUTF8 could say it.
 */
static void
append_orcpt(struct buf *out, const struct recipient *rcpt, bool originals)
{
	struct span given = rcpt->orig_to.len > 0 ? rcpt->orig_to : rcpt->address, orcpt = rcpt->orcpt;
	ptrdiff_t semicolon = span_find(orcpt, ';');

	if (originals && orcpt.len == 0 && !text_is_8bit(given) && command_is_safe(given)) {
		buf_append_text(out, " ORCPT=rfc822;");
		xtext_encode(out, given);
	}
	if (semicolon <= 0 || !command_is_safe(orcpt))
		return;
	buf_printf(out, " ORCPT=%.*s", (int)semicolon + 1, orcpt.ptr);
	xtext_encode(out, span_from(orcpt, (size_t)semicolon + 1));
}

void
command_rcpt(
    struct buf *out, const struct job *job, const struct recipient *rcpt, const struct capabilities *peer)
{
	buf_append_text(out, "RCPT TO:");
	append_path(out, job, rcpt->rcpt_to);
	if (peer->offers & OFFERS_DSN) {
		append_notify(out, rcpt->notify);
		append_orcpt(out, rcpt, job->conf->values->enable_original_recipient);
	}
	buf_append_text(out, "\r\n");
}
