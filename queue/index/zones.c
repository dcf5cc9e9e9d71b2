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
put_head(struct zone *zone, const struct summary *s)
{
	zone->highest = s->id > zone->highest ? s->id : zone->highest;
	zone->oldest_s = s->arrival_s < zone->oldest_s ? s->arrival_s : zone->oldest_s;
	zone->newest_s = s->arrival_s > zone->newest_s ? s->arrival_s : zone->newest_s;
	zone->largest = s->size > zone->largest ? s->size : zone->largest;
	put_token(zone, ZONE_SENDER, s->sender);
	put_token(zone, ZONE_SENDER_DOMAIN, s->sender_domain);
	if (s->flags & SUMMARY_OWN_SENDER) {
		zone->own = true;
		put_token(zone, ZONE_SENDER, s->own_sender);
		put_token(zone, ZONE_SENDER_DOMAIN, s->own_domain);
	}
	if (s->flags & SUMMARY_HELD) {
		zone->held = true;
		put_token(zone, ZONE_REASON, s->hold_reason);
	} else {
		zone->open = true;
	}
}

static void
put_recipient(struct zone *zone, const struct summary_recipient *r)
{
	put_token(zone, ZONE_ADDRESS, r->address);
	put_token(zone, ZONE_DOMAIN, r->domain);
	put_token(zone, ZONE_HOP, r->hop);
	if (r->original != 0) {
		zone->originals = true;
		put_token(zone, ZONE_ADDRESS, r->original);
		put_token(zone, ZONE_DOMAIN, r->original_domain);
	}
	put_token(zone, ZONE_REASON, r->reason);
}

static void
zone_put(struct zone *zone, const struct summary *row)
{
	struct summary s = *row;
	struct summary_recipient r;

	zone->rows++;
	put_head(zone, &s);
	while (summary_next(&s, &r) > 0)
		put_recipient(zone, &r);
}

/* As it was replaced again and again, more is said of it than is there: anew from its image. False: it has none. */
static bool
zone_renew(struct zones *z, struct zone *zone)
{
	const struct card_list *l = image_load(z, zone, true);
	struct image image = zone->image;

	if (!l)
		return false;
	*zone = (struct zone){.first = zone->first, .known = true, .oldest_s = UINT32_MAX, .image = image};
	zone->rows = image.messages;
	for (size_t i = 0; i < l->count; i++) {
		struct summary s;
		struct summary_recipient r;

		card_read(l, &l->all[i], &s, &r);
		put_head(zone, &s);
		put_recipient(zone, &r);
	}
	return true;
}

static void
zone_join(struct zones *z, struct zone *to, struct zone *from)
{
	image_join(z, to, from);
	to->known = to->known && from->known;
	to->rows += from->rows;
	to->removed += from->removed;
	to->highest = from->highest > to->highest ? from->highest : to->highest;
	to->oldest_s = from->oldest_s < to->oldest_s ? from->oldest_s : to->oldest_s;
	to->newest_s = from->newest_s > to->newest_s ? from->newest_s : to->newest_s;
	to->largest = from->largest > to->largest ? from->largest : to->largest;
	to->held = to->held || from->held;
	to->open = to->open || from->open;
	to->own = to->own || from->own;
	to->originals = to->originals || from->originals;
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
	images_init(&z->images);
}

void
zones_forget(struct zones *z)
{
	images_close(z);
	while (z->count > 1)
		free(z->all[--z->count]);
	z->all[0]->known = false;
	z->unknown = 1;
}

void
zones_fini(struct zones *z)
{
	zones_forget(z);
	images_fini(&z->images);
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
	zone_join(z, z->all[at - 1], z->all[at]);
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
			zone_join(z, z->all[i], z->all[i + 1]);
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
	if (known)
		image_set(z, zone, &(struct card_list){.count = 0});
	return zone;
}

void
zones_forget_one(struct zones *z, struct zone *zone)
{
	image_drop(z, zone);
	z->unknown += zone->known;
	zone->known = false;
}

void
zones_replace(struct zones *z, uint64_t id)
{
	image_gone(z, z->all[find(z, id)], id);
}

