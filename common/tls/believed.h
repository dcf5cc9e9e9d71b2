/*
 * believed: authorities that come from several places, each of which may change by itself: a CAfile, a CApath, the system.
 */
#ifndef POSTERN_TLS_BELIEVED_H
#define POSTERN_TLS_BELIEVED_H

#include <stdbool.h>

#include "common/tls/trust.h"

enum tls_place { TLS_PLACE_FILE, TLS_PLACE_FOLDER, TLS_PLACE_SYSTEM, TLS_PLACES };

struct tls_believed;

/* partial_chains: as in trust.h. */
struct tls_believed *tls_believed_new(bool partial_chains);
void tls_believed_free(struct tls_believed **b);

/* What comes from that place from now on; part is taken over. Returns false if it is the same certificates as before. */
bool tls_believed_put(struct tls_believed *b, enum tls_place place, struct tls_trust *part);

/* All of them. Borrowed; another one after each tls_believed_put() that changed something. */
struct tls_trust *tls_believed_trust(const struct tls_believed *b);

#endif
