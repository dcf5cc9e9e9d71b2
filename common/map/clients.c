#include "common/map/clients.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/map/client_meter.h"

enum { HEALTH_MAX = 10000, REST_MAX_SECONDS = 30, INTERVAL_MAX_SECONDS = 86400 };

/* What all threads know of a table's host. */
struct health {
	unsigned failures;
	int64_t rest_until_us;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct table *health_by_host;

struct host {
	char *name;
	char *known_as; /* in health_by_host: "kind:table host" */
	void *connection;
	int64_t used_us;
};

struct clients {
	const struct client_kind *kind;
	void *table;
	int64_t timeout_us;
	int64_t idle_us; /* 0: a connection is used as long as its thread lives */
	unsigned retry_s; /* 0: a second that doubles */
	struct host hosts[CLIENT_HOSTS_MAX];
	size_t count;
	size_t local; /* the first of them are UNIX sockets */
};

/* Whether a host that failed may be tried. Whoever is told yes tries it; the others wait another round. */
static bool
may_try(const char *host)
{
	int64_t now = clock_mono_us();
	bool may = true;

	(void)pthread_mutex_lock(&lock);
	struct health *h = health_by_host != NULL ? table_get(health_by_host, span_of(host)) : NULL;
	if (h != NULL && h->failures > 0) {
		may = now >= h->rest_until_us;
		if (may)
			h->rest_until_us = now + CLIENT_TIMEOUT_SECONDS * US_PER_SECOND;
	}
	(void)pthread_mutex_unlock(&lock);
	return may;
}

static int64_t
rest_seconds(const struct clients *c, unsigned failures)
{
	if (c->retry_s > 0)
		return c->retry_s;
	return failures < 5 ? 1 << failures : REST_MAX_SECONDS;
}

static void
tell_health(const struct clients *c, const char *host, bool well)
{
	(void)pthread_mutex_lock(&lock);
	if (health_by_host == NULL)
		health_by_host = table_new(HEALTH_MAX, free);
	struct health *h = table_get(health_by_host, span_of(host));
	if (h == NULL && !well) {
		h = mem_alloc(sizeof(*h));
		if (table_put(health_by_host, span_of(host), h) < 0) {
			free(h);
			h = NULL;
		}
	}
	if (h != NULL && well) {
		h->failures = 0;
	} else if (h != NULL) {
		h->rest_until_us = clock_mono_us() + rest_seconds(c, h->failures) * US_PER_SECOND;
		h->failures++;
	}
	(void)pthread_mutex_unlock(&lock);
}

static bool
is_local(struct span host)
{
	return span_starts(host, "unix:") || span_starts(host, "/") || span_starts(host, "ldapi:");
}

static void
add_host(struct clients *c, const char *table, struct span name)
{
	struct host *h = &c->hosts[c->count++];
	struct buf known_as;

	h->name = mem_strndup(name.ptr, name.len);
	buf_init(&known_as, 3 * MAP_NAME_MAX);
	(void)buf_printf(&known_as, "%s:%s %s", c->kind->name, table, h->name);
	h->known_as = mem_strdup(buf_text(&known_as));
	buf_free(&known_as);
}

static void
add_hosts(struct clients *c, const char *table, const char *list, bool local)
{
	struct span rest = span_of(list), word;

	while (conf_list_next(&rest, &word))
		if (is_local(word) == local && c->count < CLIENT_HOSTS_MAX)
			add_host(c, table, word);
}

struct clients *
clients_new(
    const struct client_kind *kind, void *table, const char *name, const char *hosts, unsigned timeout_s)
{
	struct clients *c = mem_alloc(sizeof(*c));

	c->kind = kind;
	c->table = table;
	c->timeout_us = timeout_s * US_PER_SECOND;
	add_hosts(c, name, hosts, true);
	c->local = c->count;
	add_hosts(c, name, hosts, false);
	return c;
}

void
clients_read_intervals(struct clients *c, struct tablefile *file)
{
	c->idle_us =
	    (int64_t)tablefile_number(file, "idle_interval", 0, 1, INTERVAL_MAX_SECONDS) * US_PER_SECOND;
	c->retry_s = (unsigned)tablefile_number(file, "retry_interval", 0, 1, INTERVAL_MAX_SECONDS);
}

static void
disconnect(struct clients *c, struct host *h)
{
	if (h->connection != NULL)
		c->kind->disconnect(h->connection);
	h->connection = NULL;
}

void
clients_free(struct clients **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < (*c)->count; i++) {
		disconnect(*c, &(*c)->hosts[i]);
		free((*c)->hosts[i].name);
		free((*c)->hosts[i].known_as);
	}
	free(*c);
	*c = NULL;
}

static enum lookup_status
ask_connection(struct clients *c, struct host *h, const struct client_question *q, int64_t deadline_us,
    bool *lost, struct error *err)
{
	buf_clear(q->hit->value);
	*q->cut = false;
	enum lookup_status status = c->kind->ask(c->table, h->connection, q, deadline_us, lost, err);
	if (!client_meter_refused())
		return status;
	/* Whatever the library made of that: the host is well, the question is not. */
	*q->cut = true;
	*lost = false;
	error_set(err, "%s: an answer of more than %d octets", c->kind->server, CLIENT_ANSWER_MAX);
	return LOOKUP_TEMPORARY;
}

