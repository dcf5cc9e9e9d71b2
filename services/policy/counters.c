#include "services/policy/counters.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/base/table.h"

enum { EVENT_CONNECT = POLICY_AUTH + 1, EVENT_COUNT };

struct client {
	TAILQ_ENTRY(client) link; /* while it has no connection */
	char *key;
	uint32_t connections;
	uint32_t rates[EVENT_COUNT];
	int64_t interval_us; /* when it began */
	int64_t unit_us;
};

TAILQ_HEAD(client_list, client);

struct counters {
	struct table *clients;
	struct client_list resting; /* heard of longest ago first */
	size_t max_clients;
};

struct counted_worker {
	struct counters *counters;
	struct table *had; /* key: client; value: number of connections, as a pointer */
};

struct counters *
counters_new(size_t max_clients)
{
	struct counters *c = mem_alloc(sizeof(*c));

	c->clients = table_new(max_clients, NULL);
	c->max_clients = max_clients;
	TAILQ_INIT(&c->resting);
	return c;
}

static void
client_free(struct client *client)
{
	free(client->key);
	free(client);
}

void
counters_free(struct counters **c)
{
	size_t position = 0;
	struct client *client;

	if (!*c)
		return;
	while ((client = table_next((*c)->clients, &position, NULL)) != NULL)
		client_free(client);
	table_free(&(*c)->clients);
	free(*c);
	*c = NULL;
}

size_t
counters_size(const struct counters *c)
{
	return table_count(c->clients);
}

static void
forget(struct counters *c, struct client *client)
{
	TAILQ_REMOVE(&c->resting, client, link);
	table_take(c->clients, span_of(client->key));
	client_free(client);
}

/* Drops whose interval is over; a few at a time is enough, since at most one is added at a time. */
static void
forget_old(struct counters *c, int64_t now_us)
{
	struct client *client;

	for (int i = 0; i < 4; i++) {
		client = TAILQ_FIRST(&c->resting);
		if (!client || now_us - client->interval_us < client->unit_us)
			return;
		forget(c, client);
	}
}

/* NULL when the table is full of connected clients. */
static struct client *
find_or_add(struct counters *c, struct span key, int64_t unit_us, int64_t now_us)
{
	struct client *client;

	client = table_get(c->clients, key);
	if (!client) {
		forget_old(c, now_us);
		if (table_count(c->clients) >= c->max_clients) {
			client = TAILQ_FIRST(&c->resting);
			if (!client)
				return NULL;
			forget(c, client);
		}
		client = mem_alloc(sizeof(*client));
		client->key = mem_strndup(key.ptr, key.len);
		client->interval_us = now_us;
		table_put(c->clients, key, client);
		TAILQ_INSERT_TAIL(&c->resting, client, link);
	}
	client->unit_us = unit_us;
	if (now_us - client->interval_us >= unit_us) {
		client->interval_us = now_us;
		memset(client->rates, 0, sizeof(client->rates));
	}
	if (client->connections == 0) {
		TAILQ_REMOVE(&c->resting, client, link);
		TAILQ_INSERT_TAIL(&c->resting, client, link);
	}
	return client;
}

static uint32_t
one_more(uint32_t *number)
{
	if (*number < UINT32_MAX)
		++*number;
	return *number;
}

static struct count
count_event(struct client *client, unsigned event)
{
	struct count count = {1, 1};

	if (client) {
		count.connections = client->connections;
		count.rate = one_more(&client->rates[event]);
	}
	return count;
}

struct count
counters_connect(
    struct counters *c, struct counted_worker *w, struct span key, int64_t unit_us, int64_t now_us)
{
	struct client *client = find_or_add(c, key, unit_us, now_us);

	if (client) {
		uintptr_t had = (uintptr_t)table_get(w->had, key);

		if (table_put(w->had, key, (void *)(had + 1)) == 0 && client->connections++ == 0)
			TAILQ_REMOVE(&c->resting, client, link);
	}
	return count_event(client, EVENT_CONNECT);
}

struct count
counters_event(struct counters *c, struct span key, enum policy_event event, int64_t unit_us, int64_t now_us)
{
	return count_event(find_or_add(c, key, unit_us, now_us), event);
}

static void
disconnect(struct counters *c, struct client *client, uintptr_t number)
{
	if (!client || client->connections == 0)
		return;
	client->connections -= number < client->connections ? (uint32_t)number : client->connections;
	if (client->connections == 0)
		TAILQ_INSERT_TAIL(&c->resting, client, link);
}

void
counters_gone(struct counters *c, struct counted_worker *w, struct span key, int64_t now_us)
{
	uintptr_t had = (uintptr_t)table_take(w->had, key);

	if (had == 0)
		return;
	if (had > 1)
		table_put(w->had, key, (void *)(had - 1));
	disconnect(c, table_get(c->clients, key), 1);
	forget_old(c, now_us);
}

struct counted_worker *
counted_worker_new(struct counters *c)
{
	struct counted_worker *w = mem_alloc(sizeof(*w));

	w->counters = c;
	w->had = table_new(c->max_clients, NULL);
	return w;
}

void
counted_worker_free(struct counted_worker **wp)
{
	struct counted_worker *w = *wp;
	size_t position = 0;
	struct span key;
	void *had;

	if (!w)
		return;
	while ((had = table_next(w->had, &position, &key)) != NULL)
		disconnect(w->counters, table_get(w->counters->clients, key), (uintptr_t)had);
	table_free(&w->had);
	free(w);
	*wp = NULL;
}
