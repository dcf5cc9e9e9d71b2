#include "smtpd/auth_dovecot.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/stream.h"
#include "smtpd/smtpd.h"

enum { HANDSHAKE_US = 5 * 1000000, AGAIN_US = 1000000, BACKLOG_MAX = 1 << 20 };

enum phase { PHASE_AWAY, PHASE_ASKED, PHASE_GREETING, PHASE_READY };

struct dovecot_request {
	TAILQ_ENTRY(dovecot_request) link;
	struct dovecot *dovecot;
	uint32_t id;
	struct buf line; /* not sent yet: waits for the greeting */
	bool lost; /* nobody will answer it */
	dovecot_answer *answer;
	void *context;
};

struct dovecot {
	SLIST_ENTRY(dovecot) link;
	struct smtpd *smtpd;
	char *path;
	enum phase phase;
	struct stream *stream;
	struct event *refusal; /* tells those that wait that nobody is there, in a turn of its own */
	int64_t tried_us;
	uint32_t last_id;
	TAILQ_HEAD(, dovecot_request) requests;
	struct dovecot_mechanism mechanisms[DOVECOT_MECHANISMS_MAX], greeted[DOVECOT_MECHANISMS_MAX];
	size_t mechanism_count, greeted_count;
	bool complained;
};

SLIST_HEAD(dovecot_list, dovecot);

static size_t on_input(struct stream *stream, struct span bytes, void *context);
static void on_event(struct stream *stream, enum stream_event event, void *context);

static const struct stream_callbacks stream_callbacks = {on_input, on_event};

/* ---- requests ---- */

static void
request_free(struct dovecot_request *r)
{
	TAILQ_REMOVE(&r->dovecot->requests, r, link);
	if (r->line.mem)
		explicit_bzero(r->line.mem, r->line.cap);
	buf_free(&r->line);
	free(r);
}

static struct dovecot_request *
request_find(const struct dovecot *d, uint32_t id)
{
	struct dovecot_request *r;

	TAILQ_FOREACH (r, &d->requests, link)
		if (r->id == id)
			return r;
	return NULL;
}

static void
send_line(struct dovecot *d, struct buf *line)
{
	stream_write(d->stream, buf_ptr(line), line->len);
	if (line->mem)
		explicit_bzero(line->mem, line->cap);
	buf_free(line);
}

static void
on_refusal(evutil_socket_t fd, short what, void *context)
{
	struct dovecot *d = context;
	struct dovecot_request *r;

	(void)fd;
	(void)what;
	/* Lost ones stand in front of all others. */
	while ((r = TAILQ_FIRST(&d->requests)) != NULL && r->lost) {
		dovecot_answer *answer = r->answer;
		void *who = r->context;

		request_free(r);
		answer(who, NULL);
	}
}

/* Everybody who waits is told in the next turn: never within a call of theirs. */
static void
go_away(struct dovecot *d, const char *why)
{
	const struct timeval now = {0};
	struct dovecot_request *r;

	if (!d->complained)
		log_warning(NULL, "SASL: Dovecot at %s: %s", d->path, why);
	d->complained = true;
	d->phase = PHASE_AWAY;
	stream_close(&d->stream);
	TAILQ_FOREACH (r, &d->requests, link)
		r->lost = true;
	event_add(d->refusal, &now);
}

/* ---- the connection ---- */

static void
on_socket(void *context, int fd, const char *why)
{
	struct dovecot *d = context;
	char hello[64];

	if (fd < 0) {
		go_away(d, why);
		return;
	}
	d->phase = PHASE_GREETING;
	d->greeted_count = 0;
	d->stream = stream_new(d->smtpd->base, fd, false, DOVECOT_LINE_MAX, &stream_callbacks, d);
	stream_set_deadline(d->stream, clock_mono_us() + HANDSHAKE_US);
	(void)snprintf(hello, sizeof(hello), "VERSION\t1\t1\nCPID\t%ld\n", (long)getpid());
	stream_write(d->stream, hello, strlen(hello));
}

