/*
 * index_model: messages as the index must know them, in plain memory: changed at random together with it, and asked the same.
 */
#ifndef POSTERN_TESTS_UNIT_QUEUE_INDEX_MODEL_H
#define POSTERN_TESTS_UNIT_QUEUE_INDEX_MODEL_H

#include "common/base/buf.h"
#include "queue/index/index_db.h"

enum { MESSAGES = 400, PAYLOAD_MAX = 4 << 20 };

/* Payloads by id, and whether there is one. */
struct model {
	struct buf rows[MESSAGES];
	bool there[MESSAGES];
};

extern uint64_t model_seed;
extern int64_t model_base_us; /* spool time; one for the killed process and for who looks afterwards */

/* Below n, by the seed. */
unsigned model_any(unsigned n);
uint64_t model_id(unsigned i);

/* Another message's, in place of what out had. */
void model_payload(struct buf *out);

struct model *model_new(void);
void model_free(struct model *m);

/* One transaction of both; or one that fails, and changes nothing. */
void model_change(struct model *m, struct index *x, uint64_t position);
void model_fail_to_change(struct index *x);

/* Every filter alone and many at once find what the model has. */
void model_check(struct model *m, struct index *x);

/* index_each_summary()'s: every number leads to a text, every row to a message. context: the index. */
bool model_check_row(const struct summary *row, void *context);

#endif
