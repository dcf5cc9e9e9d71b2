/*
 * member_name: the names that stand for the commands and files of aliases and .forward files (expand.h says why).
 */
#ifndef POSTERN_LOCAL_MEMBER_NAME_H
#define POSTERN_LOCAL_MEMBER_NAME_H

#include "delivery/local/expand.h"

/* Tells members of one list apart. The same for ever: the names lie in the queue. */
void member_digest(enum alias_member kind, struct span text, char digest[EXPAND_DIGEST_LEN + 1]);

/* Takes an (unquoted) name apart: "\NAME|DIGEST" or "\NAME~DIGEST" (forward). False if it is none of them. */
bool member_name_split(struct span local, struct span *name, struct span *digest, bool *forward);

#endif
