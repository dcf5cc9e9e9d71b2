/*
 * socketmap:inet:HOST:PORT:NAME and socketmap:unix:PATH:NAME: sendmail's socketmap protocol, socketmap_table(5).
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/map/answers.h"
#include "common/map/clients.h"
#include "common/map/kinds.h"
#include "common/map/netclient.h"

struct socketmap {
	struct clients *clients;
	struct span map; /* the name that is put before each key */
	struct buf request, answer;
};

struct question {
	struct span key;
	struct map_hit *hit;
};

static void *
connect_server(void *table, const char *host, int64_t deadline_us, struct error *err)
{
	(void)table;
	return netclient_connect(host, deadline_us, err);
}

/* One answer is read whole; octets behind it are a server that has lost count. */
static enum lookup_status
read_answer(struct socketmap *s, struct netclient *c, struct map_hit *hit, int64_t deadline_us, bool *lost,
    struct error *err)
{
	char bytes[8192];
	struct span content;
	ptrdiff_t used;

	buf_clear(&s->answer);
	*lost = true;
	while ((used = netstring_parse(buf_span(&s->answer), &content)) == 0) {
		ssize_t n = netclient_read(c, bytes, sizeof(bytes), deadline_us, err);
		if (n < 0)
			return LOOKUP_TEMPORARY;
		if (buf_append(&s->answer, bytes, (size_t)n) < 0)
			break;
	}
	if (used <= 0 || (size_t)used != s->answer.len) {
		error_set(err, "the server's answer is no netstring");
		return LOOKUP_TEMPORARY;
	}
	*lost = false;
	return socketmap_answer(content, hit->value, err);
}

static enum lookup_status
ask_server(void *table, void *connection, void *question, int64_t deadline_us, bool *lost, struct error *err)
{
	struct socketmap *s = table;
	struct question *q = question;

	buf_clear(&s->request);
	buf_clear(q->hit->value);
	(void)buf_printf(
	    &s->request, "%zu:%.*s %.*s,", s->map.len + 1 + q->key.len, SPAN_ARG(s->map), SPAN_ARG(q->key));
	if (netclient_write(connection, buf_span(&s->request), deadline_us, err) < 0) {
		*lost = true;
		return LOOKUP_TEMPORARY;
	}
	return read_answer(s, connection, q->hit, deadline_us, lost, err);
}

static const struct client_kind client = {connect_server, ask_server, netclient_close, false};

static enum lookup_status
socketmap_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct socketmap *s = table;
	struct question q = {key, hit};
	return clients_ask(s->clients, &q, err);
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
	s->clients = clients_new(&client, s, place, CLIENT_TIMEOUT_SECONDS);
	buf_init(&s->request, 2 * MAP_NAME_MAX);
	buf_init(&s->answer, SOCKETMAP_ANSWER_MAX + 100);
	return s;
}

const struct map_kind map_kind_socketmap = {
    .name = "socketmap",
    .needs = MAP_BLOCKS | MAP_NETWORK,
    .open = socketmap_open,
    .lookup = socketmap_lookup,
    .close = socketmap_close,
};
