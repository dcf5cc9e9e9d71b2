#include "queue/index/query.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/index/dictionary.h"
#include "queue/index/mask.h"
#include "queue/index/number_map.h"
#include "queue/index/zones.h"
#include "queue/log/record.h"
#include "queue/message.h"
#include "queue/spool_clock.h"

enum {
	TEXT_MAX = 4096,
	TEMPLATES_BYTES = 8 << 20,
	ZONE_COST = 100 /* rows */,
	CARDS_A_ROW = 4 /* are looked at in the time of one */,
	NO_DOMAIN = 0xffffffff
};

/*
 * What a text of the dictionary says of a filter. MAYBE: it depends on the variables; MAYBE + 1 + i: the same, and the
 * template is kept as the plan's i-th.
 */
enum verdict { UNKNOWN, NO, YES, MAYBE };

struct address_plan {
	enum filter_address kind;
	uint64_t hash;
	uint32_t domain; /* NO_DOMAIN: not in the dictionary yet */
};

struct query_plan {
	const struct filter *f;
	bool made;
	uint32_t made_for; /* numbers below this one were judged */
	struct address_plan from, to;
	struct number_map hops, reasons; /* verdicts */
	bool any_hop, any_reason; /* is not NO */
	bool digits; /* f->reason may lie in a number */
	bool variables_tell; /* there is a text that is MAYBE */
	uint32_t now_s;
	struct zone_wanted wanted;
	struct mask_wanted variables; /* what f->reason asks of them */
	struct buf templates; /* of MAYBE, one after the other */
	struct template
	{
		size_t at, len;
		bool words;
	}
	*kept;
	size_t kept_count, kept_cap;
	struct buf text;
};

/* ---- the plan ---- */

struct query_plan *
query_plan_new(const struct filter *f)
{
	struct query_plan *p = mem_alloc(sizeof(*p));

	p->f = f;
	buf_init(&p->text, TEXT_MAX);
	buf_init(&p->templates, TEMPLATES_BYTES);
	p->digits = f->reason && (strpbrk(f->reason, "0123456789") || strcmp(f->reason, ".") == 0);
	if (f->reason)
		mask_wanted_init(&p->variables, f->reason);
	return p;
}

void
query_plan_free(struct query_plan **p)
{
	struct query_plan *gone = *p;

	*p = NULL;
	if (!gone)
		return;
	number_map_free(&gone->hops);
	number_map_free(&gone->reasons);
	buf_free(&gone->text);
	buf_free(&gone->templates);
	free(gone->kept);
	free(gone);
}

static int
plan_address(struct index *x, struct address_plan *a, const char *wanted, struct error *err)
{
	a->kind = filter_address_kind(wanted);
	if (a->kind == FILTER_ADDRESS)
		a->hash = dictionary_hash(x, span_of(wanted));
	if (a->kind != FILTER_DOMAIN)
		return 0;
	if (dictionary_number(x, NULL, DICTIONARY_DOMAIN, span_of(wanted + 1), &a->domain, err) < 0)
		return -1;
	if (a->domain == 0 && wanted[1] != '\0')
		a->domain = NO_DOMAIN;
	return 0;
}

static bool
judge_hop(uint32_t number, struct span text, void *context)
{
	struct query_plan *p = context;
	ptrdiff_t colon = span_find(text, ':');
	bool yes = colon >= 0 && filter_nexthop_match(p->f->nexthop, span_sub(text, 0, (size_t)colon),
				     span_from(text, (size_t)colon + 1));

	p->any_hop = p->any_hop || yes;
	if (yes)
		zone_set_add(&p->wanted.hop, ZONE_HOP, number);
	number_map_put(&p->hops, number, yes ? YES : NO);
	return true;
}

/* What stands in the template stands in the text. Else it may lie in a word that is masked, or go over a number. */
static enum verdict
judge_template(const struct query_plan *p, struct span template)
{
	if (template.len == 0)
		return NO;
	if (filter_text_match(p->f->reason, template))
		return YES;
	if (memchr(template.ptr, MASK_WORD, template.len) ||
	    (p->digits && memchr(template.ptr, MASK_NUMBER, template.len)))
		return MAYBE;
	return NO;
}

