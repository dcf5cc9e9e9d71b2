#include "queue/index/zones.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "queue/index/index_db.h"
#include "queue/index/rows.h"

enum { PROBES = 3, FIRST_ID = 1 };

/* ---- one zone ---- */

static uint64_t
token_of(enum zone_token kind, uint64_t value)
{
	uint64_t h = (value + (uint64_t)kind * 0x9e3779b97f4a7c15u) * 0xbf58476d1ce4e5b9u;

	h = (h ^ h >> 32) * 0x94d049bb133111ebu;
	return h ^ h >> 29;
}

static void
put_token(struct zone *zone, enum zone_token kind, uint64_t value)
{
	uint64_t h = token_of(kind, value);

	for (int i = 0; i < PROBES; i++, h >>= 20)
		zone->bits[h % ZONE_BITS / 64] |= (uint64_t)1 << h % 64;
}

static bool
has_token(const struct zone *zone, uint64_t h)
{
	for (int i = 0; i < PROBES; i++, h >>= 20)
		if (!(zone->bits[h % ZONE_BITS / 64] >> h % 64 & 1))
			return false;
	return true;
}

static struct zone *
zone_new(uint64_t first, bool known)
{
	struct zone *zone = mem_alloc(sizeof(*zone));

	zone->first = first;
	zone->known = known;
	zone->oldest_s = UINT32_MAX;
	return zone;
}

static void
zone_put(struct zone *zone, const struct summary *row)
{
	struct summary s = *row;
	struct summary_recipient r;

	zone->rows++;
	zone->highest = s.id > zone->highest ? s.id : zone->highest;
	zone->oldest_s = s.arrival_s < zone->oldest_s ? s.arrival_s : zone->oldest_s;
	zone->newest_s = s.arrival_s > zone->newest_s ? s.arrival_s : zone->newest_s;
	zone->largest = s.size > zone->largest ? s.size : zone->largest;
	put_token(zone, ZONE_SENDER, s.sender);
	put_token(zone, ZONE_SENDER_DOMAIN, s.sender_domain);
	if (s.flags & SUMMARY_OWN_SENDER) {
		put_token(zone, ZONE_SENDER, s.own_sender);
		put_token(zone, ZONE_SENDER_DOMAIN, s.own_domain);
	}
	if (s.flags & SUMMARY_HELD) {
		zone->held = true;
		put_token(zone, ZONE_REASON, s.hold_reason);
	} else {
		zone->open = true;
	}
	while (summary_next(&s, &r) > 0) {
		put_token(zone, ZONE_ADDRESS, r.address);
		put_token(zone, ZONE_DOMAIN, r.domain);
		put_token(zone, ZONE_HOP, r.hop);
		put_token(zone, ZONE_REASON, r.reason);
	}
}

static void
zone_join(struct zone *to, const struct zone *from)
{
	to->known = to->known && from->known;
	to->rows += from->rows;
	to->removed += from->removed;
	to->highest = from->highest > to->highest ? from->highest : to->highest;
	to->oldest_s = from->oldest_s < to->oldest_s ? from->oldest_s : to->oldest_s;
	to->newest_s = from->newest_s > to->newest_s ? from->newest_s : to->newest_s;
	to->largest = from->largest > to->largest ? from->largest : to->largest;
	to->held = to->held || from->held;
	to->open = to->open || from->open;
	for (size_t i = 0; i < ZONE_BITS / 64; i++)
		to->bits[i] |= from->bits[i];
}

/* ---- all of them ---- */

void
zones_init(struct zones *z, uint32_t rows_a_zone)
{
	z->all = mem_alloc_array(ZONES_MAX, sizeof(struct zone *));
	z->all[0] = zone_new(FIRST_ID, false);
	z->count = z->unknown = 1;
	z->rows_a_zone = rows_a_zone;
}

void
zones_forget(struct zones *z)
{
	while (z->count > 1)
		free(z->all[--z->count]);
	z->all[0]->known = false;
	z->unknown = 1;
}

void
zones_fini(struct zones *z)
{
	zones_forget(z);
	free(z->all[0]);
	free(z->all);
	z->all = NULL;
}

