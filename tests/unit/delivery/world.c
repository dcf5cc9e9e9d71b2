#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/delivery/world.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/dns/dns.h"
#include "common/mail/remembered.h"
#include "common/net/stream.h"
#include "common/tls/library.h"
#include "delivery/smtp/destination.h"
#include "delivery/smtp/job.h"
#include "delivery/smtp/own.h"
#include "delivery/smtp/tls_client.h"
#include "delivery/smtp/transport_conf.h"

/* ---- the resolver that the test plays ---- */

static void
pack_row(struct buf *records, const struct dns_row *row)
{
	unsigned char octets[16];
	struct dns_record r = {.type = (uint16_t)row->type, .ttl = 60};
	unsigned preference;
	char name[256];

	if (row->type == DNS_TYPE_MX) {
		assert_int_equal(sscanf(row->data, "%u %255s", &preference, name), 2);
		r.preference = (uint16_t)preference;
		r.name = strcmp(name, ".") == 0 ? SPAN_LIT("") : span_of(name);
	} else if (row->type == DNS_TYPE_A) {
		assert_int_equal(inet_pton(AF_INET, row->data, octets), 1);
		r.data = span_make(octets, 4);
	} else {
		assert_int_equal(inet_pton(AF_INET6, row->data, octets), 1);
		r.data = span_make(octets, 16);
	}
	assert_int_equal(dns_record_pack(records, &r), 0);
}

static int
on_question(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;
	struct msg_dns_answer answer = {.status = DNS_NO_NAME};
	struct buf records;

	(void)err;
	w->questions++;
	buf_init(&records, 60000);
	for (const struct dns_row *row = w->dns; row && row->name; row++) {
		if (!span_is_nocase(frame->dns_ask.name, row->name))
			continue;
		if (row->type != frame->dns_ask.type) {
			if (answer.status == DNS_NO_NAME)
				answer.status = DNS_NO_DATA;
			continue;
		}
		answer.status = (uint8_t)row->status;
		if (row->status == DNS_OK)
			pack_row(&records, row);
	}
	answer.records = buf_span(&records);
	assert_int_equal(ipc_send(channel, IPC_DNS_ANSWER, frame->call, &answer), 0);
	buf_free(&records);
	return 0;
}

/* ---- the queue that the test plays ---- */

static int
on_job(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct world *w = context;
	struct world_outcome *o;

	(void)err;
	if (!frame)
		return 0;
	if (frame->type == IPC_JOB_DONE) {
		w->done++;
		w->hop = frame->job_done.destination;
		span_copy(frame->job_done.text, w->hop_reason, sizeof(w->hop_reason));
		return 0;
	}
	if (frame->type == IPC_JOB_TRACE) {
		buf_append_span(&w->trace, frame->job_trace.line);
		buf_append(&w->trace, "\n", 1);
		return 0;
	}
	assert_int_equal(frame->type, IPC_JOB_OUTCOME);
	assert_true(frame->job_outcome.index < WORLD_OUTCOMES);
	o = &w->outcomes[frame->job_outcome.index];
	assert_false(o->there);
	o->there = true;
	o->class = frame->job_outcome.class;
	o->flags = frame->job_outcome.flags;
	span_copy(frame->job_outcome.status, o->status, sizeof(o->status));
	span_copy(frame->job_outcome.relay, o->relay, sizeof(o->relay));
	span_copy(frame->job_outcome.text, o->text, sizeof(o->text));
	span_copy(frame->job_outcome.remote_mta, o->remote, sizeof(o->remote));
	span_copy(frame->job_outcome.diagnostic, o->diagnostic, sizeof(o->diagnostic));
	return 0;
}

static void
send_content(struct world *w, uint32_t call, const struct world_mail *mail)
{
	struct msg_job_file file = {.offset = 3};
	struct span rest = mail->content;

	if (mail->in_file) {
		file.fd = memfd_create("content", MFD_CLOEXEC);
		assert_true(file.fd >= 0);
		assert_int_equal(io_pwrite_all(file.fd, rest.ptr, rest.len, 3), 0);
		assert_int_equal(ipc_send(w->queue_there, IPC_JOB_FILE, call, &file), 0);
		io_close(&file.fd);
		return;
	}
	while (rest.len > 0) {
		struct msg_job_data data = {.bytes = span_sub(rest, 0, 50000)};

		assert_int_equal(ipc_send(w->queue_there, IPC_JOB_DATA, call, &data), 0);
		rest = span_from(rest, data.bytes.len);
	}
}

