#include "services/resolver/shares.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/base/table.h"

struct party {
	TAILQ_ENTRY(party) link; /* while nothing is under way */
	size_t count;
	int64_t answered_us;
	int64_t silent_until_us;
	char *name; /* any octets: of a session it is a number */
	size_t name_len;
};

TAILQ_HEAD(party_list, party);

struct shares {
	struct table *table;
	struct party_list resting; /* the one that rests longest first */
	size_t max_parties;
	size_t max_each;
};

struct shares *
shares_new(size_t max_parties, size_t max_each)
{
	struct shares *s = mem_alloc(sizeof(*s));

	s->table = table_new(max_parties, NULL);
	s->max_parties = max_parties;
	s->max_each = max_each;
	TAILQ_INIT(&s->resting);
	return s;
}

static void
free_party(struct party *p)
{
	free(p->name);
	free(p);
}

void
shares_free(struct shares **s)
{
	size_t position = 0;
	struct party *p;

	if (!*s)
		return;
	while ((p = table_next((*s)->table, &position, NULL)) != NULL)
		free_party(p);
	table_free(&(*s)->table);
	free(*s);
	*s = NULL;
}

static struct party *
add_party(struct shares *s, struct span name)
{
	struct party *p;

	if (table_count(s->table) >= s->max_parties) {
		p = TAILQ_FIRST(&s->resting);
		if (!p)
			return NULL;
		TAILQ_REMOVE(&s->resting, p, link);
		table_take(s->table, span_make(p->name, p->name_len));
		free_party(p);
	}
	p = mem_alloc(sizeof(*p));
	p->name = mem_strndup(name.ptr, name.len);
	p->name_len = name.len;
	table_put(s->table, name, p);
	TAILQ_INSERT_TAIL(&s->resting, p, link);
	return p;
}

struct party *
shares_take(struct shares *s, struct span name)
{
	struct party *p = table_get(s->table, name);

	if (!p)
		p = add_party(s, name);
	if (!p || p->count >= s->max_each)
		return NULL;
	if (p->count++ == 0)
		TAILQ_REMOVE(&s->resting, p, link);
	return p;
}

void
shares_give(struct shares *s, struct party **p)
{
	if (*p && --(*p)->count == 0)
		TAILQ_INSERT_TAIL(&s->resting, *p, link);
	*p = NULL;
}

void
party_answered(struct party *p, int64_t now_us)
{
	p->answered_us = now_us;
	p->silent_until_us = 0;
}

int64_t
party_answered_us(const struct party *p)
{
	return p->answered_us;
}

void
party_set_silent(struct party *p, int64_t until_us)
{
	p->silent_until_us = until_us;
}

bool
shares_is_silent(const struct shares *s, struct span name, int64_t now_us)
{
	const struct party *p = table_get(s->table, name);

	return p && p->silent_until_us > now_us;
}

void
shares_forget_silence(struct shares *s)
{
	size_t position = 0;
	struct party *p;

	while ((p = table_next(s->table, &position, NULL)) != NULL)
		p->silent_until_us = 0;
}
