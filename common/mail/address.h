/*
 * address: mail addresses as they stand in an envelope (RFC 5321, 4.1.2) and in header fields (RFC 5322, 3.4).
 *
 * Inside Postern an address is kept unquoted-as-written: "local@domain" in the form in which it was sent, a local
 * part quoted only where it must be ("a"@x is kept as a@x), the domain in lower case, no angle brackets; the null
 * sender is the empty span. Comparing two such texts compares the mailboxes (local parts keep their case).
 */
#ifndef POSTERN_MAIL_ADDRESS_H
#define POSTERN_MAIL_ADDRESS_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/span.h"

/* RFC 5321, 4.5.3.1: generous as other servers are. */
enum { ADDRESS_MAX = 900, LOCAL_PART_MAX = 512, DOMAIN_MAX = 255 };

enum {
	ADDRESS_STRICT = 1 << 0, /* strict_rfc821_envelopes: brackets needed, no junk */
	ADDRESS_NULL_OK = 1 << 1, /* <> is fine: MAIL FROM */
	ADDRESS_UTF8 = 1 << 2, /* SMTPUTF8 was asked for (RFC 6531, 3.3) */
	ADDRESS_NO_DOMAIN_OK = 1 << 3, /* <postmaster>, <user>: RCPT TO, sendmail(1) */
	ADDRESS_NO_OPTION =
	    1 << 4 /* not "-x@y", which a command could take for an option: allow_min_user = no */
};

enum address_fault {
	ADDRESS_OK,
	ADDRESS_SYNTAX, /* 501 5.1.3 (5.1.7 for a sender) */
	ADDRESS_NEEDS_UTF8, /* 553 5.6.7 */
	ADDRESS_TOO_LONG /* 501 5.1.3 */
};

/*
 * Parses what follows "MAIL FROM:" or "RCPT TO:": the path, sloppy forms included unless strict. *address is set to
 * the internal form (in the arena), *rest to what follows the path (ESMTP parameters). Source routes are dropped
 * (RFC 5321, appendix C).
 */
enum address_fault address_parse_path(
    struct arena *a, struct span text, unsigned flags, struct span *address, struct span *rest);

/* Splits at the last '@' outside quotes. domain is empty when there is none. */
void address_split(struct span address, struct span *local, struct span *domain);

/* The local part without quotes and escapes, for file names, user names and table keys. */
struct span address_unquote_local(struct arena *a, struct span local);

/* Splits an (unquoted) local part at the first of recipient_delimiter's characters; extension may be empty. As in Postfix never for
 * MAILER-DAEMON, double-bounce and, unless split_owners (not owner_request_special), owner-/-request names. */
void address_split_extension(
    struct span local, const char *delimiters, bool split_owners, struct span *user, struct span *extension);

/* local@domain in the internal form, quoting the (unquoted) local part where needed. NULL span at the arena's limit. */
struct span address_join(struct arena *a, struct span unquoted_local, struct span domain);

/* A domain name by its letters (RFC 5321, 4.1.2; labels at most 63, total 255; '_' is let through), or UTF-8 if asked. */
bool domain_valid(struct span domain, bool utf8);

/* "[192.0.2.1]" or "[IPv6:...]" (RFC 5321, 4.1.3). text: the address as inet_ntop writes it. */
bool address_literal_parse(struct span domain, char text[64]);

/*
 * Addresses of a header field (RFC 5322, 3.4 with obsolete forms; groups are opened; comments and display names
 * dropped; encoded words are never addresses), as lists of this host have them: a@b@c is "a@b"@c, as in Postfix. Calls
 * found for each, in the internal form. Returns -1 with err when the text is too broken to go on; what was found until then
 * was given.
 */
int address_list_parse(struct arena *a, struct span field_body,
    bool (*found)(struct span address, void *context), void *context, struct error *err);

/*
 * The same for a value of a table and an argument of a command, where white space separates addresses as commas do
 * ("joe ann@a"), as in Postfix; not in a name that stands before angle brackets. A domain alone, "@a", is ""@a.
 */
int address_words_parse(struct arena *a, struct span text, bool (*found)(struct span address, void *context),
    void *context, struct error *err);

/*
 * Both kinds of lists, for callers who want to know what stands where an address should: unusable gets it as it was
 * written, without what stands around it; empty if it has no text of its own.
 */
void address_elements_parse(struct arena *a, struct span text, bool words,
    bool (*found)(struct span address, void *context), void (*unusable)(struct span text, void *context),
    void *context);

#endif
