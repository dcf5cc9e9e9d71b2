/*
 * token_check: one question about a token: a table that asks the authorization server whose it is, and whether that is whom
 * the client named.
 */
#ifndef POSTERN_LOOKUP_TOKEN_CHECK_H
#define POSTERN_LOOKUP_TOKEN_CHECK_H

#include "common/map/maplist.h"
#include "services/lookup/password_check.h"

/* list: tables of tokens alone. found is overwritten. */
void token_answer(struct maplist *list, struct map_found *found, struct password_question *q);

#endif
