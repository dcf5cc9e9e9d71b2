#include "delivery/smtp/destination.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/conf/conf.h"

TAILQ_HEAD(idle_list, connection);

struct destination {
	struct idle_list idle; /* last used first */
};

struct destinations {
	struct table *by_key;
	size_t idle_count;
};

struct destinations *
destinations_new(void)
{
	struct destinations *d = mem_alloc(sizeof *d);

	d->by_key = table_new(DESTINATION_IDLE_MAX, free);
	return d;
}

static void
destination_remove(struct destinations *d, struct connection *c)
{
	struct span key = span_of(c->destination);
	struct destination *destination = table_get(d->by_key, key);

	TAILQ_REMOVE(&destination->idle, c, idle_link);
	d->idle_count--;
	if (TAILQ_EMPTY(&destination->idle))
		free(table_take(d->by_key, key));
}

/* ---- what happens to an idle connection ---- */

static void
on_timeout(struct connection *c, void *context)
{
	destination_remove(context, c);
	connection_quit(c);
}

/* Nothing was asked: "421 timeout, closing". */
static void
on_reply(struct connection *c, const struct reply *r, void *context)
{
	(void)r;
	on_timeout(c, context);
}

static void
on_lost(struct connection *c, enum connection_loss how, void *context)
{
	(void)how;
	destination_remove(context, c);
}

static const struct connection_user idle_user = {.reply = on_reply, .lost = on_lost, .timeout = on_timeout};

/* ---- taking and putting ---- */

struct connection *
destination_take(struct destinations *d, struct span key)
{
	struct destination *destination = table_get(d->by_key, key);
	struct connection *c;

	if (!destination)
		return NULL;
	c = TAILQ_FIRST(&destination->idle);
	destination_remove(d, c);
	return c;
}

static bool
is_listed(struct span list, struct span key)
{
	struct span word;

	while (conf_list_next(&list, &word))
		if (span_equal_nocase(word, key))
			return true;
	return false;
}

static bool
may_stay(const struct destinations *d, const struct connection *c)
{
	const struct agent *agent = c->plan.agent;
	const struct conf_values *v = c->conf->values;
	int64_t count_limit = v->smtp_connection_reuse_count_limit;

	if (agent->stopping || c->conf->generation != agent->conf->generation || c->plan.trace)
		return false;
	/* What broke may be in order for the next message. */
	if (c->plan.plain || (c->tls_on && !c->policy->reuse))
		return false;
	if (!v->smtp_connection_cache_on_demand &&
	    !is_listed(span_of(v->smtp_connection_cache_destinations), span_of(c->nexthop)))
		return false;
	if (v->smtp_connection_cache_time_limit <= 0 || d->idle_count >= DESTINATION_IDLE_MAX)
		return false;
	if (count_limit > 0 && c->uses >= count_limit)
		return false;
	return clock_mono_us() - c->opened_us < v->smtp_connection_reuse_time_limit;
}

void
destination_put(struct destinations *d, struct connection *c)
{
	struct span key = span_of(c->destination);
	struct destination *destination;

	if (!may_stay(d, c)) {
		connection_quit(c);
		return;
	}
	destination = table_get(d->by_key, key);
	if (!destination) {
		destination = mem_alloc(sizeof *destination);
		TAILQ_INIT(&destination->idle);
		if (table_put(d->by_key, key, destination) < 0) {
			free(destination);
			connection_quit(c);
			return;
		}
	}
	TAILQ_INSERT_HEAD(&destination->idle, c, idle_link);
	d->idle_count++;
	connection_set_user(c, &idle_user, d);
	connection_set_timeout(c, c->conf->values->smtp_connection_cache_time_limit);
}

void
destinations_quit(struct destinations *d)
{
	struct destination *destination;
	size_t position = 0;
	struct span key;

	/* Each round takes one connection out, and with the last of a destination the row: so from the start. */
	while ((destination = table_next(d->by_key, &position, &key))) {
		struct connection *c = TAILQ_FIRST(&destination->idle);

		destination_remove(d, c);
		connection_quit(c);
		position = 0;
	}
}

void
destinations_free(struct destinations **d)
{
	if (!*d)
		return;
	destinations_quit(*d);
	table_free(&(*d)->by_key);
	free(*d);
	*d = NULL;
}
