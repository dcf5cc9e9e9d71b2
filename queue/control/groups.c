#include "queue/control/groups.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "queue/index/dictionary.h"
#include "queue/index/mask.h"
#include "queue/log/record.h"
#include "queue/spool_clock.h"

enum { KEY_MAX = 1024, TEXT_MAX = 4096, NAMES_A_STEP = 1000 };

static const char null_sender[] = "MAILER-DAEMON";

static const int64_t minutes[AGE_BUCKETS - 1] = {5, 10, 20, 40, 80, 160, 320, 640, 1280};

int
groups_by_parse(const char *word, enum group_by *by)
{
	static const struct {
		const char *name;
		enum group_by by;
	} words[] = {
	    {"domain", BY_DOMAIN},
	    {"sender", BY_SENDER},
	    {"sender-domain", BY_SENDER_DOMAIN},
	    {"nexthop", BY_NEXTHOP},
	    {"reason", BY_REASON},
	};

	*by = BY_DOMAIN;
	if (!word)
		return 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i].name) == 0) {
			*by = words[i].by;
			return 0;
		}
	return -1;
}

void
groups_init(struct groups *g, enum group_by by)
{
	memset(g, 0, sizeof(*g));
	g->by = by;
	g->now_s = spool_clock_now() / US_PER_SECOND;
	g->texts = table_new(GROUPS_MAX, NULL);
	g->cap = 64;
	g->all = mem_alloc_array(g->cap, sizeof(*g->all));
	g->all[g->count++].key = mem_strdup("(others)");
}

void
groups_free(struct groups *g)
{
	for (size_t i = 0; i < g->count; i++)
		free(g->all[i].key);
	free(g->all);
	free(g->total.key);
	table_free(&g->texts);
	number_map_free(&g->numbers);
}

/* ---- groups ---- */

/* 0, the group of all others, when there are too many. */
static size_t
group_new(struct groups *g)
{
	if (g->count == GROUPS_MAX)
		return 0;
	if (g->count == g->cap) {
		g->cap *= 2;
		g->all = mem_resize(g->all, g->cap * sizeof(*g->all));
	}
	memset(&g->all[g->count], 0, sizeof(*g->all));
	return g->count++;
}

/* Names fold; what a host said is quoted as it was said. */
static size_t
group_of_text(struct groups *g, struct span text)
{
	char copy[KEY_MAX];
	size_t at;

	text = span_sub(text, 0, sizeof(copy) - 1);
	span_copy(text, copy, sizeof(copy));
	if (g->by != BY_REASON && !span_is(text, null_sender))
		text_lower(copy, text.len);
	text.ptr = copy;
	at = (size_t)(uintptr_t)table_get(g->texts, text);
	if (at == 0 && (at = group_new(g)) != 0) {
		g->all[at].key = mem_strndup(text.ptr, text.len);
		if (table_put(g->texts, text, (void *)(uintptr_t)at) < 0)
			return 0;
	}
	return at;
}

static size_t
bucket_of(const struct groups *g, int64_t arrival_s)
{
	int64_t age = (g->now_s - arrival_s) / 60;
	size_t bucket = 0;

	while (bucket < AGE_BUCKETS - 1 && age >= minutes[bucket])
		bucket++;
	return bucket;
}

static void
count(struct group *g, uint64_t id, uint64_t size, size_t bucket)
{
	if (g->last_id == id)
		return;
	g->last_id = id;
	g->messages++;
	g->bytes += size;
	g->ages[bucket]++;
}

/* ---- from memory ---- */

static void
add_text(struct groups *g, struct span text, const struct message *m)
{
	count(&g->all[group_of_text(g, text)], m->id, m->e.content_len,
	    bucket_of(g, m->e.arrival_spool_us / US_PER_SECOND));
}

