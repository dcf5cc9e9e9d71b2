#include "services/resolver/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "services/resolver/cache.h"
#include "services/resolver/query.h"
#include "services/resolver/shares.h"

/* A server's "I cannot say" is kept (RFC 2308, 7.1: at most five minutes). */
enum { FAILURE_TTL = 5 };

static const int64_t silence_us =
    30 * US_PER_SECOND; /* a zone that did not answer is not asked for so long */
static const int64_t slow_failure_us = 2 * US_PER_SECOND; /* SERVFAIL after that: the zone was silent */
static const int64_t may_give_way_us = 250 * US_PER_MS;

enum { KEY_SIZE = NAME_SIZE + 16 };

struct waiter {
	TAILQ_ENTRY(waiter) link;
	engine_done *done;
	void *context;
	struct party *asker; /* NULL: none */
};

TAILQ_HEAD(waiter_list, waiter);

/* A question under way, with all who wait for it. */
struct inquiry {
	TAILQ_ENTRY(inquiry) link;
	struct engine *engine;
	struct query *query;
	struct party *zone;
	struct waiter_list waiters;
	int64_t started_us;
	/* What the aliases followed so far say: the answer is no better than its worst link. */
	bool authentic;
	uint32_t ttl;
	unsigned chain;
	uint16_t type;
	char key[KEY_SIZE];
};

TAILQ_HEAD(inquiry_list, inquiry);

struct engine {
	struct event_base *base;
	struct servers *servers;
	struct hosts_file *hosts;
	struct cache *cache;
	struct shares *zones;
	struct shares *askers;
	struct table *inquiries;
	struct inquiry_list by_age; /* oldest first */
	size_t max_questions;
	size_t waiters;
	size_t max_waiters;
};

struct engine *
engine_new(struct event_base *base, const struct engine_limits *limits)
{
	struct engine *e = mem_alloc(sizeof(*e));

	e->base = base;
	e->max_questions = limits->questions;
	e->max_waiters = limits->waiters;
	e->cache = cache_new(limits->cache_entries, limits->cache_bytes);
	e->zones = shares_new(4 * limits->questions, limits->questions / ENGINE_SHARE);
	e->askers = shares_new(limits->waiters, limits->questions / ENGINE_SHARE);
	e->inquiries = table_new(limits->questions, NULL);
	TAILQ_INIT(&e->by_age);
	return e;
}

/* Tells all who wait and forgets the question. */
static void
inquiry_end(struct inquiry *q, const struct answer *answer)
{
	struct engine *e = q->engine;
	struct waiter *w;

	query_cancel(&q->query);
	table_take(e->inquiries, span_of(q->key));
	TAILQ_REMOVE(&e->by_age, q, link);
	shares_give(e->zones, &q->zone);
	while ((w = TAILQ_FIRST(&q->waiters)) != NULL) {
		TAILQ_REMOVE(&q->waiters, w, link);
		shares_give(e->askers, &w->asker);
		e->waiters--;
		w->done(w->context, answer);
		free(w);
	}
	free(q);
}

static void
inquiry_fail(struct inquiry *q, const char *reason)
{
	struct answer answer;

	answer_init(&answer);
	snprintf(answer.reason, sizeof(answer.reason), "%s", reason);
	inquiry_end(q, &answer);
	answer_free(&answer);
}

void
engine_free(struct engine **ep)
{
	struct engine *e = *ep;

	if (!e)
		return;
	while (!TAILQ_EMPTY(&e->by_age))
		inquiry_fail(TAILQ_FIRST(&e->by_age), "the resolver is stopping");
	servers_unref(&e->servers);
	hosts_file_free(&e->hosts);
	cache_free(&e->cache);
	shares_free(&e->zones);
	shares_free(&e->askers);
	table_free(&e->inquiries);
	free(e);
	*ep = NULL;
}

void
engine_set_servers(struct engine *e, struct servers *servers)
{
	servers_unref(&e->servers);
	e->servers = servers;
	cache_clear(e->cache);
	shares_forget_silence(e->zones);
}

