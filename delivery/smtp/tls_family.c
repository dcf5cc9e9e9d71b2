#include "delivery/smtp/tls_family.h"

#include "common/conf/conf.h"

/* The names from before smtp_tls_security_level count where that is empty, as in Postfix. */
static void
level_of(struct tls_family *f, const char *level, bool enforce, bool enforce_peername, bool use)
{
	static const char *const origins[][3] = {
	    {"smtp_tls_security_level", "smtp_enforce_tls", "smtp_use_tls"},
	    {"lmtp_tls_security_level", "lmtp_enforce_tls", "lmtp_use_tls"}};
	const char *const *origin = origins[f->name[0] == 'l'];

	f->level = level;
	f->level_origin = origin[0];
	if (level[0] != '\0')
		return;
	f->level = enforce ? (enforce_peername ? "verify" : "encrypt") : use ? "may" : "none";
	if (enforce || use)
		f->level_origin = origin[enforce ? 1 : 2];
}

static void
family_of_smtp(const struct conf_values *v, struct tls_family *f)
{
	f->name = "smtp";
	level_of(f, v->smtp_tls_security_level, v->smtp_enforce_tls, v->smtp_tls_enforce_peername,
	    v->smtp_use_tls);
	f->policy_maps = v->smtp_tls_policy_maps;
	f->servername = v->smtp_tls_servername;
	f->protocols = v->smtp_tls_protocols;
	f->mandatory_protocols = v->smtp_tls_mandatory_protocols;
	f->ciphers = v->smtp_tls_ciphers;
	f->mandatory_ciphers = v->smtp_tls_mandatory_ciphers;
	f->exclude = v->smtp_tls_exclude_ciphers;
	f->mandatory_exclude = v->smtp_tls_mandatory_exclude_ciphers;
	f->verify_match = v->smtp_tls_verify_cert_match;
	f->secure_match = v->smtp_tls_secure_cert_match;
	f->fingerprint_match = v->smtp_tls_fingerprint_cert_match;
	f->digest = v->smtp_tls_fingerprint_digest;
	f->ca_file = v->smtp_tls_CAfile;
	f->ca_path = v->smtp_tls_CApath;
	f->anchor_file = v->smtp_tls_trust_anchor_file;
	f->depth = v->smtp_tls_scert_verifydepth;
	f->log_level = v->smtp_tls_loglevel;
	f->handshake_timeout_us = v->smtp_starttls_timeout;
	f->cache_timeout_us = v->smtp_tls_session_cache_timeout;
	f->wrapper = v->smtp_tls_wrappermode;
	f->reuse = v->smtp_tls_connection_reuse;
	f->note_offer = v->smtp_tls_note_starttls_offer;
	f->block_early_reply = v->smtp_tls_block_early_mail_reply;
}

static void
family_of_lmtp(const struct conf_values *v, struct tls_family *f)
{
	f->name = "lmtp";
	level_of(f, v->lmtp_tls_security_level, v->lmtp_enforce_tls, v->lmtp_tls_enforce_peername,
	    v->lmtp_use_tls);
	f->policy_maps = v->lmtp_tls_policy_maps;
	f->servername = v->lmtp_tls_servername;
	f->protocols = v->lmtp_tls_protocols;
	f->mandatory_protocols = v->lmtp_tls_mandatory_protocols;
	f->ciphers = v->lmtp_tls_ciphers;
	f->mandatory_ciphers = v->lmtp_tls_mandatory_ciphers;
	f->exclude = v->lmtp_tls_exclude_ciphers;
	f->mandatory_exclude = v->lmtp_tls_mandatory_exclude_ciphers;
	f->verify_match = v->lmtp_tls_verify_cert_match;
	f->secure_match = v->lmtp_tls_secure_cert_match;
	f->fingerprint_match = v->lmtp_tls_fingerprint_cert_match;
	f->digest = v->lmtp_tls_fingerprint_digest;
	f->ca_file = v->lmtp_tls_CAfile;
	f->ca_path = v->lmtp_tls_CApath;
	f->anchor_file = v->lmtp_tls_trust_anchor_file;
	f->depth = v->lmtp_tls_scert_verifydepth;
	f->log_level = v->lmtp_tls_loglevel;
	f->handshake_timeout_us = v->lmtp_starttls_timeout;
	f->cache_timeout_us = v->lmtp_tls_session_cache_timeout;
	f->wrapper = v->lmtp_tls_wrappermode;
	f->reuse = v->lmtp_tls_connection_reuse;
	f->note_offer = v->lmtp_tls_note_starttls_offer;
	f->block_early_reply = v->lmtp_tls_block_early_mail_reply;
}

void
tls_family_of(const struct conf_values *v, bool lmtp, struct tls_family *f)
{
	*f = (struct tls_family){.with_system = v->tls_append_default_CA};
	(lmtp ? family_of_lmtp : family_of_smtp)(v, f);
}
