/*
 * rewriting: the addresses in one message's header, asked of lookup question by question (common/mail/header_rewrite.h).
 */
#ifndef POSTERN_PICKUP_REWRITING_H
#define POSTERN_PICKUP_REWRITING_H

#include "common/mail/header_rewrite.h"
#include "services/pickup/pickup.h"

struct rewriting;

enum rewriting_start { REWRITING_UNDER_WAY, REWRITING_NOT_NEEDED, REWRITING_IMPOSSIBLE };

/*
 * Sets *r while it is under way. done is called once, in a later turn: header is the new one, or has no ptr when lookup
 * cannot tell (reason says why). The rewriting is gone then. REWRITING_IMPOSSIBLE: lookup is not there.
 */
enum rewriting_start rewriting_start(struct rewriting **r, struct pickup *p,
    const struct header_rewrite_rules *rules, struct span header,
    void (*done)(void *context, struct span header, struct span reason), void *context);

/* done is not called. Clears the caller's pointer, which may be NULL. */
void rewriting_abort(struct rewriting **r);

#endif
