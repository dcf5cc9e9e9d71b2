#include "smtpd/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "smtpd/auth.h"
#include "smtpd/limits.h"
#include "smtpd/peername.h"
#include "smtpd/reply.h"
#include "smtpd/resolution.h"
#include "smtpd/session_errors.h"
#include "smtpd/session_input.h"
#include "smtpd/tls.h"
#include "smtpd/transaction.h"

enum { HELD_MAX = 32 * 1024, ASK_TIMEOUT_MS = 100000, STRESS_TIMEOUT_US = 10 * 1000000, LINGER_US = 1000000 };

static void on_stream_event(struct stream *s, enum stream_event event, void *context);

static const struct stream_callbacks stream_callbacks = {session_input, on_stream_event};

struct session *
session_new(struct smtpd *d, struct settings *settings, int fd, const struct net_address *peer)
{
	struct session *s = mem_alloc(sizeof(*s));
	const struct net_list *lf = settings->bare_lf_exceptions;

	s->smtpd = d;
	s->settings = settings_ref(settings);
	s->number = ++d->last_session;
	s->client = *peer;
	(void)net_address_format(peer, s->client_address);
	s->client_name = mem_strdup("unknown");
	s->reverse_name = mem_strdup("unknown");
	s->name_status = NAME_NONE;
	s->in_mynetworks = net_list_has(settings->mynetworks, peer);
	s->lf_exempt = net_list_has(lf, peer);
	s->command = COMMAND_CONNECT;
	buf_init(&s->held, HELD_MAX);
	TAILQ_INSERT_TAIL(&d->sessions, s, link);
	d->session_count++;
	s->stream = stream_new(d->base, fd, false, SESSION_INPUT_MAX, &stream_callbacks, s);
	peername_find(s);
	return s;
}

enum session_state
session_state(const struct session *s)
{
	const struct transaction *t = s->transaction;

	if (t == NULL)
		return s->helo ? STATE_GREETED : STATE_CONNECTED;
	if (t->chunking)
		return STATE_CHUNKS;
	if (t->accepted)
		return STATE_RECIPIENTS;
	return t->refused ? STATE_REFUSED : STATE_SENDER;
}

const char *
session_label(const struct session *s, char text[CLIENT_LABEL_SIZE])
{
	if (s->settings->values->smtpd_client_port_logging)
		(void)snprintf(text, CLIENT_LABEL_SIZE, "%.300s[%s]:%u", s->client_name, s->client_address,
		    s->client.port);
	else
		(void)snprintf(text, CLIENT_LABEL_SIZE, "%.300s[%s]", s->client_name, s->client_address);
	return text;
}

struct log
session_log(const struct session *s)
{
	const struct transaction *t = s->transaction;

	return (struct log){.ident = s->settings->ident, .queue_id = t && t->id ? t->id_text : NULL};
}

struct log
session_own_log(const struct session *s)
{
	return (struct log){.ident = s->settings->ident};
}

void
session_log_bad_address(const struct session *s, struct span arguments)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = {.ident = s->settings->ident};

	log_warning(&log, "Illegal address syntax from %s in %s command: %.*s", session_label(s, label),
	    command_name(s->command), SPAN_ARG(arguments));
}

bool
session_is_own_host(const struct session *s)
{
	struct sockaddr_storage storage;
	socklen_t len = sizeof(storage);
	struct net_address own;

	if (s->client.family == AF_UNIX)
		return true;
	if (getsockname(stream_fd(s->stream), (struct sockaddr *)&storage, &len) < 0)
		return false;
	net_address_of_sockaddr(&storage, &own);
	return net_address_equal(&own, &s->client);
}

struct arena *
session_request(struct session *s)
{
	if (s->request == NULL)
		s->request = arena_new(REQUEST_MEMORY);
	return s->request;
}

static void
free_request(struct session *s)
{
	if (s->check)
		check_free(s->check);
	s->check = NULL;
	arena_free(&s->request);
}

/* ---- waiting ---- */