void
zones_add(struct zones *z, const struct summary *s)
{
	struct zone *zone;

	make_room(z);
	zone = z->all[find(z, s->id)];
	if (!zone->known)
		return;
	if (zone->rows >= 2 * z->rows_a_zone && !zone_renew(z, zone))
		zones_forget_one(z, zone);
	if (zone->known && zone->rows >= z->rows_a_zone && s->id > zone->highest)
		zone = split(z, s->id, true);
	else if (zone->known && zone->rows >= 2 * z->rows_a_zone)
		zones_forget_one(z, zone);
	if (!zone->known)
		return;
	zone_put(zone, s);
	image_add(z, zone, s);
}

void
zones_remove(struct zones *z, uint64_t id)
{
	struct zone *zone = z->all[find(z, id)];

	if (zone->known && ++zone->removed > zone->rows / 2)
		zones_forget_one(z, zone);
}

/* ---- reading ---- */

struct reading {
	struct zone *zone;
	struct card_list cards;
	bool too_many; /* for an image */
};

static bool
read_row(const struct summary *s, void *context)
{
	struct reading *r = context;

	zone_put(r->zone, s);
	r->too_many = r->too_many || card_list_add(&r->cards, s) < 0;
	return true;
}

/* The zone at 'at', of which 'last' is the last id, from the summaries. *more: it is divided. */
static int
read_zone(struct index *x, size_t at, uint64_t last, bool *more, struct error *err)
{
	struct zones *z = &x->zones;
	struct zone *old = z->all[at];
	struct reading r = {.zone = zone_new(old->first, true)};
	uint64_t after = old->first - 1;
	int status;

	card_list_init(&r.cards);
	status = rows_each(x, &after, last, z->rows_a_zone, read_row, &r, more, err);
	if (status < 0) {
		free(r.zone);
	} else {
		z->all[at] = r.zone;
		z->unknown--;
		free(old);
		if (!r.too_many)
			image_set(z, r.zone, &r.cards);
	}
	card_list_free(&r.cards);
	if (status == 0 && *more)
		split(z, after + 1, false);
	return status;
}

int
zones_step(struct index *x, struct error *err)
{
	struct zones *z = &x->zones;
	size_t at = 0;
	bool more;

	if (x->hidden || !x->env)
		return 0;
	if (images_open(z, x->dir))
		for (size_t i = 0; i < z->count; i++)
			zones_forget_one(z, z->all[i]);
	if (z->unknown == 0)
		return 0;
	make_room(z);
	while (z->all[at]->known)
		at++;
	if (read_zone(x, at, at + 1 < z->count ? z->all[at + 1]->first - 1 : UINT64_MAX, &more, err) < 0)
		return -1;
	if (!more && at > 0 && z->all[at - 1]->known &&
	    z->all[at - 1]->rows + z->all[at]->rows <= z->rows_a_zone)
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

/* Nothing is asked for that one message of the zone may have and another one not. */
static bool
has_nothing_else(const struct zone *zone, const struct zone_wanted *w)
{
	return zone->known && !w->from.wanted && !w->to.wanted && !w->hop.wanted && !w->reason.wanted &&
	       zone->oldest_s >= w->oldest_s && zone->newest_s <= w->newest_s && w->larger == 0 &&
	       (w->held || !zone->held) && (w->open || !zone->open);
}

struct zone *
zones_next(const struct zones *z, const struct zone_wanted *w, uint64_t *after, uint64_t *last, bool *whole)
{
	size_t at;

	if (*after == UINT64_MAX)
		return NULL;
	at = find(z, *after + 1);
	while (at < z->count && !may_have(z->all[at], w))
		at++;
	if (at == z->count)
		return NULL;
	*whole = z->all[at]->first > *after && has_nothing_else(z->all[at], w);
	if (z->all[at]->first > *after + 1)
		*after = z->all[at]->first - 1;
	*last = at + 1 < z->count ? z->all[at + 1]->first - 1 : UINT64_MAX;
	return z->all[at];
}
