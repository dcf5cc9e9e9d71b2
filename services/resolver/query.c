#include "services/resolver/query.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"

int64_t query_schedule_us[QUERY_TRIES + 1] = {
    0, 1 * US_PER_SECOND, 3 * US_PER_SECOND, 6 * US_PER_SECOND, 10 * US_PER_SECOND};

/* One server's part in a query. */
struct contact {
	struct query *query;
	struct name_server *server;
	struct event event;
	int fd; /* -1: none (any more) */
	uint16_t id;
	bool edns;
	bool tcp;
	bool failed; /* it answered uselessly or cannot be reached */
	size_t sent; /* of the TCP question */
	struct buf input; /* of the TCP answer */
};

struct query {
	struct event_base *base;
	struct servers *servers;
	struct question question;
	query_done *done;
	void *context;
	struct event timer;
	int64_t started_us;
	unsigned tries; /* begun so far */
	bool some_answer;
	struct answer failure; /* what is known should all fail */
	size_t contact_count;
	struct contact contacts[QUERY_TRIES];
};

static uint16_t
random_id(void)
{
	static uint16_t pool[256];
	static size_t left;

	if (left == 0) {
		if (getrandom(pool, sizeof(pool), 0) != (ssize_t)sizeof(pool))
			panic("getrandom: %s", strerror(errno));
		left = sizeof(pool) / sizeof(pool[0]);
	}
	return pool[--left];
}

static void
contact_close(struct contact *c)
{
	if (c->fd >= 0)
		event_del(&c->event);
	io_close(&c->fd);
	buf_free(&c->input);
}

static void
query_free(struct query *q)
{
	for (size_t i = 0; i < q->contact_count; i++)
		contact_close(&q->contacts[i]);
	event_del(&q->timer);
	answer_free(&q->failure);
	servers_unref(&q->servers);
	free(q);
}

static void
query_finish(struct query *q, enum query_end end, struct answer *answer)
{
	query_done *done = q->done;
	void *context = q->context;
	struct answer copy = *answer; /* with its buffer */

	buf_init(&answer->records, WIRE_RECORDS_BYTES_MAX);
	query_free(q);
	done(context, end, &copy);
	answer_free(&copy);
}

static void
query_fail(struct query *q)
{
	query_finish(q, q->some_answer ? QUERY_FAILED : QUERY_SILENT, &q->failure);
}

static void
schedule(struct query *q)
{
	int64_t wait_us = q->started_us + query_schedule_us[q->tries] - clock_mono_us();
	struct timeval tv;

	if (wait_us < 0)
		wait_us = 0;
	tv = (struct timeval){.tv_sec = wait_us / US_PER_SECOND, .tv_usec = wait_us % US_PER_SECOND};
	event_add(&q->timer, &tv);
}

/* Nothing more will come from this server. With all of them so, the query ends; else the next is asked at once. */
static void
contact_failed(struct contact *c)
{
	struct query *q = c->query;
	bool all = true;

	contact_close(c);
	c->failed = true;
	for (size_t i = 0; i < q->contact_count; i++)
		all = all && q->contacts[i].failed;
	if (!all)
		return;
	if (q->tries >= QUERY_TRIES || q->contact_count >= q->servers->count) {
		q->tries = QUERY_TRIES;
		event_active(&q->timer, EV_TIMEOUT, 0);
	} else {
		struct timeval now = {0, 0};

		event_add(&q->timer, &now);
	}
}

static void on_tcp(int fd, short what, void *arg);
static void on_datagram(int fd, short what, void *arg);

