/*
 * scram_slow: SaltedPassword (RFC 5802, 3: Hi) in slices, for an event loop: how often it goes round is the server's to say.
 */
#ifndef POSTERN_SASL_SCRAM_SLOW_H
#define POSTERN_SASL_SCRAM_SLOW_H

#include "common/sasl/scram.h"

struct scram_slow;

/* NULL where the library fails, or the salt is too long. */
struct scram_slow *scram_slow_begin(
    enum scram_hash hash, struct span prepared_password, struct span salt, uint32_t iterations);

/* Goes round at most so often. 1: done; 0: there is more to do; -1: the library failed. */
int scram_slow_run(struct scram_slow *s, uint32_t rounds);

/* Of SCRAM_HASH_MAX octets, once it is done. */
const uint8_t *scram_slow_result(const struct scram_slow *s);

/* Overwrites what it held. */
void scram_slow_free(struct scram_slow **s);

#endif