void
world_send(struct world *w, const struct world_mail *mail)
{
	const char *const *recipients = mail->recipients;
	const char *usual[] = {"r@far.test", NULL};
	struct msg_job_open open = {.id = 0x1234567890,
	    .flags = mail->flags,
	    .transport = span_of(mail->transport ? mail->transport : "smtp"),
	    .nexthop = span_of(mail->nexthop),
	    .sender = span_of(mail->sender ? mail->sender : "s@here.test"),
	    .envid = span_of(mail->envid),
	    .arrival_us = clock_wall_us() - mail->waited_us,
	    .active_us = clock_wall_us(),
	    .content_len = mail->content.len};
	struct msg_job_go go = {0};
	uint32_t call;

	memset(w->outcomes, 0, sizeof(w->outcomes));
	w->attempt += !mail->again;
	if (!recipients[0])
		recipients = usual;
	while (open.recipients < WORLD_OUTCOMES && recipients[open.recipients])
		open.recipients++;
	call = ipc_ask(w->queue_there, IPC_JOB_OPEN, &open, 0, on_job, w);
	assert_int_not_equal(call, 0);
	for (uint32_t i = 0; i < open.recipients; i++) {
		struct msg_job_rcpt rcpt = {.index = i,
		    .recipient = span_of(recipients[i]),
		    .orcpt = span_of(mail->orcpt),
		    .orig_to = span_of(mail->orig_to),
		    .notify = mail->notify,
		    .attempt = w->attempt};

		assert_int_equal(ipc_send(w->queue_there, IPC_JOB_RCPT, call, &rcpt), 0);
	}
	send_content(w, call, mail);
	assert_int_equal(ipc_send(w->queue_there, IPC_JOB_GO, call, &go), 0);
}

static void
on_tick(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
}

/* One turn, which ends after some milliseconds at the latest. */
static void
turn(struct world *w)
{
	struct event *tick = event_new(w->base, -1, 0, on_tick, NULL);
	struct timeval soon = {.tv_usec = 20000};

	event_add(tick, &soon);
	ipc_flush_all();
	stream_flush_all();
	event_base_loop(w->base, EVLOOP_ONCE);
	ipc_flush_all();
	stream_flush_all();
	event_free(tick);
}

void
world_turn(struct world *w, unsigned milliseconds)
{
	int64_t end = clock_mono_us() + milliseconds * US_PER_MS;

	while (clock_mono_us() < end)
		turn(w);
}

bool
world_wait(struct world *w, unsigned done)
{
	int64_t end = clock_mono_us() + 20 * US_PER_SECOND;

	while (w->done < done && clock_mono_us() < end)
		turn(w);
	return w->done >= done;
}

bool
world_deliver(struct world *w, const struct world_mail *mail)
{
	unsigned before = w->done;

	world_send(w, mail);
	return world_wait(w, before + 1);
}

/* ---- the agent ---- */

#define HANDLER(name)                                                                                        \
	static int on_##name(                                                                                \
	    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)    \
	{                                                                                                    \
		struct world *w = context;                                                                   \
		return job_handle_##name(&w->agent, channel, frame, err);                                    \
	}
HANDLER(open)
HANDLER(rcpt)
HANDLER(data)
HANDLER(file)
HANDLER(go)

static const struct ipc_permit agent_permits[] = {
    {IPC_JOB_OPEN, ROLE_BIT(ROLE_QUEUE), on_open},
    {IPC_JOB_RCPT, ROLE_BIT(ROLE_QUEUE), on_rcpt},
    {IPC_JOB_DATA, ROLE_BIT(ROLE_QUEUE), on_data},
    {IPC_JOB_FILE, ROLE_BIT(ROLE_QUEUE), on_file},
    {IPC_JOB_GO, ROLE_BIT(ROLE_QUEUE), on_go},
};

static int
on_table_question(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct world *w = context;
	struct msg_check_hit hit = {.line = 0};
	struct msg_check_done checked = {.status = LOOKUP_TEMPORARY};
	struct msg_rewrite_done rewritten = {.status = LOOKUP_TEMPORARY};

	(void)err;
	if (w->lookup_says == IPC_CHECK_HIT)
		ipc_send(channel, IPC_CHECK_HIT, frame->call, &hit);
	if (w->lookup_says == IPC_CHECK_DONE)
		ipc_send(channel, IPC_CHECK_DONE, frame->call, &checked);
	if (w->lookup_says == IPC_MAP_ANSWER) {
		struct msg_map_answer found = {.status = !w->table_value            ? LOOKUP_NOT_FOUND
							 : w->table_value[0] == '!' ? LOOKUP_TEMPORARY
										    : LOOKUP_FOUND,
		    .value = span_of(w->table_value),
		    .found_key = frame->map_ask.key,
		    .reason = SPAN_LIT("a broken table")};

		ipc_send(channel, IPC_MAP_ANSWER, frame->call, &found);
	}
	if (w->lookup_says == IPC_REWRITE_DONE)
		ipc_send(channel, IPC_REWRITE_DONE, frame->call, &rewritten);
	return 0;
}

