/*
 * remembered: outcomes that could not be told because queue was away. When it is back it hands out the same attempts
 * again; who has an outcome here gets it without a second delivery.
 */
#ifndef POSTERN_DELIVERY_SMTP_REMEMBERED_H
#define POSTERN_DELIVERY_SMTP_REMEMBERED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "delivery/smtp/verdict.h"

/* Beyond that many an outcome is forgotten, and its delivery repeated at worst. */
enum { REMEMBERED_MAX = 2000 };

struct remembered;

struct remembered *remembered_new(void);
void remembered_free(struct remembered **r);

void remembered_put(
    struct remembered *r, uint64_t id, struct span recipient, uint32_t attempt, const struct verdict *v);

/* Returns true and fills v if there was one; it is forgotten then. */
bool remembered_take(
    struct remembered *r, uint64_t id, struct span recipient, uint32_t attempt, struct verdict *v);

#endif
