/*
 * tcp:HOST:PORT: a line a question, a line an answer: tcp_table(5). Neither guarded nor encrypted: for servers on this
 * host.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/map/answers.h"
#include "common/map/clients.h"
#include "common/map/netclient.h"

struct tcp {
	struct clients *clients;
	struct buf request, answer;
};

/* A line, without its end. */
static ptrdiff_t
line_parse(struct span bytes, struct span *content)
{
	ptrdiff_t end = span_find(bytes, '\n');

	if (end < 0)
		return 0;
	*content = span_sub(bytes, 0, (size_t)end);
	if (content->len > 0 && content->ptr[content->len - 1] == '\r')
		content->len--;
	return end + 1;
}

static enum lookup_status
ask_server(void *table, void *connection, const struct client_question *q, int64_t deadline_us, bool *lost,
    struct error *err)
{
	struct tcp *t = table;
	struct span line;

	buf_clear(&t->request);
	(void)buf_append_text(&t->request, "get ");
	tcp_encode(&t->request, q->key);
	(void)buf_append_text(&t->request, "\n");
	*lost = netclient_ask(
		    connection, buf_span(&t->request), line_parse, &t->answer, &line, deadline_us, err) < 0;
	return *lost ? LOOKUP_TEMPORARY : tcp_answer(line, q->hit->value, err);
}

static const struct client_kind client = {
    "tcp", "the table's server", netclient_connect, ask_server, netclient_close, false};

static enum lookup_status
tcp_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct tcp *t = table;
	return clients_ask(t->clients, key, hit, err);
}

static void
tcp_close(void *table)
{
	struct tcp *t = table;

	clients_free(&t->clients);
	buf_free(&t->request);
	buf_free(&t->answer);
	free(t);
}

static void *
tcp_open(const struct map_input *in, struct error *err)
{
	if (span_find(span_of(in->name), ':') <= 0) {
		error_set(err, "bad tcp:%s: need tcp:HOST:PORT", in->name);
		return NULL;
	}
	struct tcp *t = mem_alloc(sizeof(*t));
	t->clients = clients_new(&client, t, in->name, in->name, CLIENT_TIMEOUT_SECONDS);
	buf_init(&t->request, 4 * MAP_KEY_MAX);
	buf_init(&t->answer, TCP_ANSWER_MAX);
	return t;
}

const struct map_kind map_kind_tcp = {
    .name = "tcp",
    .keys = MAP_KEYS_PATTERN,
    .needs = MAP_BLOCKS | MAP_NETWORK,
    .open = tcp_open,
    .lookup = tcp_lookup,
    .close = tcp_close,
};