void
session_wait(struct session *s, enum session_wait waiting)
{
	s->waiting = waiting;
	if (s->stream)
		stream_pause(s->stream);
}

int
session_ask(struct session *s, enum role role, enum ipc_type type, const void *message, ipc_answer *on_answer,
    void *context)
{
	uint32_t call = ipc_ask(s->smtpd->peers[role], type, message, ASK_TIMEOUT_MS, on_answer, context);

	if (call == 0)
		return -1;
	session_wait_answer(s, role, call);
	return 0;
}

void
session_wait_answer(struct session *s, enum role role, uint32_t call)
{
	s->wait_role = role;
	s->wait_call = call;
	session_wait(s, WAIT_ANSWER);
}

void
session_answered(struct session *s)
{
	s->wait_call = 0;
	if (s->waiting == WAIT_ANSWER)
		s->waiting = WAIT_NONE;
}

static void
set_deadline(struct session *s)
{
	int64_t timeout = s->settings->values->smtpd_timeout;

	if (smtpd_stressed(s->smtpd) && timeout > STRESS_TIMEOUT_US)
		timeout = STRESS_TIMEOUT_US;
	s->idle_since_us = clock_mono_us();
	stream_set_deadline(s->stream, s->idle_since_us + timeout);
}

void
session_data_deadline(struct session *s, int64_t begun_us, uint64_t octets)
{
	int64_t rate = s->settings->values->smtpd_min_data_rate, slowest;

	set_deadline(s);
	if (rate == 0)
		return;
	slowest = begun_us + s->settings->values->smtpd_timeout +
		  (int64_t)(octets / (uint64_t)rate) * US_PER_SECOND;
	if (slowest < s->idle_since_us + s->settings->values->smtpd_timeout)
		stream_set_deadline(s->stream, slowest);
}

bool
session_deadline_is_old(const struct session *s)
{
	return clock_mono_us() - s->idle_since_us >= US_PER_SECOND;
}

void
session_unstall(struct session *s)
{
	if (s->transaction) /* it was not the client that was slow */
		s->transaction->begun_us += clock_mono_us() - s->transaction->waiting_since_us;
	if (s->stalled)
		TAILQ_REMOVE(&s->smtpd->stalled, s, stalled_link);
	s->stalled = false;
	s->waiting = WAIT_NONE;
	session_continue(s);
}

static unsigned
error_limit(const struct session *s)
{
	int64_t limit = s->settings->values->smtpd_hard_error_limit;

	return smtpd_stressed(s->smtpd) ? 1 : (unsigned)limit;
}

void
session_continue(struct session *s)
{
	if (s->ending || s->waiting != WAIT_NONE)
		return;
	free_request(s);
	if (s->errors >= error_limit(s)) {
		reply_goodbye(s, "too many errors", 421, "4.7.0", "%s Error: too many errors",
		    s->settings->values->myhostname);
		return;
	}
	if (s->smtpd->stopping && !s->transaction && (s->input == INPUT_COMMANDS || s->input == INPUT_AUTH)) {
		reply_goodbye(
		    s, NULL, 421, "4.3.2", "%s Service shutting down", s->settings->values->myhostname);
		return;
	}
	if (s->transaction && s->transaction->content_begun)
		session_data_deadline(s, s->transaction->begun_us, s->transaction->content.octets);
	else
		set_deadline(s);
	stream_resume(s->stream);
}

/* ---- the end ---- */

/* The name of the command for log lines: "CONNECT" before the first, "DATA (123 bytes)" within a message, "END-OF-MESSAGE" after. */
static const char *
stage_name(const struct session *s, char text[64])
{
	const char *name = s->after_message ? "END-OF-MESSAGE" : command_name(s->command);
	const struct transaction *t = s->transaction;
	bool within = s->input == INPUT_CONTENT || s->input == INPUT_CHUNK;

	if (t && (t->content_begun || within) && !s->after_message)
		(void)snprintf(text, 64, "%s (%llu bytes)", name, (unsigned long long)t->content.octets);
	else
		(void)snprintf(text, 64, "%s", name);
	return text;
}

