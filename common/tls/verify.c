/*
 * The verdict on a peer's certificate, in Postfix's words.
 */
#include <openssl/x509v3.h>
#include <stdio.h>

#include "common/base/text.h"
#include "common/tls/match.h"
#include "common/tls/session_inside.h"

enum { REASON_MAX = 400 };

static const char *
untrusted_issuer(struct tls_session *t, X509 *certificate)
{
	struct buf printable;
	char name[256] = "<unknown>";
	const char *text;

	if (certificate)
		X509_NAME_oneline(X509_get_issuer_name(certificate), name, sizeof(name));
	buf_init(&printable, REASON_MAX);
	text_append_printable(&printable, span_of(name), sizeof(name));
	text = arena_printf(t->arena, "untrusted issuer %s", buf_text(&printable));
	buf_free(&printable);
	return text;
}

static const char *
reason_text(struct tls_session *t, int reason, X509 *certificate)
{
	switch (reason) {
	case X509_V_ERR_CERT_UNTRUSTED:
		return "not trusted by local or TLSA policy";
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return "self-signed certificate";
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return untrusted_issuer(t, certificate);
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
		return "certificate not yet valid";
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
		return "certificate has expired";
	case X509_V_ERR_INVALID_PURPOSE:
		return t->context->side == TLS_CLIENT ? "not designated for use as a server certificate"
						      : "not designated for use as a client certificate";
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		return "certificate chain longer than limit";
	default:
		return arena_printf(t->arena, "num=%d:%s", reason, X509_verify_cert_error_string(reason));
	}
}

/* Called for a chain that does not hold: within the handshake, so only kept. */
void
session_untrusted(struct tls_session *t, int reason, int depth, X509 *certificate)
{
	(void)depth;
	t->why_untrusted = reason_text(t, reason, certificate);
}

struct search {
	struct tls_session *t;
	const char *found;
};

static bool
on_name(void *context, struct span name)
{
	struct search *search = context;

	for (size_t i = 0; i < search->t->wanted_names; i++) {
		if (match_name(name, search->t->wanted[i])) {
			search->found = arena_copy(search->t->arena, name);
			return false;
		}
	}
	return true;
}

static const char *
matched_fingerprint(struct tls_session *t, const struct tls_facts *f)
{
	struct span certificate = span_of(f->certificate_fingerprint), key = span_of(f->key_fingerprint);

	for (size_t i = t->wanted_names; i < t->wanted_count; i++) {
		if (match_fingerprint(certificate, t->wanted[i]))
			return f->certificate_fingerprint;
		if (match_fingerprint(key, t->wanted[i]))
			return f->key_fingerprint;
	}
	return NULL;
}

/* A fingerprint is worth more than any chain; a name only as much as the chain that vouches for it. */
void
session_verdict(struct tls_session *t, struct tls_facts *f, X509 *peer)
{
	struct search search = {.t = t};
	const char *fingerprint;

	if (!peer)
		return;
	f->trusted = SSL_get_verify_result(t->ssl) == X509_V_OK;
	if (!f->trusted)
		f->why_untrusted = t->why_untrusted
				       ? t->why_untrusted
				       : reason_text(t, (int)SSL_get_verify_result(t->ssl), peer);
	if (t->wanted_names)
		match_each_name(peer, on_name, &search);
	for (size_t i = 0; i < t->wanted_names && !search.found; i++)
		if (match_address(peer, t->wanted[i]))
			search.found = arena_copy(t->arena, t->wanted[i]);
	fingerprint = matched_fingerprint(t, f);
	f->matched = search.found || fingerprint;
	f->matched_name = search.found ? search.found : fingerprint ? fingerprint : "";
	f->standing = f->trusted ? TLS_TRUSTED : TLS_UNTRUSTED;
	if (fingerprint || (f->trusted && search.found))
		f->standing = TLS_VERIFIED;
}