/* Templates that every row asks for are kept, as far as there is room. */
static uint32_t
keep_template(struct query_plan *p, struct span template)
{
	size_t at = p->templates.len;

	if (buf_append_span(&p->templates, template) < 0)
		return MAYBE;
	if (p->kept_count == p->kept_cap) {
		p->kept_cap = p->kept_cap ? p->kept_cap * 2 : 64;
		p->kept = mem_resize(p->kept, p->kept_cap * sizeof(*p->kept));
	}
	p->kept[p->kept_count] =
	    (struct template){at, template.len, memchr(template.ptr, MASK_WORD, template.len) != NULL};
	return MAYBE + 1 + (uint32_t)p->kept_count++;
}

static bool
judge_reason(uint32_t number, struct span text, void *context)
{
	struct query_plan *p = context;
	uint32_t v = judge_template(p, text);

	p->any_reason = p->any_reason || v != NO;
	p->variables_tell = p->variables_tell || v == MAYBE;
	if (v != NO)
		zone_set_add(&p->wanted.reason, ZONE_REASON, number);
	number_map_put(&p->reasons, number, v == MAYBE ? keep_template(p, text) : v);
	return true;
}

/* What the rows of a zone must have for one to match. */
static void
want_head(struct query_plan *p)
{
	const struct filter *f = p->f;

	p->wanted.oldest_s = f->newer_us < 0 ? INT64_MIN : p->now_s - f->newer_us / US_PER_SECOND;
	p->wanted.newest_s = f->older_us < 0 ? INT64_MAX : p->now_s - f->older_us / US_PER_SECOND;
	p->wanted.larger = f->larger < 0 ? 0 : (uint64_t)f->larger + 1;
	p->wanted.held = !f->states || f->states & FILTER_HOLD;
	p->wanted.open = !f->states || f->states & FILTER_DEFERRED;
}

static void
want_address(
    struct zone_set *s, const struct address_plan *a, enum zone_token address, enum zone_token domain)
{
	*s = (struct zone_set){.wanted = false};
	if (a->kind == FILTER_DOMAIN)
		zone_set_add(s, domain, a->domain);
	else if (a->kind != FILTER_ANY_ADDRESS)
		zone_set_add(s, address, a->hash);
}

/* Texts that came since the last step are judged now. */
static int
plan(struct index *x, struct query_plan *p, struct error *err)
{
	if (p->made && p->made_for == x->next_number)
		return 0;
	p->now_s = (uint32_t)p->f->now_s;
	if (plan_address(x, &p->from, p->f->from, err) < 0 || plan_address(x, &p->to, p->f->to, err) < 0)
		return -1;
	want_head(p);
	want_address(&p->wanted.from, &p->from, ZONE_SENDER, ZONE_SENDER_DOMAIN);
	want_address(&p->wanted.to, &p->to, ZONE_ADDRESS, ZONE_DOMAIN);
	if (p->f->nexthop && dictionary_each(x, DICTIONARY_HOP, p->made_for, judge_hop, p, err) < 0)
		return -1;
	if (p->f->reason && dictionary_each(x, DICTIONARY_REASON, p->made_for, judge_reason, p, err) < 0)
		return -1;
	p->made = true;
	p->made_for = x->next_number;
	return 0;
}

/* No row can match. */
static bool
plan_is_empty(const struct query_plan *p)
{
	return (p->f->nexthop && !p->any_hop) || (p->f->reason && !p->any_reason) ||
	       (p->from.kind == FILTER_DOMAIN && p->from.domain == NO_DOMAIN) ||
	       (p->to.kind == FILTER_DOMAIN && p->to.domain == NO_DOMAIN) || p->f->states == FILTER_ACTIVE;
}

/* ---- matching ---- */

static bool
address_matches(const struct address_plan *a, uint64_t hash, uint32_t domain)
{
	switch (a->kind) {
	case FILTER_ANY_ADDRESS:
		return true;
	case FILTER_DOMAIN:
		return hash != 0 && domain == a->domain;
	default:
		return hash == a->hash;
	}
}

/* The address that it goes to, or the one that its sender wrote. */
static bool
to_matches(const struct query_plan *p, const struct summary_recipient *r)
{
	return address_matches(&p->to, r->address, r->domain) ||
	       (r->original != 0 && address_matches(&p->to, r->original, r->original_domain));
}

static bool
hop_matches(const struct query_plan *p, uint32_t hop)
{
	return !p->f->nexthop || number_map_get(&p->hops, hop) == YES;
}

static unsigned
state_of(uint8_t flags)
{
	return flags & SUMMARY_HELD ? FILTER_HOLD : FILTER_DEFERRED;
}

