/*
 * The peer's certificates as they came, and what ties an authentication to the channel.
 */
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <string.h>

#include "common/base/text.h"
#include "common/tls/match.h"
#include "common/tls/session_inside.h"

size_t
tls_peer_certificate(const struct stream *s, unsigned char *out, size_t max)
{
	const struct tls_session *t = session_on(s);
	X509 *peer = t && t->facts ? SSL_get0_peer_certificate(t->ssl) : NULL;
	int len = peer ? i2d_X509(peer, NULL) : 0;

	if (len <= 0 || (size_t)len > max)
		return 0;
	return (size_t)i2d_X509(peer, &out);
}

/* ---- the chain, for people ---- */

static void
append_name(struct buf *out, const X509_NAME *name)
{
	char text[300] = "";

	X509_NAME_oneline(name, text, sizeof(text));
	text_append_printable(out, span_of(text), sizeof(text));
}

static void
append_time(struct buf *out, const ASN1_TIME *time)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) == 1)
		buf_printf(out, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	else
		buf_append_text(out, "?");
}

static bool
append_host_name(void *context, struct span name)
{
	struct buf *out = context;

	buf_append_text(out, " ");
	text_append_printable(out, name, name.len);
	return !out->full;
}

void
tls_peer_chain_print(const struct stream *s, struct buf *out)
{
	const struct tls_session *t = session_on(s);
	STACK_OF(X509) *chain = t && t->facts ? SSL_get_peer_cert_chain(t->ssl) : NULL;
	X509 *certificate;

	for (int i = 0; i < sk_X509_num(chain); i++) {
		certificate = sk_X509_value(chain, i);
		buf_printf(out, "%d: ", i);
		append_name(out, X509_get_subject_name(certificate));
		buf_append_text(out, " issued by ");
		append_name(out, X509_get_issuer_name(certificate));
		buf_append_text(out, ", valid ");
		append_time(out, X509_get0_notBefore(certificate));
		buf_append_text(out, " to ");
		append_time(out, X509_get0_notAfter(certificate));
		if (i == 0) {
			buf_append_text(out, ", for");
			match_each_name(certificate, append_host_name, out);
		}
		buf_append_text(out, "\n");
	}
	ERR_clear_error();
}

/* ---- channel bindings ---- */

/* RFC 9266, 4.2: in TLS 1.2 only with the extended master secret. */
static size_t
exporter(struct tls_session *t, unsigned char *out)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	enum { LENGTH = 32 };

	if (SSL_version(t->ssl) < TLS1_3_VERSION && SSL_get_extms_support(t->ssl) != 1)
		return 0;
	return SSL_export_keying_material(
		   t->ssl, out, LENGTH, label, sizeof(label) - 1, (const unsigned char *)"", 0, 1) == 1
		   ? LENGTH
		   : 0;
}

/* RFC 5929, 3.1: the first Finished of the latest handshake, the client's unless a session was resumed. */
static size_t
unique(struct tls_session *t, unsigned char *out)
{
	bool ours = (t->context->side == TLS_CLIENT) != (SSL_session_reused(t->ssl) == 1);

	if (SSL_version(t->ssl) >= TLS1_3_VERSION || SSL_get_extms_support(t->ssl) != 1)
		return 0;
	return ours ? SSL_get_finished(t->ssl, out, TLS_BINDING_MAX)
		    : SSL_get_peer_finished(t->ssl, out, TLS_BINDING_MAX);
}

/* RFC 5929, 4.1: MD5 and SHA-1 count as SHA-256. A signature without a digest (Ed25519) has no such binding. */
static size_t
server_end_point(struct tls_session *t, unsigned char *out)
{
	X509 *certificate =
	    t->context->side == TLS_SERVER ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);
	int digest = NID_undef;
	unsigned len = 0;

	/* Which of several certificates the first handshake showed is not known any more to a server. */
	if (t->context->side == TLS_SERVER && SSL_session_reused(t->ssl) == 1)
		return 0;
	if (!certificate || X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) != 1 ||
	    digest == NID_undef)
		return 0;
	if (digest == NID_md5 || digest == NID_sha1)
		digest = NID_sha256;
	return X509_digest(certificate, EVP_get_digestbynid(digest), out, &len) == 1 ? len : 0;
}

size_t
tls_channel_binding(const struct stream *s, enum tls_binding binding, unsigned char out[TLS_BINDING_MAX])
{
	struct tls_session *t = session_on(s);
	size_t len = 0;

	if (!t || !t->facts)
		return 0;
	switch (binding) {
	case TLS_BINDING_EXPORTER:
		len = exporter(t, out);
		break;
	case TLS_BINDING_UNIQUE:
		len = unique(t, out);
		break;
	case TLS_BINDING_SERVER_END_POINT:
		len = server_end_point(t, out);
		break;
	}
	ERR_clear_error();
	return len <= TLS_BINDING_MAX ? len : 0;
}