void
engine_set_hosts(struct engine *e, struct hosts_file *hosts)
{
	hosts_file_free(&e->hosts);
	e->hosts = hosts;
}

const struct hosts_file *
engine_hosts(const struct engine *e)
{
	return e->hosts;
}

size_t
engine_busy(const struct engine *e)
{
	return table_count(e->inquiries);
}

/* ---- answers ---- */

/* The zone was silent for this question: remember it, unless it is the servers that are silent for everyone. */
static void
note_silence(struct inquiry *q, int64_t now_us)
{
	if (servers_answer_lately(q->engine->servers) && party_answered_us(q->zone) < q->started_us)
		party_set_silent(q->zone, now_us + silence_us);
}

static void on_query_done(void *context, enum query_end end, const struct answer *answer);

static void
follow(struct inquiry *q, const struct answer *answer)
{
	struct question question = {.type = q->type};

	if (!name_clean(span_of(answer->canonical), question.name)) {
		inquiry_fail(q, "alias (CNAME) to a malformed name");
		return;
	}
	q->query = query_start(q->engine->base, q->engine->servers, &question, on_query_done, q);
}

static void
conclude(struct inquiry *q, const struct answer *answer)
{
	struct answer whole = *answer; /* the records stay the other's */

	whole.authentic = q->authentic;
	whole.ttl = q->ttl;
	whole.chain = q->chain;
	cache_put(q->engine->cache, span_of(q->key), &whole, clock_mono_us());
	inquiry_end(q, &whole);
}

static void
on_query_done(void *context, enum query_end end, const struct answer *answer)
{
	struct inquiry *q = context;
	int64_t now_us = clock_mono_us();

	q->query = NULL;
	if (end == QUERY_SILENT) {
		note_silence(q, now_us);
		inquiry_fail(q, answer->reason);
		return;
	}
	if (end == QUERY_FAILED) {
		if (now_us - q->started_us >= slow_failure_us)
			note_silence(q, now_us);
		q->authentic = false;
		q->ttl = FAILURE_TTL;
		conclude(q, answer);
		return;
	}
	party_answered(q->zone, now_us);
	q->authentic = q->authentic && answer->authentic;
	q->chain += answer->chain;
	if (answer->ttl < q->ttl)
		q->ttl = answer->ttl;
	if (q->chain > WIRE_CHAIN_MAX)
		inquiry_fail(q, "too many aliases (CNAME)");
	else if (end == QUERY_FOLLOW)
		follow(q, answer);
	else
		conclude(q, answer);
}

/* ---- questions ---- */

static void
answer_at_once(enum dns_status status, const char *reason, engine_done *done, void *context)
{
	struct answer answer;

	answer_init(&answer);
	answer.status = status;
	snprintf(answer.reason, sizeof(answer.reason), "%s", reason);
	done(context, &answer);
	answer_free(&answer);
}

/* RFC 6761, 6.3: never asked for. */
static void
answer_localhost(const struct question *q, engine_done *done, void *context)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
	struct dns_record record = {.type = q->type};
	struct answer answer;

	if (q->type != DNS_TYPE_A && q->type != DNS_TYPE_AAAA) {
		answer_at_once(DNS_NO_DATA, "Host found but no data record of requested type", done, context);
		return;
	}
	answer_init(&answer);
	record.data = q->type == DNS_TYPE_A ? span_make(v4, sizeof(v4)) : span_make(v6, sizeof(v6));
	dns_record_pack(&answer.records, &record);
	answer.record_count = 1;
	answer.status = DNS_OK;
	snprintf(answer.canonical, sizeof(answer.canonical), "%s", q->name);
	done(context, &answer);
	answer_free(&answer);
}

static bool
answer_from_hosts(struct engine *e, const struct question *q, engine_done *done, void *context)
{
	struct answer answer;

	answer_init(&answer);
	answer.record_count = hosts_file_addresses(e->hosts, span_of(q->name), q->type, &answer.records);
	if (answer.record_count > 0) {
		answer.status = DNS_OK;
		snprintf(answer.canonical, sizeof(answer.canonical), "%s", q->name);
		done(context, &answer);
	}
	answer_free(&answer);
	return answer.record_count > 0;
}

