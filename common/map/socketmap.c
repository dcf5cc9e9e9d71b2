/*
 * socketmap:inet:HOST:PORT:NAME and socketmap:unix:PATH:NAME: sendmail's socketmap protocol, socketmap_table(5).
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/map/answers.h"
#include "common/map/clients.h"
#include "common/map/netclient.h"

struct socketmap {
	struct clients *clients;
	struct span map; /* the name that is put before each key */
	struct buf request, answer;
};

static enum lookup_status
ask_server(void *table, void *connection, const struct client_question *q, int64_t deadline_us, bool *lost,
    struct error *err)
{
	struct socketmap *s = table;
	struct span content;

	buf_clear(&s->request);
	(void)buf_printf(
	    &s->request, "%zu:%.*s %.*s,", s->map.len + 1 + q->key.len, SPAN_ARG(s->map), SPAN_ARG(q->key));
	*lost = netclient_ask(connection, buf_span(&s->request), netstring_parse, &s->answer, &content,
		    deadline_us, err) < 0;
	return *lost ? LOOKUP_TEMPORARY : socketmap_answer(content, q->hit->value, err);
}

static const struct client_kind client = {
    "socketmap", "the table's server", netclient_connect, ask_server, netclient_close, false};

static enum lookup_status
socketmap_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct socketmap *s = table;
	return clients_ask(s->clients, key, hit, err);
}

static void
socketmap_close(void *table)
{
	struct socketmap *s = table;

	clients_free(&s->clients);
	buf_free(&s->request);
	buf_free(&s->answer);
	free(s);
}

static void *
socketmap_open(const struct map_input *in, struct error *err)
{
	struct span name = span_of(in->name);
	ptrdiff_t colon = span_find_last(name, ':');
	char place[MAP_NAME_MAX];

	if (colon <= 5 || (!span_starts(name, "inet:") && !span_starts(name, "unix:")) ||
	    (size_t)colon + 1 >= name.len ||
	    !span_copy(span_sub(name, 0, (size_t)colon), place, sizeof(place)) ||
	    (span_starts(name, "inet:") && span_find(span_from(span_of(place), 5), ':') <= 0)) {
		error_set(err,
		    "bad socketmap:%s: need socketmap:inet:HOST:PORT:NAME or socketmap:unix:PATH:NAME",
		    in->name);
		return NULL;
	}
	struct socketmap *s = mem_alloc(sizeof(*s));
	s->map = span_from(name, (size_t)colon + 1);
	s->clients = clients_new(&client, s, in->name, place, CLIENT_TIMEOUT_SECONDS);
	buf_init(&s->request, 2 * MAP_NAME_MAX);
	buf_init(&s->answer, SOCKETMAP_ANSWER_MAX + 100);
	return s;
}

const struct map_kind map_kind_socketmap = {
    .name = "socketmap",
    .keys = MAP_KEYS_INNER,
    .needs = MAP_BLOCKS | MAP_NETWORK,
    .open = socketmap_open,
    .lookup = socketmap_lookup,
    .close = socketmap_close,
};
