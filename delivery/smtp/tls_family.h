/*
 * tls_family: the parameters that rule TLS of one transport, smtp_tls_... or lmtp_tls_..., under one name each.
 */
#ifndef POSTERN_DELIVERY_SMTP_TLS_FAMILY_H
#define POSTERN_DELIVERY_SMTP_TLS_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

struct conf_values;

struct tls_family {
	const char *name; /* "smtp", "lmtp": how the parameters begin */
	const char
	    *level; /* the old smtp_use_tls and smtp_enforce_tls where smtp_tls_security_level is empty */
	const char *level_origin; /* the parameter that said so */
	const char *policy_maps;
	const char *servername;
	const char *protocols, *mandatory_protocols;
	const char *ciphers, *mandatory_ciphers;
	const char *exclude, *mandatory_exclude;
	const char *verify_match, *secure_match, *fingerprint_match;
	const char *digest;
	const char *ca_file, *ca_path, *anchor_file;
	bool with_system; /* the system's authorities beside those of ca_file and ca_path */
	int64_t depth; /* intermediate certificates */
	int64_t log_level;
	int64_t handshake_timeout_us, cache_timeout_us;
	bool wrapper, reuse, note_offer, block_early_reply;
};

/* The texts live as long as v. */
void tls_family_of(const struct conf_values *v, bool lmtp, struct tls_family *f);

#endif