/* Makes room when all capacity is in use. Returns false if even the oldest question is young. */
static bool
make_room(struct engine *e)
{
	struct inquiry *oldest = TAILQ_FIRST(&e->by_age);

	if (table_count(e->inquiries) < e->max_questions)
		return true;
	if (clock_mono_us() - oldest->started_us < may_give_way_us)
		return false;
	inquiry_fail(oldest, "the resolver is overloaded");
	return true;
}

/* Returns NULL with reason if it may not be asked now. */
static struct inquiry *
inquiry_begin(struct engine *e, const struct question *question, const char *key, const char **reason)
{
	struct span zone = name_zone(span_of(question->name));
	struct inquiry *q;
	struct party *party;

	*reason = "its name servers did not answer a short while ago";
	if (shares_is_silent(e->zones, zone, clock_mono_us()))
		return NULL;
	*reason = "the resolver is overloaded";
	if (!e->servers || !make_room(e))
		return NULL;
	*reason = "too many questions about one domain are waiting";
	party = shares_take(e->zones, zone);
	if (!party)
		return NULL;
	q = mem_alloc(sizeof(*q));
	q->engine = e;
	q->zone = party;
	q->type = question->type;
	q->authentic = true;
	q->ttl = UINT32_MAX;
	q->started_us = clock_mono_us();
	TAILQ_INIT(&q->waiters);
	snprintf(q->key, sizeof(q->key), "%s", key);
	table_put(e->inquiries, span_of(q->key), q);
	TAILQ_INSERT_TAIL(&e->by_age, q, link);
	q->query = query_start(e->base, e->servers, question, on_query_done, q);
	return q;
}

/* Waits for the question, which is begun unless it is under way already. */
static void
wait_for(struct engine *e, const struct question *question, const char *key, uint64_t asker,
    engine_done *done, void *context)
{
	struct party *party = NULL;
	const char *reason = NULL;
	struct inquiry *q;
	struct waiter *w;

	if (asker != 0)
		party = shares_take(e->askers, span_make(&asker, sizeof(asker)));
	if ((asker != 0 && !party) || e->waiters >= e->max_waiters) {
		shares_give(e->askers, &party);
		answer_at_once(DNS_TEMPORARY, "too many questions are waiting", done, context);
		return;
	}
	q = table_get(e->inquiries, span_of(key));
	if (!q)
		q = inquiry_begin(e, question, key, &reason);
	if (!q) {
		shares_give(e->askers, &party);
		answer_at_once(DNS_TEMPORARY, reason, done, context);
		return;
	}
	w = mem_alloc(sizeof(*w));
	w->done = done;
	w->context = context;
	w->asker = party;
	e->waiters++;
	TAILQ_INSERT_TAIL(&q->waiters, w, link);
}

void
engine_ask(struct engine *e, struct span name, uint32_t type, uint32_t flags, uint64_t asker,
    engine_done *done, void *context)
{
	struct question question = {.type = (uint16_t)type};
	const struct answer *known;
	char key[KEY_SIZE];

	if (type == 0 || type > UINT16_MAX || !name_clean(name, question.name)) {
		answer_at_once(DNS_INVALID, "malformed domain name", done, context);
		return;
	}
	if (name_is_localhost(span_of(question.name))) {
		answer_localhost(&question, done, context);
		return;
	}
	if ((flags & (DNS_WANT_HOSTS | DNS_HOSTS_ONLY)) && answer_from_hosts(e, &question, done, context))
		return;
	if (flags & DNS_HOSTS_ONLY) {
		answer_at_once(DNS_NO_NAME, "Host not found", done, context);
		return;
	}
	snprintf(key, sizeof(key), "%u %s", question.type, question.name);
	known = cache_get(e->cache, span_of(key), clock_mono_us());
	if (known)
		done(context, known);
	else
		wait_for(e, &question, key, asker, done, context);
}
