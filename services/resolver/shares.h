/*
 * shares: who uses how much of the resolver, so that nobody uses it all.
 *
 * A party is a zone or an asking session. Parties with something under way are counted; zones that did not answer
 * are remembered for a while.
 */
#ifndef POSTERN_RESOLVER_SHARES_H
#define POSTERN_RESOLVER_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct shares;
struct party;

/* max_parties: those that are remembered at once. max_each: what one of them may have under way. */
struct shares *shares_new(size_t max_parties, size_t max_each);
void shares_free(struct shares **s);

/* Counts one more for that party. NULL if it has its share already, or too many parties have something under way. */
struct party *shares_take(struct shares *s, struct span name);

/* Clears the caller's pointer. */
void shares_give(struct shares *s, struct party **p);

/* The party answered, or was silent until when. */
void party_answered(struct party *p, int64_t now_us);
int64_t party_answered_us(const struct party *p);
void party_set_silent(struct party *p, int64_t until_us);
bool shares_is_silent(const struct shares *s, struct span name, int64_t now_us);
void shares_forget_silence(struct shares *s);

#endif