/* "disconnect from C ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4" */
static void
log_disconnect(const struct session *s)
{
	struct log log = {.ident = s->settings->ident};
	char label[CLIENT_LABEL_SIZE];
	struct buf line;
	unsigned good = 0, total = 0;

	buf_init(&line, 1000);
	(void)buf_printf(&line, "disconnect from %s", session_label(s, label));
	for (unsigned i = 0; i < COMMAND_COUNT; i++) {
		char name[16];

		if (s->total[i] == 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s", command_name(i));
		text_lower(name, strlen(name));
		good += s->good[i];
		total += s->total[i];
		(void)buf_printf(
		    &line, s->good[i] == s->total[i] ? " %s=%u" : " %s=%u/%u", name, s->good[i], s->total[i]);
	}
	(void)buf_printf(&line, total > 0 && good == total ? " commands=%u" : " commands=%u/%u", good, total);
	log_info(&log, "%s", buf_text(&line));
	buf_free(&line);
}

/* Whoever goes without QUIT once he knows that his message is through has lost nothing. */
static bool
is_told(const struct session *s, const char *how)
{
	return how && !(s->after_message && s->answered && strcmp(how, "lost connection") == 0);
}

void
session_end(struct session *s, const char *how)
{
	struct smtpd *d = s->smtpd;
	char label[CLIENT_LABEL_SIZE], stage[64];
	struct log log = session_own_log(s);

	if (s->ending)
		return;
	if (is_told(s, how))
		log_info(&log, "%s after %s from %s", how, stage_name(s, stage), session_label(s, label));
	reply_release(s);
	s->ending = true;
	s->input = INPUT_NOTHING;
	if (s->wait_call)
		ipc_cancel(d->peers[s->wait_role], s->wait_call);
	s->wait_call = 0;
	resolution_forget_ahead(s);
	auth_abandon(s);
	transaction_free(s);
	limits_gone(s);
	log_disconnect(s);
	session_errors_tell(s, how);
	if (how && strcmp(how, "lost connection") == 0)
		stream_close(&s->stream);
	else
		stream_close_after_flush(&s->stream, s->quit ? 0 : LINGER_US);
	s->tls = NULL; /* it was the stream's */
	if (s->stalled)
		TAILQ_REMOVE(&d->stalled, s, stalled_link);
	s->stalled = false;
	TAILQ_REMOVE(&d->sessions, s, link);
	TAILQ_INSERT_TAIL(&d->ended, s, link);
	d->session_count--;
}

void
session_free(struct session *s)
{
	free_request(s);
	buf_free(&s->held);
	settings_unref(&s->settings);
	free(s->client_name);
	free(s->reverse_name);
	free(s->sasl_method);
	free(s->sasl_username);
	free(s->helo);
	free(s->client_deferral);
	free(s->helo_deferral);
	free(s->sender_deferral);
	free(s->swallow_reply);
	free(s);
}

static void
on_timeout(struct session *s)
{
	if (s->waiting == WAIT_TARPIT) {
		s->waiting = WAIT_NONE;
		reply_release(s);
		session_continue(s);
		return;
	}
	if (s->waiting == WAIT_AUTH) {
		auth_timed_out(s);
		return;
	}
	if (s->waiting == WAIT_HANDSHAKE) {
		tls_timed_out(s);
		return;
	}
	if (s->waiting != WAIT_NONE) {
		set_deadline(s); /* it is not the client that is late */
		return;
	}
	reply_goodbye(
	    s, "timeout", 421, "4.4.2", "%s Error: timeout exceeded", s->settings->values->myhostname);
}

static void
on_stream_event(struct stream *stream, enum stream_event event, void *context)
{
	struct session *s = context;

	(void)stream;
	switch (event) {
	case STREAM_TIMEOUT:
		on_timeout(s);
		break;
	case STREAM_EOF:
	case STREAM_ERROR:
		session_end(s, "lost connection");
		break;
	default:
		break;
	}
}
