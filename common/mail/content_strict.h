/*
 * content_strict: what of a message is refused or left out by its octets alone: message_reject_characters,
 * message_strip_characters, strict_7bit_headers, strict_8bitmime_body, strict_mime_encoding_domain (RFC 2045, 6.4).
 *
 * Content goes through in any cut, as it is stored (CRLF). Line ends are never refused nor left out.
 */
#ifndef POSTERN_MAIL_CONTENT_STRICT_H
#define POSTERN_MAIL_CONTENT_STRICT_H

#include "common/mail/mime_walk.h"

struct conf_values;

struct octet_set {
	bool any;
	bool has[256];
};

/* "\0ab\r\\": octets, and the escapes of C: \a \b \f \n \r \t \v \\ and up to three octal digits. */
void octet_set_parse(struct span text, struct octet_set *set);

struct content_strict_rules {
	struct octet_set refused, stripped;
	bool header_7bit, body_7bit; /* 8-bit octets only where a Content-Transfer-Encoding announces them */
	bool composite_domain; /* a multipart or a message has no encoding but 7bit, 8bit and binary */
};

/* By the configuration. False: there is nothing to look at. */
bool content_strict_rules_of(const struct conf_values *v, struct content_strict_rules *rules);

/* What is refused: kind and words are static ("content", "5.7.1 disallowed character"), line lives until the next call. */
struct content_refusal {
	const char *kind; /* for the log; NULL: nothing is */
	const char *words;
	struct span line;
};

struct content_strict;

struct content_strict *content_strict_new(
    const struct content_strict_rules *rules, const struct mime_limits *limits);
void content_strict_free(struct content_strict **s);

/* Returns what goes on, up to the next call; the first refusal of the message, once, is put into refusal. */
struct span content_strict_put(struct content_strict *s, struct span bytes, struct content_refusal *refusal);

/* Octets were left out of the message. */
bool content_strict_has_changed(const struct content_strict *s);

#endif
