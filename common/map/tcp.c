/*
 * tcp:HOST:PORT: a line a question, a line an answer: tcp_table(5). Neither guarded nor encrypted: for servers on this
 * host.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/map/answers.h"
#include "common/map/clients.h"
#include "common/map/kinds.h"
#include "common/map/netclient.h"

struct tcp {
	struct clients *clients;
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

static enum lookup_status
ask_server(void *table, void *connection, void *question, int64_t deadline_us, bool *lost, struct error *err)
{
	struct tcp *t = table;
	struct question *q = question;
	char bytes[TCP_ANSWER_MAX];
	ptrdiff_t end;

	*lost = true;
	buf_clear(&t->request);
	buf_clear(&t->answer);
	buf_clear(q->hit->value);
	(void)buf_append_text(&t->request, "get ");
	tcp_encode(&t->request, q->key);
	(void)buf_append_text(&t->request, "\n");
	if (netclient_write(connection, buf_span(&t->request), deadline_us, err) < 0)
		return LOOKUP_TEMPORARY;
	while ((end = span_find(buf_span(&t->answer), '\n')) < 0) {
		ssize_t n = netclient_read(connection, bytes, sizeof(bytes), deadline_us, err);
		if (n < 0)
			return LOOKUP_TEMPORARY;
		if (buf_append(&t->answer, bytes, (size_t)n) < 0) {
			error_set(err, "the server's answer is longer than %d octets", TCP_ANSWER_MAX);
			return LOOKUP_TEMPORARY;
		}
	}
	/* Octets behind the line are a server that has lost count. */
	*lost = (size_t)end + 1 != t->answer.len;
	if (*lost) {
		error_set(err, "the server answers more than it was asked");
		return LOOKUP_TEMPORARY;
	}
	struct span line = span_sub(buf_span(&t->answer), 0, (size_t)end);
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return tcp_answer(line, q->hit->value, err);
}

static const struct client_kind client = {connect_server, ask_server, netclient_close, false};

static enum lookup_status
tcp_lookup(void *table, struct span key, struct map_hit *hit, struct error *err)
{
	struct tcp *t = table;
	struct question q = {key, hit};
	return clients_ask(t->clients, &q, err);
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
	t->clients = clients_new(&client, t, in->name, CLIENT_TIMEOUT_SECONDS);
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
