/*
 * member_name: the names that stand for what is behind aliases and .forward files of this host: "\\NAME|DIGEST" for a command
 * or file of alias NAME, "\\NAME~DIGEST" for one of the .forward of NAME, "\\NAME" for the mailbox of the user, past alias
 * and .forward, "\\\\NAME" for the user, past aliases (delivery/local/expand.h says why).
 */
#ifndef POSTERN_MAIL_MEMBER_NAME_H
#define POSTERN_MAIL_MEMBER_NAME_H

#include <stdbool.h>

#include "common/base/span.h"

enum { MEMBER_DIGEST_LEN = 16, MEMBER_SHOWN_SIZE = 1100 };

/* Tells members of one list apart. kind: enum alias_member. The same for ever: the names lie in the queue. */
void member_digest(unsigned kind, struct span text, char digest[MEMBER_DIGEST_LEN + 1]);

/* Takes an (unquoted) name apart: "\\NAME|DIGEST" or "\\NAME~DIGEST" (forward). False if it is none of them. */
bool member_name_split(struct span local, struct span *name, struct span *digest, bool *forward);

/*
 * NAME@domain: the address that people know, for an address that a list led to (any other one may look so: whoever asks knows
 * that a list did); in text where it is another one. What is no such name comes back as it is.
 */
struct span member_shown(struct span address, char text[MEMBER_SHOWN_SIZE]);

/* Whether it may be one that member_shown() changes. */
static inline bool
member_may_be(struct span address)
{
	return address.len > 2 && address.ptr[0] == '"' && address.ptr[1] == '\\';
}

#endif
