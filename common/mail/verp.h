/*
 * verp: an envelope sender for each recipient (VERP_README), so that a list's manager sees from a report's address whom
 * it is about: owner@list becomes owner+user=dom@list for user@dom.
 */
#ifndef POSTERN_MAIL_VERP_H
#define POSTERN_MAIL_VERP_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/span.h"

enum { VERP_DELIMITERS = 2 };

/* Two characters, both of them in filter (verp_delimiter_filter). */
bool verp_delimiters_valid(struct span delimiters, const char *filter);

/*
 * The sender that mail for that recipient has, in the arena; delimiters are valid ones, the sender is not the null one, and all
 * are in the form of address.h. A recipient without a domain has no second delimiter. ptr NULL at the arena's limit.
 */
struct span verp_sender(struct arena *a, struct span delimiters, struct span sender, struct span recipient);

#endif
