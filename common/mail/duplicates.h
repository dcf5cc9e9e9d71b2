/*
 * duplicates: the filter that gives each mailbox a message once, under whatever names it was reached, as Postfix's
 * cleanup(8) has it: recipients that differ in the case of letters are one.
 */
#ifndef POSTERN_MAIL_DUPLICATES_H
#define POSTERN_MAIL_DUPLICATES_H

#include <stdbool.h>

#include "common/base/span.h"
#include "common/base/table.h"

struct duplicate_key {
	struct span recipient;
	struct span original; /* as it was given; empty if same */
	struct span orcpt; /* RFC 3461, 4.2; empty if not given */
	unsigned notify; /* DSN_NOTIFY_* */
};

/*
 * Is one like it in the table? It is from now on, as far as that has room. originals: enable_original_recipient, by which
 * those that were given as two, or that want other reports, are two.
 */
bool duplicate_is_known(struct table *seen, const struct duplicate_key *key, bool originals);

#endif