/* What cards tell without being read further: most are left out here. */
static bool
card_may_match(const struct query_plan *p, const struct card *c)
{
	return (c->flags & SUMMARY_OWN_SENDER || address_matches(&p->from, c->sender, c->sender_domain)) &&
	       (!p->f->states || p->f->states & state_of(c->flags)) &&
	       (c->flags & SUMMARY_ORIGINALS || address_matches(&p->to, c->address, c->domain)) &&
	       hop_matches(p, c->hop) &&
	       (!p->f->reason || c->flags & SUMMARY_HELD || number_map_get(&p->reasons, c->reason) >= YES);
}

/* What it tells beside is asked. */
static bool
card_needs_text(const struct query_plan *p, const struct card *c)
{
	return (c->flags & SUMMARY_OWN_SENDER && p->from.kind != FILTER_ANY_ADDRESS) ||
	       (c->flags & SUMMARY_ORIGINALS && !address_matches(&p->to, c->address, c->domain)) ||
	       (p->f->reason && number_map_get(&p->reasons, c->reason) >= MAYBE);
}

static bool
head_matches(const struct query_plan *p, const struct summary *s)
{
	const struct filter *f = p->f;
	int64_t age = (int64_t)p->now_s - s->arrival_s;

	return (address_matches(&p->from, s->sender, s->sender_domain) ||
		   (s->flags & SUMMARY_OWN_SENDER &&
		       address_matches(&p->from, s->own_sender, s->own_domain))) &&
	       (!f->states || f->states & state_of(s->flags)) &&
	       (f->older_us < 0 || age >= f->older_us / US_PER_SECOND) &&
	       (f->newer_us < 0 || age <= f->newer_us / US_PER_SECOND) &&
	       (f->larger < 0 || s->size > (uint64_t)f->larger);
}

/* The variables are too long for a summary: the message itself is asked, of the recipients with that address. */
static int
long_reason_matches(
    struct index *x, const struct query_plan *p, uint64_t id, uint64_t address, struct error *err)
{
	struct message *m = NULL;
	struct index_row row;
	struct buf bytes;
	bool found = false;
	char shown[MEMBER_SHOWN_SIZE];
	int got;

	buf_init(&bytes, RECORD_MAX);
	got = index_load(x, id, &bytes, &row, err);
	if (got > 0) {
		m = message_from_payload(
		    id, mem_strndup(row.payload.ptr, row.payload.len), 0, row.payload.len, err);
		got = m ? 1 : -1;
	}
	for (uint32_t i = 0; m && i < m->count && !found; i++)
		found = dictionary_hash(x, recipient_shown(&m->recipients[i]->p, shown)) == address &&
			filter_match_recipient(p->f, m, m->recipients[i]);
	message_free(&m);
	buf_free(&bytes);
	return got < 0 ? -1 : found;
}

static int
reason_matches(struct index *x, struct query_plan *p, const struct summary *s,
    const struct summary_recipient *r, struct error *err)
{
	uint32_t v = number_map_get(&p->reasons, r->reason);

	if (v == YES || ((s->flags & SUMMARY_HELD) && number_map_get(&p->reasons, s->hold_reason) == YES))
		return 1;
	if (v < MAYBE)
		return 0;
	if (r->cut)
		return long_reason_matches(x, p, s->id, r->address, err);
	if (v > MAYBE) {
		const struct template *t = &p->kept[v - MAYBE - 1];

		return mask_may_match(t->words, r->variables, &p->variables) &&
		       mask_match(
			   span_make(buf_ptr(&p->templates) + t->at, t->len), r->variables, p->f->reason);
	}
	buf_clear(&p->text);
	if (dictionary_text(x, DICTIONARY_REASON, r->reason, &p->text, err) < 0)
		return -1;
	return mask_match(buf_span(&p->text), r->variables, p->f->reason);
}

struct match_walk {
	struct index *x;
	struct query_plan *p;
	query_visit *visit;
	query_whole *whole;
	void *context;
	size_t rows;
	bool stopped; /* behind the last row that was seen */
	struct error *err;
	bool bad;
};

/* Its recipient, too, is meant: that is known. */
static bool
meet(struct match_walk *w, const struct summary *s, const struct summary_recipient *r)
{
	int match = w->p->f->reason ? reason_matches(w->x, w->p, s, r, w->err) : 1;

	w->bad = w->bad || match < 0;
	if (match < 0 || (match > 0 && !w->visit(s, r, w->context)))
		w->stopped = true;
	return !w->stopped;
}

