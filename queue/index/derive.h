/*
 * derive: what the index keeps about a message beside its payload.
 */
#ifndef POSTERN_QUEUE_DERIVE_H
#define POSTERN_QUEUE_DERIVE_H

#include "queue/index/index_db.h"
#include "queue/index/keys.h"

struct derived {
	struct key_list keys; /* sorted, each once */
	struct key_list summaries; /* values, by part */
	uint32_t parts;
};

void derived_init(struct derived *d);
void derived_free(struct derived *d);

/* Keys and the number of summaries; the summaries too if there is a transaction, in which new texts get their numbers. */
int derive(struct index *x, DB_TXN *txn, const struct index_row *row, struct derived *d, struct error *err);

#endif