static void
add_reason(struct groups *g, struct span text, const struct message *m)
{
	struct buf template, variables, shown;

	buf_init(&template, TEXT_MAX);
	buf_init(&variables, TEXT_MAX);
	buf_init(&shown, TEXT_MAX);
	mask_split(text, &template, &variables);
	mask_show(buf_span(&template), &shown);
	add_text(g, buf_span(&shown), m);
	buf_free(&template);
	buf_free(&variables);
	buf_free(&shown);
}

static struct span
or_null_sender(struct span sender)
{
	return sender.len > 0 ? sender : span_of(null_sender);
}

void
groups_add_message(struct groups *g, const struct filter *f, const struct message *m)
{
	count(&g->total, m->id, m->e.content_len, bucket_of(g, m->e.arrival_spool_us / US_PER_SECOND));
	if (g->by == BY_SENDER)
		add_text(g, or_null_sender(m->e.sender), m);
	if (g->by == BY_SENDER_DOMAIN)
		add_text(g, or_null_sender(filter_domain_of(m->e.sender)), m);
	for (uint32_t i = 0; i < m->count; i++) {
		const struct part_recipient *p = &m->recipients[i]->p;

		if (!filter_match_recipient(f, m, m->recipients[i]))
			continue;
		if (g->by == BY_DOMAIN)
			add_text(g, filter_domain_of(p->recipient), m);
		else if (g->by == BY_NEXTHOP)
			add_text(g, p->nexthop, m);
		else if (g->by == BY_REASON && m->e.held)
			add_text(g, m->e.hold_reason, m);
		else if (g->by == BY_REASON)
			add_reason(g, p->text, m);
	}
}

/* ---- from summaries ---- */

/* A number's text, as it is shown. */
static int
name(struct groups *g, struct index *x, uint32_t number, bool held, struct buf *out, struct error *err)
{
	enum dictionary_kind kind = g->by == BY_NEXTHOP  ? DICTIONARY_HOP
				    : g->by == BY_REASON ? DICTIONARY_REASON
							 : DICTIONARY_DOMAIN;
	struct buf text;
	int got;

	buf_init(&text, TEXT_MAX);
	got = dictionary_text(x, kind, number, &text, err);
	if (g->by == BY_NEXTHOP) {
		ptrdiff_t colon = span_find(buf_span(&text), ':');

		buf_append_span(out, span_from(buf_span(&text), colon < 0 ? 0 : (size_t)colon + 1));
	} else if (g->by == BY_REASON && !held) {
		mask_show(buf_span(&text), out);
	} else {
		buf_append_span(out, buf_span(&text));
	}
	buf_free(&text);
	return got < 0 ? -1 : 0;
}

/* The group of a number. */
static int
group_of_number(struct groups *g, struct index *x, uint32_t number, const struct summary *row, size_t *at,
    struct error *err)
{
	bool held = row->flags & SUMMARY_HELD;
	uint64_t key = number | (uint64_t)(g->by == BY_REASON && held) << 32;
	struct buf text;
	int status;

	*at = number_map_get(&g->numbers, key);
	if (*at != 0) {
		--*at;
		return 0;
	}
	buf_init(&text, TEXT_MAX);
	status = name(g, x, number, held, &text, err);
	if (status == 0) {
		*at = group_of_text(
		    g, g->by == BY_SENDER_DOMAIN ? or_null_sender(buf_span(&text)) : buf_span(&text));
		number_map_put(&g->numbers, key, (uint32_t)*at + 1);
	}
	buf_free(&text);
	return status;
}

static size_t
group_of_sender(struct groups *g, const struct summary *row)
{
	size_t at = number_map_get(&g->numbers, row->sender);

	if (at != 0)
		return at - 1;
	at = row->sender == 0 ? group_of_text(g, span_of(null_sender)) : group_new(g);
	if (at != 0 && row->sender != 0)
		g->all[at].first_id = row->id;
	if (at != 0)
		number_map_put(&g->numbers, row->sender, (uint32_t)at + 1);
	return at;
}