static size_t
find(const struct zones *z, uint64_t id)
{
	size_t low = 0, high = z->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (z->all[middle]->first <= id)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void
count_unknown(struct zones *z)
{
	z->unknown = 0;
	for (size_t i = 0; i < z->count; i++)
		z->unknown += !z->all[i]->known;
}

/* The one at 'at' goes into the one before it. */
static void
join(struct zones *z, size_t at)
{
	zone_join(z->all[at - 1], z->all[at]);
	free(z->all[at]);
	memmove(&z->all[at], &z->all[at + 1], (--z->count - at) * sizeof(struct zone *));
	count_unknown(z);
}

/* Room for one more: if there is none, each stands for twice as many rows from now on. Zones found before may be gone. */
static void
make_room(struct zones *z)
{
	size_t kept = 0;

	if (z->count < ZONES_MAX)
		return;
	for (size_t i = 0; i < z->count; i += 2) {
		if (i + 1 < z->count) {
			zone_join(z->all[i], z->all[i + 1]);
			free(z->all[i + 1]);
		}
		z->all[kept++] = z->all[i];
	}
	z->count = kept;
	z->rows_a_zone *= 2;
	count_unknown(z);
}

/* From 'first' on, in a zone that has nothing there, is another one. */
static struct zone *
split(struct zones *z, uint64_t first, bool known)
{
	struct zone *zone = zone_new(first, known);
	size_t at = find(z, first) + 1;

	memmove(&z->all[at + 1], &z->all[at], (z->count++ - at) * sizeof(struct zone *));
	z->all[at] = zone;
	z->unknown += !known;
	return zone;
}

static void
forget(struct zones *z, struct zone *zone)
{
	z->unknown += zone->known;
	zone->known = false;
}

void
zones_add(struct zones *z, const struct summary *s)
{
	struct zone *zone;

	make_room(z);
	zone = z->all[find(z, s->id)];
	if (!zone->known)
		return;
	if (zone->rows >= z->rows_a_zone && s->id > zone->highest)
		zone = split(z, s->id, true);
	else if (zone->rows >= 2 * z->rows_a_zone)
		forget(z, zone);
	if (zone->known)
		zone_put(zone, s);
}

void
zones_remove(struct zones *z, uint64_t id)
{
	struct zone *zone = z->all[find(z, id)];

	if (zone->known && ++zone->removed > zone->rows / 2)
		forget(z, zone);
}

/* ---- reading ---- */

static bool
read_row(const struct summary *s, void *context)
{
	zone_put(context, s);
	return true;
}

int
zones_step(struct index *x, struct error *err)
{
	struct zones *z = &x->zones;
	struct zone *old, *new;
	uint64_t after, last;
	size_t at = 0;
	bool more;

	if (x->hidden || !x->env || z->unknown == 0)
		return 0;
	make_room(z);
	while (z->all[at]->known)
		at++;
	old = z->all[at];
	new = zone_new(old->first, true);
	after = old->first - 1;
	last = at + 1 < z->count ? z->all[at + 1]->first - 1 : UINT64_MAX;
	if (rows_each(x, &after, last, z->rows_a_zone, read_row, new, &more, err) < 0) {
		free(new);
		return -1;
	}
	z->all[at] = new;
	z->unknown--;
	free(old);
	if (more)
		split(z, after + 1, false);
	else if (at > 0 && z->all[at - 1]->known && z->all[at - 1]->rows + new->rows <= z->rows_a_zone)
		join(z, at);
	return z->unknown > 0;
}

/* ---- asking ---- */

void
zone_set_add(struct zone_set *s, enum zone_token kind, uint64_t value)
{
	s->wanted = true;
	if (s->count == ZONE_TOKENS_MAX)
		s->many = true;
	else
		s->tokens[s->count++] = token_of(kind, value);
}

static bool
set_may_be_in(const struct zone_set *s, const struct zone *zone)
{
	if (!s->wanted || s->many)
		return true;
	for (size_t i = 0; i < s->count; i++)
		if (has_token(zone, s->tokens[i]))
			return true;
	return false;
}

static bool
may_have(const struct zone *zone, const struct zone_wanted *w)
{
	if (!zone->known)
		return true;
	return zone->rows > 0 && zone->oldest_s <= w->newest_s && zone->newest_s >= w->oldest_s &&
	       zone->largest >= w->larger && ((zone->held && w->held) || (zone->open && w->open)) &&
	       set_may_be_in(&w->from, zone) && set_may_be_in(&w->to, zone) && set_may_be_in(&w->hop, zone) &&
	       set_may_be_in(&w->reason, zone);
}

bool
zones_stretch(const struct zones *z, const struct zone_wanted *w, uint64_t *after, uint64_t *last)
{
	size_t at, end;

	if (*after == UINT64_MAX)
		return false;
	at = find(z, *after + 1);
	while (at < z->count && !may_have(z->all[at], w))
		at++;
	if (at == z->count)
		return false;
	if (z->all[at]->first > *after + 1)
		*after = z->all[at]->first - 1;
	end = at + 1;
	while (end < z->count && may_have(z->all[end], w))
		end++;
	*last = end < z->count ? z->all[end]->first - 1 : UINT64_MAX;
	return true;
}