static int
contact_open(struct contact *c, bool tcp)
{
	const struct name_server *server = c->server;

	c->tcp = tcp;
	c->id = random_id();
	c->edns = !server->no_edns;
	c->sent = 0;
	buf_init(&c->input, 2 + 65535);
	c->fd = socket(
	    server->address.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return -1;
	event_assign(&c->event, c->query->base, c->fd, (tcp ? EV_WRITE : EV_READ) | EV_PERSIST,
	    tcp ? on_tcp : on_datagram, c);
	event_add(&c->event, NULL);
	if (connect(c->fd, (const struct sockaddr *)&server->address, server->address_len) == 0)
		return 0;
	return errno == EINPROGRESS ? 0 : -1;
}

static size_t
contact_question(const struct contact *c, uint8_t out[WIRE_QUESTION_MAX])
{
	unsigned flags = c->edns ? QUESTION_EDNS : 0;

	if (c->edns && c->server->trusted)
		flags |= QUESTION_DNSSEC;
	return question_build(&c->query->question, c->id, flags, out);
}

static void
contact_send(struct contact *c)
{
	uint8_t packet[WIRE_QUESTION_MAX];
	size_t len = contact_question(c, packet);

	if (send(c->fd, packet, len, MSG_NOSIGNAL) < 0 && errno != EAGAIN && errno != EINTR)
		contact_failed(c);
}

static void
contact_restart(struct contact *c, bool tcp)
{
	contact_close(c);
	if (contact_open(c, tcp) < 0)
		contact_failed(c);
	else if (!tcp)
		contact_send(c);
}

static void
note_failure(struct query *q, const struct answer *answer)
{
	enum dns_status worse = answer->status == DNS_BOGUS ? DNS_BOGUS : DNS_TEMPORARY;

	q->some_answer = true;
	if (q->failure.status != DNS_BOGUS) {
		q->failure.status = worse;
		memcpy(q->failure.reason, answer->reason, sizeof(q->failure.reason));
	}
}

/* Returns false if the packet is as good as none. After true the query may be gone. */
static bool
take_packet(struct contact *c, struct span packet)
{
	struct query *q = c->query;
	struct answer answer;
	enum wire_verdict verdict;

	answer_init(&answer);
	verdict = answer_parse(packet, &q->question, c->id, c->edns, &answer);
	if (verdict == WIRE_NOT_OURS) {
		answer_free(&answer);
		return false;
	}
	server_answered(c->server);
	answer.authentic = answer.authentic && c->server->trusted;
	switch (verdict) {
	case WIRE_ANSWERED:
		query_finish(q, QUERY_ANSWERED, &answer);
		break;
	case WIRE_FOLLOW:
		query_finish(q, QUERY_FOLLOW, &answer);
		break;
	case WIRE_NO_EDNS:
		c->server->no_edns = true;
		contact_restart(c, c->tcp);
		break;
	case WIRE_TRUNCATED:
		if (!c->tcp) {
			contact_restart(c, true);
			break;
		}
		snprintf(answer.reason, sizeof(answer.reason), "truncated answer over TCP");
		/* fallthrough */
	default:
		note_failure(q, &answer);
		contact_failed(c);
	}
	answer_free(&answer);
	return true;
}

static void
on_datagram(int fd, short what, void *arg)
{
	static uint8_t packet[65536];
	struct contact *c = arg;
	ssize_t len;

	(void)what;
	len = recv(fd, packet, sizeof(packet), 0);
	if (len < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			snprintf(c->query->failure.reason, sizeof(c->query->failure.reason),
			    "name server %s: %s", c->server->text, strerror(errno));
			contact_failed(c);
		}
		return;
	}
	take_packet(c, span_make(packet, (size_t)len));
}