static void
connect_if_due(struct dovecot *d)
{
	int64_t now = clock_mono_us();

	if (d->phase != PHASE_AWAY || (d->tried_us && now - d->tried_us < AGAIN_US))
		return;
	d->tried_us = now;
	d->phase = PHASE_ASKED;
	if (d->smtpd->want_socket == NULL || d->smtpd->want_socket(d->smtpd, d->path, on_socket, d) < 0)
		go_away(d, "no connection to master");
}

struct dovecot *
dovecot_of(struct smtpd *smtpd, const char *path)
{
	struct dovecot *d;

	if (smtpd->dovecots == NULL) {
		smtpd->dovecots = mem_alloc(sizeof(*smtpd->dovecots));
		SLIST_INIT(smtpd->dovecots);
	}
	SLIST_FOREACH (d, smtpd->dovecots, link)
		if (strcmp(d->path, path) == 0)
			break;
	if (d == NULL) {
		d = mem_alloc(sizeof(*d));
		d->smtpd = smtpd;
		d->path = mem_strdup(path);
		d->refusal = event_new(smtpd->base, -1, 0, on_refusal, d);
		if (d->refusal == NULL)
			panic("event_new");
		TAILQ_INIT(&d->requests);
		SLIST_INSERT_HEAD(smtpd->dovecots, d, link);
	}
	connect_if_due(d);
	return d;
}

void
dovecot_close_all(struct smtpd *smtpd)
{
	struct dovecot *d;

	while (smtpd->dovecots && (d = SLIST_FIRST(smtpd->dovecots)) != NULL) {
		SLIST_REMOVE_HEAD(smtpd->dovecots, link);
		while (!TAILQ_EMPTY(&d->requests))
			request_free(TAILQ_FIRST(&d->requests));
		stream_close(&d->stream);
		event_free(d->refusal);
		free(d->path);
		free(d);
	}
	free(smtpd->dovecots);
	smtpd->dovecots = NULL;
}

/* ---- what Dovecot says ---- */

static int
take_mechanism(struct dovecot *d, const struct dovecot_reply *reply)
{
	struct dovecot_mechanism *m = &d->greeted[d->greeted_count];

	if (d->phase != PHASE_GREETING || d->greeted_count == DOVECOT_MECHANISMS_MAX)
		return -1;
	m->properties = reply->properties;
	(void)span_copy(reply->mechanism, m->name, sizeof(m->name));
	d->greeted_count++;
	return 0;
}

/* Now its mechanisms are known, and what has waited is asked. */
static int
take_ready(struct dovecot *d)
{
	struct dovecot_request *r;

	if (d->phase != PHASE_GREETING)
		return -1;
	d->phase = PHASE_READY;
	d->complained = false;
	d->mechanism_count = d->greeted_count;
	memcpy(d->mechanisms, d->greeted, sizeof(d->mechanisms));
	stream_set_deadline(d->stream, 0);
	TAILQ_FOREACH (r, &d->requests, link)
		if (!r->lost)
			send_line(d, &r->line);
	return 0;
}

/* An answer to a request that was cancelled is nobody's. */
static int
take_answer(struct dovecot *d, const struct dovecot_reply *reply)
{
	struct dovecot_request *r = request_find(d, reply->id);
	dovecot_answer *answer;
	void *who;

	if (d->phase != PHASE_READY)
		return -1;
	if (r == NULL || r->lost)
		return 0;
	answer = r->answer;
	who = r->context;
	if (reply->kind != DOVECOT_CONTINUE)
		request_free(r);
	answer(who, reply);
	return 0;
}

static int
take_line(struct dovecot *d, struct span line)
{
	char room[DOVECOT_LINE_MAX];
	struct dovecot_reply reply;

	if (dovecot_parse(line, &reply, room) < 0)
		return -1;
	switch (reply.kind) {
	case DOVECOT_VERSION:
		return reply.major == 1 ? 0 : -1;
	case DOVECOT_MECHANISM:
		return take_mechanism(d, &reply);
	case DOVECOT_READY:
		return take_ready(d);
	case DOVECOT_OTHER:
		return 0;
	default:
		return take_answer(d, &reply);
	}
}

