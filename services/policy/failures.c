#include "services/policy/failures.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "services/policy/counters.h"

enum {
	ADDRESS_BITS_4 = 32,
	ADDRESS_BITS_6 = 64, /* what one customer has: more is easily had, less means neighbours */
	FREE_FAILURES = 2, /* mistyped: not slowed down yet */
	FIRST_DELAY_MS = 1000,
	DOUBLINGS_MAX = 20,
	NAME_MAX_OCTETS = 512
};

/* An owner who came from an address is known there for so long. */
static const int64_t known_us = 30 * 24 * 3600 * (int64_t)US_PER_SECOND;

struct entry {
	TAILQ_ENTRY(entry) link;
	uint64_t key;
	uint32_t count;
	int64_t since_us;
};

TAILQ_HEAD(entry_list, entry);

/* Entries by key, the one that was touched longest ago first. */
struct kind {
	struct table *entries;
	struct entry_list order;
};

struct failures {
	size_t max;
	struct kind addresses, accounts;
	struct kind known; /* address and account of successes */
};

static void
kind_init(struct kind *k, size_t max)
{
	k->entries = table_new(max, NULL);
	TAILQ_INIT(&k->order);
}

static struct span
key_span(const uint64_t *key)
{
	return span_make(key, sizeof(*key));
}

static void
entry_drop(struct kind *k, struct entry *e)
{
	TAILQ_REMOVE(&k->order, e, link);
	(void)table_take(k->entries, key_span(&e->key));
	free(e);
}

static void
kind_fini(struct kind *k)
{
	struct entry *e;

	while ((e = TAILQ_FIRST(&k->order)) != NULL)
		entry_drop(k, e);
	table_free(&k->entries);
}

/* NULL if it is not there, or its time is over. */
static struct entry *
entry_find(struct kind *k, uint64_t key, int64_t lifetime_us, int64_t now_us)
{
	struct entry *e = table_get(k->entries, key_span(&key));

	if (e == NULL || now_us - e->since_us < lifetime_us)
		return e;
	entry_drop(k, e);
	return NULL;
}

static struct entry *
entry_add(struct failures *f, struct kind *k, uint64_t key, int64_t lifetime_us, int64_t now_us)
{
	struct entry *e = entry_find(k, key, lifetime_us, now_us);

	if (e == NULL) {
		while (table_count(k->entries) >= f->max)
			entry_drop(k, TAILQ_FIRST(&k->order));
		e = mem_alloc(sizeof(*e));
		e->key = key;
		e->since_us = now_us;
		(void)table_put(k->entries, key_span(&e->key), e);
	} else {
		TAILQ_REMOVE(&k->order, e, link);
	}
	TAILQ_INSERT_TAIL(&k->order, e, link);
	return e;
}

static uint64_t
account_key(struct span user)
{
	char name[NAME_MAX_OCTETS];
	size_t len = user.len < sizeof(name) ? user.len : sizeof(name);

	if (len > 0)
		memcpy(name, user.ptr, len);
	text_lower(name, len);
	return hash_bytes(name, len);
}

static uint64_t
address_key(struct span address)
{
	static const struct client_prefixes prefixes = {.ipv4 = ADDRESS_BITS_4, .ipv6 = ADDRESS_BITS_6};
	char text[CLIENT_KEY_SIZE];
	struct span key = client_key(SPAN_LIT(""), address, prefixes, text);

	return hash_bytes(key.ptr, key.len);
}

static uint64_t
pair_key(struct span address, struct span user)
{
	const uint64_t both[2] = {address_key(address), account_key(user)};

	return hash_bytes(both, sizeof(both));
}

struct failures *
failures_new(size_t max_entries)
{
	struct failures *f = mem_alloc(sizeof(*f));

	f->max = max_entries;
	kind_init(&f->addresses, max_entries);
	kind_init(&f->accounts, max_entries);
	kind_init(&f->known, max_entries);
	return f;
}

void
failures_free(struct failures **f)
{
	if (*f == NULL)
		return;
	kind_fini(&(*f)->addresses);
	kind_fini(&(*f)->accounts);
	kind_fini(&(*f)->known);
	free(*f);
	*f = NULL;
}

size_t
failures_size(const struct failures *f)
{
	return table_count(f->addresses.entries) + table_count(f->accounts.entries) +
	       table_count(f->known.entries);
}

/* 1, 2, 4 ... seconds from the third failure on. */
static uint32_t
delay_of(uint32_t failed, uint32_t longest_ms)
{
	uint32_t doublings = failed > FREE_FAILURES ? failed - FREE_FAILURES - 1 : 0;
	uint64_t delay = failed <= FREE_FAILURES
			     ? 0
			     : (uint64_t)FIRST_DELAY_MS
				   << (doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX);

	return delay < longest_ms ? (uint32_t)delay : longest_ms;
}

static uint32_t
count_of(struct kind *k, uint64_t key, const struct failure_limits *limits, int64_t now_us)
{
	const struct entry *e = entry_find(k, key, limits->window_us, now_us);

	return e ? e->count : 0;
}

struct failure_verdict
failures_try(struct failures *f, const struct failure_limits *limits, struct span address, struct span user,
    int64_t now_us)
{
	bool spared = address.len == 0;
	uint64_t from = address_key(address), to = account_key(user);
	uint32_t by_address = spared ? 0 : count_of(&f->addresses, from, limits, now_us);
	uint32_t by_account = user.len ? count_of(&f->accounts, to, limits, now_us) : 0;
	bool account_full = limits->account > 0 && by_account >= limits->account;
	struct failure_verdict verdict = {.delay_ms = delay_of(by_address + 1, limits->longest_delay_ms)};

	if (limits->address > 0 && by_address >= limits->address)
		verdict.refused = "too many failed attempts from this address";
	else if (account_full && !spared && !entry_find(&f->known, pair_key(address, user), known_us, now_us))
		verdict.refused = "too many failed attempts at this account";
	if (verdict.refused)
		return verdict;
	if (account_full)
		verdict.delay_ms = limits->longest_delay_ms;
	if (!spared)
		entry_add(f, &f->addresses, from, limits->window_us, now_us)->count++;
	if (user.len > 0)
		entry_add(f, &f->accounts, to, limits->window_us, now_us)->count++;
	return verdict;
}

/* It was no failure after all; a success also makes up for half of those that were. */
static void
take_back(struct kind *k, uint64_t key, bool success, const struct failure_limits *limits, int64_t now_us)
{
	struct entry *e = entry_find(k, key, limits->window_us, now_us);

	if (e == NULL)
		return;
	if (e->count > 0)
		e->count--;
	if (success)
		e->count /= 2;
	if (e->count == 0)
		entry_drop(k, e);
}

void
failures_result(struct failures *f, const struct failure_limits *limits, struct span address,
    struct span user, enum auth_status status, int64_t now_us)
{
	bool success = status == AUTH_ACCEPTED;

	if (status == AUTH_REFUSED)
		return;
	if (address.len > 0)
		take_back(&f->addresses, address_key(address), success, limits, now_us);
	if (user.len > 0)
		take_back(&f->accounts, account_key(user), success, limits, now_us);
	if (success && address.len > 0)
		entry_add(f, &f->known, pair_key(address, user), known_us, now_us)->since_us = now_us;
}