static bool
match_row(const struct summary *row, void *context)
{
	struct match_walk *w = context;
	struct summary s = *row;
	struct summary_recipient r;
	int got;

	w->rows++;
	/* A message without recipients that are open is on its way out. */
	if (s.count == 0 || !head_matches(w->p, &s))
		return true;
	while ((got = summary_next(&s, &r)) > 0)
		if (to_matches(w->p, &r) && hop_matches(w->p, r.hop) && !meet(w, row, &r))
			return false;
	if (got < 0)
		w->bad = error_set(w->err, "index: a summary is damaged") < 0;
	return !w->bad;
}

/* The first that is behind 'after'. */
static size_t
first_card(const struct card_list *l, uint64_t after)
{
	size_t low = 0, high = l->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->all[middle].id <= after)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The next one that may match, from the i-th on. */
static size_t
next_card(const struct query_plan *p, const struct card_list *l, size_t i)
{
	while (i < l->count && !card_may_match(p, &l->all[i]))
		i++;
	return i;
}

/* The cards of a zone; texts, which take as much room again, only if one is left that asks for them. NULL: there are none. */
static const struct card_list *
load_cards(struct match_walk *w, struct zone *zone, uint64_t after, size_t *first)
{
	bool may_need = w->p->variables_tell || (zone->own && w->p->from.kind != FILTER_ANY_ADDRESS) ||
			(zone->originals && w->p->to.kind != FILTER_ANY_ADDRESS);
	const struct card_list *l = image_load(&w->x->zones, zone, false);

	*first = l ? next_card(w->p, l, first_card(l, after)) : 0;
	for (size_t i = *first; may_need && l && i < l->count; i = next_card(w->p, l, i + 1))
		if (card_needs_text(w->p, &l->all[i]))
			return image_load(&w->x->zones, zone, true);
	return l;
}

/* True if a visitor stopped it, behind *after. */
static bool
match_cards(struct match_walk *w, const struct card_list *l, size_t first, uint64_t *after)
{
	for (size_t i = first; i < l->count; i = next_card(w->p, l, i + 1)) {
		const struct card *c = &l->all[i];
		struct summary s;
		struct summary_recipient r;

		card_read(l, c, &s, &r);
		if (head_matches(w->p, &s) && to_matches(w->p, &r) && !meet(w, &s, &r)) {
			*after = c->id;
			return true;
		}
	}
	w->rows += l->count / CARDS_A_ROW;
	return false;
}

/* What lies behind *after, up to 'last', in one zone. */
static int
match_zone(struct match_walk *w, struct zone *zone, bool whole, uint64_t *after, uint64_t last,
    size_t max_rows, bool *more)
{
	const struct card_list *l;
	uint32_t messages;
	size_t first;

	w->rows += ZONE_COST;
	if (whole && w->whole && image_count(&w->x->zones, zone, &messages) &&
	    w->whole(*after + 1, last, messages, w->context))
		return 0;
	l = load_cards(w, zone, *after, &first);
	if (l) {
		*more = match_cards(w, l, first, after);
		return w->bad ? -1 : 0;
	}
	return rows_each(w->x, after, last, w->rows < max_rows ? max_rows - w->rows : 1, match_row, w, more,
		   w->err) < 0 ||
		       w->bad
		   ? -1
		   : 0;
}

int
query_each_match(struct index *x, struct query_plan *p, uint64_t *after, size_t max_rows, query_visit *visit,
    query_whole *whole, void *context, bool *more, struct error *err)
{
	struct match_walk w = {
	    .x = x, .p = p, .visit = visit, .whole = whole, .context = context, .err = err};
	struct zone *zone;
	uint64_t last;
	bool all;

	*more = false;
	if (x->hidden)
		return 0;
	if (check_open(x, err) < 0)
		return -1;
	if (plan(x, p, err) < 0)
		return -1;
	if (plan_is_empty(p))
		return 0;
	while (!*more && (zone = zones_next(&x->zones, &p->wanted, after, &last, &all))) {
		if (match_zone(&w, zone, all, after, last, max_rows, more) < 0)
			return -1;
		if (!*more && !w.stopped)
			*after = last;
		*more = *more || w.stopped || w.rows >= max_rows;
	}
	return 0;
}