static size_t
on_input(struct stream *stream, struct span bytes, void *context)
{
	struct dovecot *d = context;
	size_t used = 0;
	const char *lf;

	while (d->stream == stream && (lf = memchr(bytes.ptr + used, '\n', bytes.len - used)) != NULL) {
		size_t len = (size_t)(lf - bytes.ptr) - used;

		if (take_line(d, span_make(bytes.ptr + used, len)) < 0) {
			go_away(d, "malformed answer");
			return bytes.len;
		}
		used += len + 1;
	}
	if (d->stream == stream && bytes.len - used >= DOVECOT_LINE_MAX)
		go_away(d, "line without end");
	return d->stream == stream ? used : bytes.len;
}

static void
on_event(struct stream *stream, enum stream_event event, void *context)
{
	struct dovecot *d = context;

	(void)stream;
	if (event == STREAM_TIMEOUT)
		go_away(d, "no greeting");
	else if (event == STREAM_EOF || event == STREAM_ERROR)
		go_away(d, "connection lost");
}

/* ---- for sessions ---- */

const struct dovecot_mechanism *
dovecot_mechanism_at(const struct dovecot *d, size_t i)
{
	static const struct dovecot_mechanism usual[] = {
	    {"PLAIN", SASL_PLAINTEXT}, {"LOGIN", SASL_PLAINTEXT}};

	if (d->mechanism_count == 0)
		return i < sizeof(usual) / sizeof(usual[0]) ? &usual[i] : NULL;
	return i < d->mechanism_count ? &d->mechanisms[i] : NULL;
}

struct dovecot_request *
dovecot_begin(struct dovecot *d, struct span mechanism, const struct dovecot_client *client,
    struct span initial, dovecot_answer *answer, void *context)
{
	struct dovecot_request *r = mem_alloc(sizeof(*r));
	const struct timeval now = {0};

	r->dovecot = d;
	r->answer = answer;
	r->context = context;
	do
		r->id = ++d->last_id;
	while (r->id == 0 || request_find(d, r->id));
	buf_init(&r->line, 2 * DOVECOT_LINE_MAX);
	(void)buf_reserve(&r->line, 256 + initial.len);
	TAILQ_INSERT_TAIL(&d->requests, r, link);
	if (dovecot_append_auth(&r->line, r->id, mechanism, client, initial) < 0) {
		request_free(r);
		return NULL;
	}
	if (d->phase == PHASE_READY && stream_unsent(d->stream) > BACKLOG_MAX)
		go_away(d, "it does not read");
	if (d->phase == PHASE_READY)
		send_line(d, &r->line);
	else if (d->phase == PHASE_AWAY) {
		r->lost = true;
		event_add(d->refusal, &now);
	}
	return r;
}

int
dovecot_respond(struct dovecot_request *r, struct span response)
{
	struct dovecot *d = r->dovecot;
	struct buf line;

	buf_init(&line, 2 * DOVECOT_LINE_MAX);
	(void)buf_reserve(&line, 64 + response.len);
	if (dovecot_append_response(&line, r->id, response) < 0) {
		buf_free(&line);
		return -1;
	}
	if (d->phase == PHASE_READY && !r->lost)
		send_line(d, &line);
	else
		explicit_bzero(line.mem, line.cap);
	buf_free(&line);
	return 0;
}

void
dovecot_cancel(struct dovecot_request **request)
{
	struct dovecot_request *r = *request;
	char line[32];

	*request = NULL;
	if (r == NULL)
		return;
	if (r->dovecot->phase == PHASE_READY && !r->lost) {
		(void)snprintf(line, sizeof(line), "CANCEL\t%u\n", r->id);
		stream_write(r->dovecot->stream, line, strlen(line));
	}
	request_free(r);
}
