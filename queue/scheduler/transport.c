#include "queue/scheduler/transport.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/conf/transports.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

/* Of a job: as many as the parameter may say, where it says that there is no limit. */
enum { RECIPIENTS_MOST = 10000 };

static enum hop_kind
kind_of(enum transport_kind service)
{
	switch (service) {
	case TRANSPORT_LOCAL:
	case TRANSPORT_VIRTUAL:
	case TRANSPORT_PIPE:
		return HOP_TO_LOCAL;
	case TRANSPORT_ERROR:
		return HOP_TO_ERROR;
	case TRANSPORT_RETRY:
		return HOP_TO_RETRY;
	case TRANSPORT_DISCARD:
		return HOP_TO_DISCARD;
	case TRANSPORT_UNKNOWN:
		return HOP_TO_NOBODY;
	default:
		return HOP_TO_DELIVERY;
	}
}

/* NAME_what: where the configuration has none, it is that of all transports. */
static void
name_of(const struct transport *t, const char *what, char name[CONF_NAME_MAX + 1])
{
	if ((size_t)snprintf(name, CONF_NAME_MAX + 1, "%s_%s", t->name, what) > CONF_NAME_MAX)
		snprintf(name, CONF_NAME_MAX + 1, "default_%s", what);
}

static int64_t
number_of(const struct transport *t, const char *what)
{
	char name[CONF_NAME_MAX + 1];

	name_of(t, what, name);
	return conf_lookup_number(t->q->conf, name);
}

static void
read_feedback(const struct transport *t, const char *what, struct feedback *f)
{
	char name[CONF_NAME_MAX + 1];
	const char *text;
	struct error err;

	name_of(t, what, name);
	text = conf_lookup(t->q->conf, name);
	if (!text || feedback_parse(text, f, &err) < 0)
		*f = (struct feedback){.kind = FEEDBACK_FIXED, .base = 1};
}

static void
read_limits(struct transport *t)
{
	int64_t most = t->q->conf->default_destination_concurrency_limit, initial;
	struct transport_service service;

	transport_service_find(t->q->conf, span_of(t->name), &service);
	t->kind = kind_of(service.kind);
	t->deferred = conf_list_has(t->q->conf->defer_transports, t->name);
	t->knows_members = service.kind == TRANSPORT_LOCAL;
	initial = number_of(t, "initial_destination_concurrency");
	if (initial < 0)
		initial = t->q->conf->initial_destination_concurrency;
	/* All of a domain's mailboxes are one hop of local, which keeps the jobs for one mailbox apart itself. */
	t->is_of_mailboxes = service.kind == TRANSPORT_LOCAL || service.kind == TRANSPORT_VIRTUAL;
	if (!t->is_of_mailboxes)
		most = number_of(t, "destination_concurrency_limit");
	/* More than the commands that may run would only take the places of other transports. */
	t->active_most = service.kind != TRANSPORT_PIPE ? 0
			 : service.processes            ? service.processes
							: TRANSPORT_PROCESSES;
	t->destination_delay_us = number_of(t, "destination_rate_delay");
	t->delay_us = number_of(t, "transport_rate_delay");
	if (t->destination_delay_us > 0)
		most = 1;
	t->rules.most = (unsigned)most;
	t->rules.initial = (unsigned)(most > 0 && initial > most ? most : initial);
	t->rules.cohorts = (unsigned)number_of(t, "destination_concurrency_failed_cohort_limit");
	t->recipient_limit = (uint32_t)number_of(t, "destination_recipient_limit");
	if (t->recipient_limit == 0)
		t->recipient_limit = RECIPIENTS_MOST;
	read_feedback(t, "destination_concurrency_positive_feedback", &t->rules.positive);
	read_feedback(t, "destination_concurrency_negative_feedback", &t->rules.negative);
}

/* One that no hop has any more goes. */
static bool
make_place(struct scheduler *s)
{
	size_t position = 0;
	struct transport *t;
	struct span key;

	while ((t = table_next(s->transports, &position, &key)) && t->hops > 0)
		;
	if (t)
		transport_free(table_take(s->transports, key));
	return t != NULL;
}

struct transport *
transport_get(struct queue *q, struct span name)
{
	struct transport *t = table_get(q->scheduler->transports, name);

	if (t)
		return t;
	if (table_count(q->scheduler->transports) >= q->scheduler->transports_max &&
	    !make_place(q->scheduler))
		return NULL;
	t = mem_alloc(sizeof(*t));
	t->q = q;
	t->name = mem_strndup(name.ptr, name.len);
	TAILQ_INIT(&t->waiting);
	read_limits(t);
	table_put(q->scheduler->transports, name, t);
	return t;
}

/* ---- default_transport_rate_delay ---- */

static void on_timer(evutil_socket_t fd, short what, void *context);

static void
arm(struct transport *t, int64_t wait)
{
	struct timeval tv;

	if (wait < 0)
		wait = 0;
	tv = (struct timeval){.tv_sec = wait / US_PER_SECOND, .tv_usec = wait % US_PER_SECOND};
	if (!t->timer)
		t->timer = event_new(t->q->base, -1, 0, on_timer, t);
	event_add(t->timer, &tv);
}

static void
on_timer(evutil_socket_t fd, short what, void *context)
{
	struct transport *t = context;
	struct hop *hop = TAILQ_FIRST(&t->waiting);

	(void)fd;
	(void)what;
	if (hop)
		hop_touch(t->q, hop);
	/* Should nothing come of that one (no worker, or its mail is gone): the next one has its turn all the same. */
	if (!TAILQ_EMPTY(&t->waiting) && transport_may_start(t))
		arm(t, t->delay_us);
	scheduler_run_soon(t->q);
}

bool
transport_may_start(struct transport *t)
{
	if (t->active_most > 0 && t->active >= t->active_most)
		return false;
	if (t->delay_us == 0 || t->next_us <= spool_clock_now())
		return true;
	arm(t, t->next_us - spool_clock_now());
	return false;
}

void
transport_started(struct transport *t)
{
	if (t->delay_us == 0)
		return;
	t->next_us = spool_clock_now() + t->delay_us;
	arm(t, t->delay_us);
}

void
transport_go_on(struct transport *t)
{
	struct hop *hop;

	while ((hop = TAILQ_FIRST(&t->waiting)) && transport_may_start(t)) {
		hop_touch(t->q, hop);
		if (hop->place == HOP_IN_RING)
			return;
	}
}

void
transports_configured(struct queue *q)
{
	size_t position = 0;
	struct span key;
	struct transport *t;

	while ((t = table_next(q->scheduler->transports, &position, &key)))
		read_limits(t);
}

void
transport_free(void *transport)
{
	struct transport *t = transport;

	if (t->timer)
		event_free(t->timer);
	free(t->name);
	free(t);
}
