/*
 * TLS in a Received line, as Postfix writes it (smtpd_tls_received_header).
 */
#include "common/base/buf.h"
#include "common/tls/facts.h"
#include "smtpd/session.h"
#include "smtpd/tls.h"

enum { NAME_SHOWN_MAX = 255 };

/* Within a comment, and a quoted string in it. */
static void
append_name(struct buf *out, const char *name)
{
	(void)buf_append_text(out, "\"");
	for (size_t i = 0; name[i] && i < NAME_SHOWN_MAX; i++) {
		bool odd = (unsigned char)name[i] < ' ' || (unsigned char)name[i] >= 127 ||
			   strchr("()\\\"", name[i]);

		(void)buf_append(out, odd ? "?" : &name[i], 1);
	}
	(void)buf_append_text(out, "\"");
}

/* " server-signature ECDSA (prime256v1) server-digest SHA256" */
static void
append_signature(
    struct buf *out, const char *side, const char *signature, const char *detail, const char *digest)
{
	(void)buf_printf(out, " %s-signature %s", side, signature);
	if (detail[0])
		(void)buf_printf(out, " (%s)", detail);
	if (digest[0])
		(void)buf_printf(out, " %s-digest %s", side, digest);
}

static void
append_cipher(struct buf *out, const struct tls_facts *f)
{
	(void)buf_printf(out, "(using %s with cipher %s (%d/%d bits)", f->protocol, f->cipher, f->bits_used,
	    f->bits_algorithm);
	if (f->key_exchange[0]) {
		(void)buf_printf(out, "\r\n\t key-exchange %s", f->key_exchange);
		if (f->key_exchange_detail[0])
			(void)buf_printf(out, " (%s)", f->key_exchange_detail);
		if (f->server_signature[0])
			append_signature(
			    out, "server", f->server_signature, f->server_signature_detail, f->server_digest);
	}
	if (f->client_signature[0]) {
		(void)buf_append_text(out, "\r\n\t");
		append_signature(
		    out, "client", f->client_signature, f->client_signature_detail, f->client_digest);
	}
	(void)buf_append_text(out, ")\r\n\t");
}

static void
append_certificate(struct buf *out, const struct session *s)
{
	const struct tls_facts *f = s->tls;

	if (f->standing == TLS_ANONYMOUS) {
		(void)buf_append_text(out, s->settings->values->smtpd_tls_ask_ccert
					       ? "(Client did not present a certificate)"
					       : "(No client certificate requested)");
	} else {
		(void)buf_append_text(out, "(Client CN ");
		append_name(out, f->subject_common_name);
		(void)buf_append_text(out, ", Issuer ");
		append_name(out, f->issuer_common_name);
		(void)buf_append_text(out, f->trusted ? " (verified OK))" : " (not verified))");
	}
	(void)buf_append_text(out, "\r\n\t");
}

void
tls_append_received(struct buf *out, const struct session *s)
{
	if (!s->tls || !s->settings->values->smtpd_tls_received_header)
		return;
	append_cipher(out, s->tls);
	append_certificate(out, s);
}