static const struct ipc_permit asked_permits[] = {
    {IPC_DNS_ASK, ROLE_BIT(ROLE_DELIVERY), on_question},
    {IPC_MAP_ASK, ROLE_BIT(ROLE_DELIVERY), on_table_question},
    {IPC_REWRITE_ASK, ROLE_BIT(ROLE_DELIVERY), on_table_question},
    {IPC_CHECK_ASK, ROLE_BIT(ROLE_DELIVERY), on_table_question},
};

static void
on_down(struct ipc_channel *channel, void *context)
{
	struct world *w = context;

	if (channel == w->queue_here) {
		jobs_queue_gone(&w->agent, channel);
		w->queue_here = NULL;
	}
	if (channel == w->queue_there)
		w->queue_there = NULL;
	if (channel == w->resolver_here)
		w->resolver_here = w->agent.resolver = NULL;
	if (channel == w->resolver_there)
		w->resolver_there = NULL;
	if (channel == w->lookup_here)
		w->lookup_here = w->agent.lookup = NULL;
	if (channel == w->lookup_there)
		w->lookup_there = NULL;
}

static void
keep_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	struct world *w = context;

	(void)level;
	(void)ident;
	buf_append(&w->log, text, len);
	buf_append(&w->log, "\n", 1);
}

static void
connect_both(struct world *w, enum role other, struct ipc_channel **here, struct ipc_channel **there)
{
	struct ipc_callbacks ours = {
	    .permits = agent_permits, .permit_count = 5, .down = on_down, .context = w};
	struct ipc_callbacks theirs = {
	    .permits = asked_permits, .permit_count = 4, .down = on_down, .context = w};
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*here = ipc_channel_new(w->base, pair[0], ROLE_DELIVERY, 0, other, 100, &ours);
	*there = ipc_channel_new(w->base, pair[1], other, 0, ROLE_DELIVERY, 100, &theirs);
}

void
world_lose_queue(struct world *w)
{
	ipc_channel_close(&w->queue_there);
	world_turn(w, 50);
	assert_null(w->queue_here);
}

void
world_find_queue(struct world *w)
{
	connect_both(w, ROLE_QUEUE, &w->queue_here, &w->queue_there);
}

struct world *
world_new(const char *conf)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct error err;

	w->base = event_base_new();
	buf_init(&w->trace, WORLD_LOG);
	buf_init(&w->log, WORLD_LOG);
	log_set_sink(keep_line, w);
	w->agent.base = w->base;
	w->agent.conf = conf_from_text(conf, &err);
	assert_non_null(w->agent.conf);
	w->agent.own = own_new();
	own_configure(w->agent.own, w->agent.conf);
	w->agent.destinations = destinations_new();
	w->agent.jobs = jobs_new();
	w->agent.transports = transport_confs_new();
	w->agent.remembered = remembered_new();
	if (tls_library_open(&err) < 0)
		fail_msg("%s", err.text);
	w->agent.tls = tls_client_new(NULL);
	tls_client_load(w->agent.tls, w->agent.conf);
	world_find_queue(w);
	connect_both(w, ROLE_RESOLVER, &w->resolver_here, &w->resolver_there);
	w->agent.resolver = w->resolver_here;
	connect_both(w, ROLE_LOOKUP, &w->lookup_here, &w->lookup_there);
	w->agent.lookup = w->lookup_here;
	return w;
}

void
world_free(struct world **world)
{
	struct world *w = *world;

	w->agent.stopping = true;
	destinations_free(&w->agent.destinations);
	ipc_channel_close(&w->queue_there);
	ipc_channel_close(&w->queue_here);
	ipc_channel_close(&w->resolver_there);
	ipc_channel_close(&w->resolver_here);
	ipc_channel_close(&w->lookup_there);
	ipc_channel_close(&w->lookup_here);
	stream_flush_all();
	assert_int_equal(jobs_count(w->agent.jobs), 0);
	assert_int_equal(w->agent.connections, 0);
	/* Connections that wait for the end of their QUIT. */
	world_turn(w, 30);
	tls_client_free(&w->agent.tls);
	jobs_free(&w->agent.jobs);
	transport_confs_free(&w->agent.transports);
	remembered_free(&w->agent.remembered);
	own_free(&w->agent.own);
	conf_unref(&w->agent.conf);
	buf_free(&w->trace);
	buf_free(&w->log);
	log_set_sink(NULL, NULL);
	event_base_free(w->base);
	free(w);
	*world = NULL;
}