/* 1 it has answered (*status, also with trouble of the question's own), 0 another host may be asked. */
static int
ask_host(struct clients *c, struct host *h, const struct client_question *q, int64_t deadline_us,
    enum lookup_status *status, struct error *err)
{
	bool was_connected = h->connection != NULL;

	if (was_connected && c->idle_us > 0 && clock_mono_us() - h->used_us >= c->idle_us) {
		disconnect(c, h);
		was_connected = false;
	}
	if (!was_connected && !may_try(h->known_as))
		return 0;
	/* A connection that lay idle may have been closed by the server: that is no failure yet. */
	for (int attempt = was_connected ? 0 : 1; attempt < 2; attempt++) {
		bool lost = false;
		client_meter_begin(CLIENT_ANSWER_MAX, deadline_us);
		if (h->connection == NULL)
			h->connection = c->kind->connect(c->table, h->name, deadline_us, err);
		if (h->connection != NULL)
			*status = ask_connection(c, h, q, deadline_us, &lost, err);
		client_meter_end();
		if (h->connection == NULL)
			break;
		if (!lost) {
			tell_health(c, h->known_as, true);
			h->used_us = clock_mono_us();
			if (*q->cut)
				disconnect(c, h);
			return 1;
		}
		disconnect(c, h);
		if (clock_mono_us() >= deadline_us)
			break;
	}
	tell_health(c, h->known_as, false);
	return 0;
}

static size_t
random_below(size_t n)
{
	unsigned number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != (ssize_t)sizeof(number))
		return 0;
	return number % n;
}

enum lookup_status
clients_ask(struct clients *c, struct span key, struct map_hit *hit, struct error *err)
{
	bool cut = false;
	const struct client_question q = {key, hit, &cut};
	int64_t deadline_us = clock_mono_us() + c->timeout_us;
	enum lookup_status status = LOOKUP_TEMPORARY;
	size_t remote = c->count - c->local;
	size_t first = remote > 1 && !c->kind->in_order ? random_below(remote) : 0;
	bool asked[CLIENT_HOSTS_MAX] = {false};

	error_set(err, "no server of this table can be reached at present");
	for (size_t i = 0; i < c->count; i++) {
		if (c->hosts[i].connection == NULL)
			continue;
		asked[i] = true;
		if (ask_host(c, &c->hosts[i], &q, deadline_us, &status, err) == 1)
			return status;
	}
	for (size_t n = 0; n < c->count && clock_mono_us() < deadline_us; n++) {
		size_t i = n < c->local ? n : c->local + (n - c->local + first) % remote;
		if (!asked[i] && ask_host(c, &c->hosts[i], &q, deadline_us, &status, err) == 1)
			return status;
	}
	return LOOKUP_TEMPORARY;
}

bool
client_place_parse(const char *text, struct client_place *p)
{
	struct span name = span_of(text);

	*p = (struct client_place){.local = span_starts(name, "unix:") || span_starts(name, "/")};
	if (p->local)
		return span_copy(span_from(name, text[0] == '/' ? 0 : 5), p->host, sizeof(p->host));
	if (span_starts(name, "inet:"))
		name = span_from(name, 5);
	ptrdiff_t colon = span_find_last(name, ':');
	struct span before = span_sub(name, 0, colon > 0 ? (size_t)colon : 0);
	/* A second colon without brackets is that of an address. */
	if (before.len > 0 && (before.ptr[before.len - 1] == ']' || span_find(before, ':') < 0)) {
		if (!span_copy(span_from(name, before.len + 1), p->port, sizeof(p->port)))
			return false;
		name = before;
	}
	if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
		name = span_sub(name, 1, name.len - 2);
	return span_copy(name, p->host, sizeof(p->host));
}

void
client_error(struct error *err, const char *who, const char *text)
{
	struct span rest = span_of(text), line = {0};
	struct buf printable;

	buf_init(&printable, 1000);
	(void)span_next_line(&rest, &line);
	text_append_printable(&printable, span_trim(line), 300);
	error_set(err, "%s: %s", who, printable.len > 0 ? buf_text(&printable) : "unknown trouble");
	buf_free(&printable);
}

bool
client_wait(int fd, bool writing, int64_t deadline_us)
{
	for (;;) {
		struct pollfd p = {.fd = fd, .events = writing ? POLLOUT : POLLIN};
		int64_t left_us = deadline_us - clock_mono_us();
		if (left_us <= 0)
			return false;
		int got = poll(&p, 1, (int)((left_us + US_PER_MS - 1) / US_PER_MS));
		if (got > 0)
			return true;
		if (got < 0 && errno != EINTR)
			return false;
	}
}

unsigned
client_seconds(int64_t deadline_us)
{
	int64_t left_us = deadline_us - clock_mono_us();
	return left_us <= US_PER_SECOND ? 1 : (unsigned)(left_us / US_PER_SECOND);
}
