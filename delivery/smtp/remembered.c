#include "delivery/smtp/remembered.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/table.h"

enum { KEY_SIZE = 1100 };

struct remembered {
	struct table *by_key;
};

static struct span
make_key(char key[KEY_SIZE], uint64_t id, struct span recipient, uint32_t attempt)
{
	int len =
	    snprintf(key, KEY_SIZE, "%016" PRIx64 "/%" PRIu32 "/%.*s", id, attempt, SPAN_ARG(recipient));

	return span_make(key, len < KEY_SIZE ? (size_t)len : KEY_SIZE - 1);
}

struct remembered *
remembered_new(void)
{
	struct remembered *r = mem_alloc(sizeof *r);

	r->by_key = table_new(REMEMBERED_MAX, free);
	return r;
}

void
remembered_free(struct remembered **r)
{
	if (!*r)
		return;
	table_free(&(*r)->by_key);
	free(*r);
	*r = NULL;
}

void
remembered_put(
    struct remembered *r, uint64_t id, struct span recipient, uint32_t attempt, const struct verdict *v)
{
	char key[KEY_SIZE];
	struct verdict *copy = mem_alloc(sizeof *copy);

	*copy = *v;
	if (table_put(r->by_key, make_key(key, id, recipient, attempt), copy) < 0)
		free(copy);
}

bool
remembered_take(struct remembered *r, uint64_t id, struct span recipient, uint32_t attempt, struct verdict *v)
{
	char key[KEY_SIZE];
	struct verdict *found;

	if (table_count(r->by_key) == 0)
		return false;
	found = table_take(r->by_key, make_key(key, id, recipient, attempt));
	if (!found)
		return false;
	*v = *found;
	free(found);
	return true;
}
