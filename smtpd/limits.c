#include "smtpd/limits.h"

#include "common/base/mem.h"
#include "smtpd/session.h"

struct question {
	struct session *session;
	enum policy_event event;
	void (*connected)(struct session *s, enum limits_verdict verdict);
	void (*counted)(struct session *s, bool within);
};

static bool
is_exempt(const struct session *s)
{
	return s->client.family == AF_UNIX || net_list_has(s->settings->event_exceptions, &s->client);
}

/* Returns false, with Postfix's line, if number is over its limit. */
static bool
within(struct session *s, const char *what, uint32_t number, int64_t limit)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_own_log(s);

	if (limit <= 0 || number <= limit)
		return true;
	log_warning(&log, "%s limit exceeded: %u from %s for service %s", what, number,
	    session_label(s, label), s->settings->section->name);
	return false;
}

struct span
limits_auth_address(const struct session *s)
{
	return is_exempt(s) ? SPAN_LIT("") : span_of(s->client_address);
}

static struct question *
question_new(struct session *s)
{
	struct question *q = arena_alloc(session_request(s), sizeof(*q));

	if (q == NULL)
		panic("no memory for a question");
	q->session = s;
	return q;
}

static int
on_connect(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct question *q = context;
	struct session *s = q->session;
	const struct conf_values *v = s->settings->values;
	enum limits_verdict verdict = LIMITS_WITHIN;

	(void)err;
	session_answered(s);
	if (frame && (!within(s, "Connection concurrency", frame->policy_answer.count,
			  v->smtpd_client_connection_count_limit) ||
			 !within(s, "Connection rate", frame->policy_answer.rate,
			     v->smtpd_client_connection_rate_limit)))
		verdict = LIMITS_TOO_MANY;
	if (!frame)
		s->counted = false;
	q->connected(s, verdict);
	return 0;
}

void
limits_connect(struct session *s, void (*done)(struct session *s, enum limits_verdict verdict))
{
	const struct conf_values *v = s->settings->values;
	struct msg_policy_connect ask = {
	    .section = span_of(s->settings->section->name), .address = span_of(s->client_address)};
	struct question *q;

	if (is_exempt(s) ||
	    (!v->smtpd_client_connection_count_limit && !v->smtpd_client_connection_rate_limit)) {
		done(s, LIMITS_WITHIN);
		return;
	}
	q = question_new(s);
	q->connected = done;
	s->counted = true;
	if (session_ask(s, ROLE_POLICY, IPC_POLICY_CONNECT, &ask, on_connect, q) < 0) {
		s->counted = false;
		done(s, LIMITS_WITHIN);
	}
}

static int64_t
limit_of(const struct session *s, enum policy_event event)
{
	const struct conf_values *v = s->settings->values;

	switch (event) {
	case POLICY_MESSAGE:
		return v->smtpd_client_message_rate_limit;
	case POLICY_RECIPIENT:
		return v->smtpd_client_recipient_rate_limit;
	case POLICY_NEWTLS:
		return v->smtpd_client_new_tls_session_rate_limit;
	case POLICY_AUTH:
		return v->smtpd_client_auth_rate_limit;
	default:
		return 0;
	}
}

/* As Postfix's line has it. */
static const char *
name_of(enum policy_event event)
{
	switch (event) {
	case POLICY_MESSAGE:
		return "Message delivery request rate";
	case POLICY_RECIPIENT:
		return "Recipient address rate";
	case POLICY_AUTH:
		return "AUTH command rate";
	default:
		return "New TLS session rate";
	}
}

static int
on_count(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct question *q = context;
	struct session *s = q->session;

	(void)err;
	session_answered(s);
	q->counted(
	    s, !frame || within(s, name_of(q->event), frame->policy_answer.rate, limit_of(s, q->event)));
	return 0;
}

void
limits_count(struct session *s, enum policy_event event, void (*done)(struct session *s, bool within))
{
	struct msg_policy_event ask = {
	    .section = span_of(s->settings->section->name),
	    .address = span_of(s->client_address),
	    .event = (uint8_t)event,
	};
	struct question *q;

	if (limit_of(s, event) == 0 || is_exempt(s)) {
		done(s, true);
		return;
	}
	q = question_new(s);
	q->event = event;
	q->counted = done;
	if (session_ask(s, ROLE_POLICY, IPC_POLICY_EVENT, &ask, on_count, q) < 0)
		done(s, true);
}

void
limits_gone(struct session *s)
{
	struct msg_policy_gone note = {
	    .section = span_of(s->settings->section->name), .address = span_of(s->client_address)};

	if (s->counted)
		(void)ipc_send(s->smtpd->peers[ROLE_POLICY], IPC_POLICY_GONE, 0, &note);
	s->counted = false;
}