int
groups_add_summary(struct groups *g, struct index *x, const struct summary *s,
    const struct summary_recipient *r, struct error *err)
{
	size_t bucket = bucket_of(g, s->arrival_s), at;
	uint32_t number = g->by == BY_SENDER_DOMAIN ? s->sender_domain
			  : g->by == BY_DOMAIN      ? r->domain
			  : g->by == BY_NEXTHOP     ? r->hop
			  : s->flags & SUMMARY_HELD ? s->hold_reason
						    : r->reason;

	count(&g->total, s->id, s->size, bucket);
	if (g->by == BY_NOTHING)
		return 0;
	if (g->by == BY_SENDER)
		at = group_of_sender(g, s);
	else if (group_of_number(g, x, number, s, &at, err) < 0)
		return -1;
	count(&g->all[at], s->id, s->size, bucket);
	return 0;
}

/* ---- the end ---- */

/* By a message of the group. One that has gone meanwhile leaves its group among the others. */
static int
name_sender(struct index *x, struct group *g, struct buf *row_bytes, struct error *err)
{
	struct index_row row;
	struct part_envelope e;
	int got = index_load(x, g->first_id, row_bytes, &row, err);

	if (got < 0)
		return -1;
	if (got > 0 && part_decode_envelope(&row.payload, &e) == 0) {
		g->key = mem_strndup(e.sender.ptr, e.sender.len < KEY_MAX ? e.sender.len : KEY_MAX - 1);
		text_lower(g->key, strlen(g->key));
	}
	return 0;
}

static void
add_up(struct group *to, const struct group *g)
{
	to->messages += g->messages;
	to->bytes += g->bytes;
	for (size_t i = 0; i < AGE_BUCKETS; i++)
		to->ages[i] += g->ages[i];
}

static int
largest_first(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->messages != y->messages)
		return x->messages > y->messages ? -1 : 1;
	return strcmp(x->key, y->key);
}

/* The group has a name of its own now, or is one with another. */
static void
settle(struct groups *g, struct group *one)
{
	/* Some of that sender's may have been in memory. */
	size_t other =
	    one->key && one->first_id ? (size_t)(uintptr_t)table_get(g->texts, span_of(one->key)) : 0;

	if (one->key && other == 0)
		return;
	add_up(&g->all[other], one);
	free(one->key);
	one->key = NULL;
	one->messages = 0;
}

int
groups_end(struct groups *g, struct index *x, struct error *err)
{
	size_t kept = 0, stop = g->count - g->named > NAMES_A_STEP ? g->named + NAMES_A_STEP : g->count;
	struct buf row;
	int status = 0;

	buf_init(&row, RECORD_MAX);
	for (; g->named < stop && status == 0; g->named++) {
		if (!g->all[g->named].key)
			status = name_sender(x, &g->all[g->named], &row, err);
		settle(g, &g->all[g->named]);
	}
	buf_free(&row);
	if (status < 0 || g->named < g->count)
		return status < 0 ? -1 : 1;
	for (size_t i = 0; i < g->count; i++) {
		if (g->all[i].messages > 0)
			g->all[kept++] = g->all[i];
		else
			free(g->all[i].key);
	}
	g->count = kept;
	if (kept > 0)
		qsort(g->all, kept, sizeof(*g->all), largest_first);
	return 0;
}

void
groups_row(struct buf *out, const struct group *g)
{
	buf_append_text(out, "{\"key\": \"");
	text_append_json(out, span_of(g->key));
	buf_printf(out, "\", \"messages\": %llu, \"bytes\": %llu, \"ages\": [",
	    (unsigned long long)g->messages, (unsigned long long)g->bytes);
	for (size_t i = 0; i < AGE_BUCKETS; i++)
		buf_printf(out, "%s%llu", i ? ", " : "", (unsigned long long)g->ages[i]);
	buf_append_text(out, "]}\n");
}