/* Returns -1 if the connection failed. */
static int
tcp_write(struct contact *c)
{
	uint8_t packet[2 + WIRE_QUESTION_MAX];
	size_t len = contact_question(c, packet + 2);
	ssize_t n;

	packet[0] = (uint8_t)(len >> 8);
	packet[1] = (uint8_t)len;
	n = send(c->fd, packet + c->sent, 2 + len - c->sent, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	c->sent += (size_t)n;
	if (c->sent < 2 + len)
		return 0;
	event_del(&c->event);
	event_assign(&c->event, c->query->base, c->fd, EV_READ | EV_PERSIST, on_tcp, c);
	event_add(&c->event, NULL);
	return 0;
}

/* Octets of the whole answer that its length field announces (RFC 1035, 4.2.2); 2 until that is known. */
static size_t
tcp_wanted(const struct contact *c)
{
	const uint8_t *p = (const uint8_t *)buf_ptr(&c->input);

	return c->input.len < 2 ? 2 : 2 + ((size_t)p[0] << 8 | p[1]);
}

/* Returns -1 if the connection failed or lied, 0 to go on, 1 when the answer is whole. */
static int
tcp_read(struct contact *c)
{
	size_t want = tcp_wanted(c) - c->input.len;
	char *room = buf_reserve(&c->input, want);
	ssize_t n = room ? recv(c->fd, room, want, 0) : -1;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	if (n == 0)
		return -1;
	buf_added(&c->input, (size_t)n);
	if (c->input.len < 2)
		return 0;
	if (tcp_wanted(c) < 2 + 12)
		return -1;
	return c->input.len == tcp_wanted(c) ? 1 : 0;
}

static void
tcp_failed(struct contact *c)
{
	struct answer answer = {.status = DNS_TEMPORARY, .reason = "no whole answer over TCP"};

	note_failure(c->query, &answer);
	contact_failed(c);
}

static void
on_tcp(int fd, short what, void *arg)
{
	struct contact *c = arg;
	struct buf input;
	int rc;

	(void)fd;
	if (what & EV_WRITE) {
		if (tcp_write(c) < 0)
			tcp_failed(c);
		return;
	}
	rc = tcp_read(c);
	if (rc == 0)
		return;
	if (rc < 0) {
		tcp_failed(c);
		return;
	}
	input = c->input;
	buf_init(&c->input, 0);
	if (!take_packet(c, span_from(buf_span(&input), 2)))
		tcp_failed(c);
	buf_free(&input);
}

static struct contact *
find_contact(struct query *q, const struct name_server *server)
{
	for (size_t i = 0; i < q->contact_count; i++)
		if (q->contacts[i].server == server)
			return &q->contacts[i];
	return NULL;
}

/* The next in turn that has not failed in this query. */
static struct name_server *
choose_server(struct query *q)
{
	struct name_server *server = servers_for_try(q->servers, q->tries);
	const struct contact *c = find_contact(q, server);

	for (unsigned i = 1; i < q->servers->count && c && c->failed; i++) {
		server = servers_for_try(q->servers, q->tries + i);
		c = find_contact(q, server);
	}
	return server;
}

/* The n-th try: a server not yet asked, or once more one that said nothing so far. */
static void
next_try(struct query *q)
{
	struct name_server *server = choose_server(q);
	struct contact *c = find_contact(q, server);

	q->tries++;
	schedule(q);
	if (c) {
		if (!c->failed && !c->tcp)
			contact_send(c);
		return;
	}
	c = &q->contacts[q->contact_count++];
	c->query = q;
	c->server = server;
	c->fd = -1;
	if (contact_open(c, false) < 0)
		contact_failed(c);
	else
		contact_send(c);
}

static void
on_timer(int fd, short what, void *arg)
{
	struct query *q = arg;

	(void)fd;
	(void)what;
	if (q->tries < QUERY_TRIES) {
		next_try(q);
		return;
	}
	for (size_t i = 0; i < q->contact_count; i++)
		if (!q->contacts[i].failed)
			server_was_silent(q->contacts[i].server);
	query_fail(q);
}

struct query *
query_start(struct event_base *base, struct servers *servers, const struct question *question,
    query_done *done, void *context)
{
	struct query *q = mem_alloc(sizeof(*q));

	q->base = base;
	q->servers = servers_ref(servers);
	q->question = *question;
	q->done = done;
	q->context = context;
	q->started_us = clock_mono_us();
	answer_init(&q->failure);
	snprintf(q->failure.reason, sizeof(q->failure.reason), "no answer from the name servers");
	snprintf(q->failure.canonical, sizeof(q->failure.canonical), "%s", question->name);
	event_assign(&q->timer, base, -1, 0, on_timer, q);
	next_try(q);
	return q;
}

void
query_cancel(struct query **q)
{
	if (*q)
		query_free(*q);
	*q = NULL;
}
