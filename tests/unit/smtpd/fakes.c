#include "tests/unit/smtpd/fake_answers.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "smtpd/settings.h"

static const uint8_t peers[] = {ROLE_RESOLVER, ROLE_LOOKUP, ROLE_QUEUE, ROLE_POLICY};

/* ---- queue ---- */

static struct fake_message *
find_message(struct fakes *f, uint32_t call)
{
	for (size_t i = f->message_count; i-- > 0;)
		if (f->messages[i].call == call)
			return &f->messages[i];
	return NULL;
}

static int
on_open(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;
	struct fake_message *m;

	(void)c;
	(void)err;
	if (f->message_count == FAKE_MESSAGES_MAX) {
		m = &f->messages[0];
		free(m->sender);
		free(m->hold_reason);
		free(m->last_recipient);
		free(m->message_id);
		buf_free(&m->content);
		memmove(m, m + 1, (FAKE_MESSAGES_MAX - 1) * sizeof(*m));
		f->message_count--;
	}
	m = &f->messages[f->message_count++];
	*m = (struct fake_message){.id = frame->submit_open.id,
	    .call = frame->call,
	    .flags = frame->submit_open.flags,
	    .hold_reason = mem_strndup(frame->submit_open.reason.ptr, frame->submit_open.reason.len),
	    .sender = mem_strndup(frame->submit_open.sender.ptr, frame->submit_open.sender.len)};
	buf_init(&m->content, 64 << 20);
	return 0;
}

static int
on_rcpt(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fake_message *m = find_message(context, frame->call);

	(void)c;
	(void)err;
	m->recipients++;
	free(m->last_recipient);
	m->last_recipient = mem_strndup(frame->submit_rcpt.recipient.ptr, frame->submit_rcpt.recipient.len);
	return 0;
}

static int
on_data(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;
	struct fake_message *m = find_message(f, frame->call);
	struct msg_submit_credit credit = {.octets = frame->submit_data.bytes.len};

	(void)err;
	if (buf_append_span(&m->content, frame->submit_data.bytes) < 0)
		panic("too much content");
	f->credited += f->withhold_credit ? 0 : credit.octets;
	return f->withhold_credit ? 0 : ipc_send(c, IPC_SUBMIT_CREDIT, frame->call, &credit);
}

static int
answer_submission(struct fakes *f, struct ipc_channel *c, struct fake_message *m, uint8_t status)
{
	struct msg_submit_answer answer = {.status = status, .id = m->id, .text = SPAN_LIT("4.3.0 fake")};

	return f->mute_queue ? 0 : ipc_send(c, IPC_SUBMIT_ANSWER, m->call, &answer);
}

static int
on_close(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;
	struct fake_message *m = find_message(f, frame->call);

	(void)err;
	m->close = frame->submit_close;
	m->message_id = mem_strndup(frame->submit_close.message_id.ptr, frame->submit_close.message_id.len);
	m->closed = true;
	return answer_submission(f, c, m, f->answer_with);
}

static int
on_abort(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;
	struct fake_message *m = find_message(f, frame->call);

	(void)err;
	m->aborted = true;
	return answer_submission(f, c, m, SUBMIT_ABORTED);
}

static int
on_fate(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;
	struct msg_submit_fate fate = {
	    .durable = f->durable && frame->submit_ask.id == fakes_last_message(f)->id};

	(void)err;
	f->fates++;
	return ipc_send(c, IPC_SUBMIT_FATE, frame->call, &fate);
}

static int
on_flush(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_flush_answer answer = {.messages = span_is(frame->flush_ask.domain, "many.test") ? 3 : 0};

	(void)context;
	(void)err;
	return ipc_send(c, IPC_FLUSH_ANSWER, frame->call, &answer);
}

/* ---- policy ---- */

static int
on_policy(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;
	struct msg_policy_answer answer = {.count = f->policy_rate, .rate = f->policy_rate};

	(void)err;
	return ipc_send(c, IPC_POLICY_ANSWER, frame->call, &answer);
}

static int
on_gone(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;

	(void)c;
	(void)frame;
	(void)err;
	f->policy_gone++;
	return 0;
}

static int
on_user(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;

	(void)err;
	f->user_recipients = frame->policy_user.recipients;
	return ipc_send(c, IPC_POLICY_USER_ANSWER, frame->call, &f->user_answer);
}

static int
on_told(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;

	(void)c;
	(void)err;
	(void)span_copy(frame->policy_told.user, f->told, sizeof(f->told));
	return 0;
}

static int
on_try(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_auth_try_answer answer = {.allowed = !span_is(frame->auth_try.user, "closed")};

	(void)context;
	(void)err;
	return ipc_send(c, IPC_AUTH_TRY_ANSWER, frame->call, &answer);
}

static int
on_result(struct ipc_channel *c, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct fakes *f = context;

	(void)c;
	(void)err;
	if (frame->auth_result.status <= AUTH_TEMPORARY)
		f->auth_results[frame->auth_result.status]++;
	return 0;
}

static const struct ipc_permit fake_permits[] = {
    {IPC_PASSWORD_ASK, ROLE_BIT(ROLE_SMTPD), fake_on_password},
    {IPC_SCRAM_ASK, ROLE_BIT(ROLE_SMTPD), fake_on_scram},
    {IPC_AUTH_TRY, ROLE_BIT(ROLE_SMTPD), on_try},
    {IPC_AUTH_RESULT, ROLE_BIT(ROLE_SMTPD), on_result},
    {IPC_POLICY_USER, ROLE_BIT(ROLE_SMTPD), on_user},
    {IPC_POLICY_TOLD, ROLE_BIT(ROLE_SMTPD), on_told},
    {IPC_NAME_ASK, ROLE_BIT(ROLE_SMTPD), fake_on_name},
    {IPC_DNS_ASK, ROLE_BIT(ROLE_SMTPD), fake_on_dns},
    {IPC_RESOLVE_ASK, ROLE_BIT(ROLE_SMTPD), fake_on_resolve},
    {IPC_MAP_ASK, ROLE_BIT(ROLE_SMTPD), fake_on_map},
    {IPC_SUBMIT_OPEN, ROLE_BIT(ROLE_SMTPD), on_open},
    {IPC_SUBMIT_RCPT, ROLE_BIT(ROLE_SMTPD), on_rcpt},
    {IPC_SUBMIT_DATA, ROLE_BIT(ROLE_SMTPD), on_data},
    {IPC_SUBMIT_CLOSE, ROLE_BIT(ROLE_SMTPD), on_close},
    {IPC_SUBMIT_ABORT, ROLE_BIT(ROLE_SMTPD), on_abort},
    {IPC_SUBMIT_ASK, ROLE_BIT(ROLE_SMTPD), on_fate},
    {IPC_FLUSH_ASK, ROLE_BIT(ROLE_SMTPD), on_flush},
    {IPC_POLICY_CONNECT, ROLE_BIT(ROLE_SMTPD), on_policy},
    {IPC_POLICY_EVENT, ROLE_BIT(ROLE_SMTPD), on_policy},
    {IPC_POLICY_GONE, ROLE_BIT(ROLE_SMTPD), on_gone},
};

static const struct ipc_permit smtpd_permits[] = {
    {IPC_ID_FLOOR, ROLE_BIT(ROLE_QUEUE), smtpd_on_id_floor},
    {IPC_QUEUE_FULL, ROLE_BIT(ROLE_QUEUE), smtpd_on_queue_full},
    {IPC_LOOKUP_CHANGED, ROLE_BIT(ROLE_LOOKUP), smtpd_on_lookup_changed},
};

static void
on_down(struct ipc_channel *channel, void *context)
{
	struct smtpd *d = context;

	for (size_t i = 0; i < ROLE_COUNT; i++)
		if (d->peers[i] == channel)
			d->peers[i] = NULL;
}

static void
on_fake_down(struct ipc_channel *channel, void *context)
{
	struct fakes *f = context;

	for (size_t i = 0; i < ROLE_COUNT; i++)
		if (f->others[i] == channel)
			f->others[i] = NULL;
}

static void
connect_role(struct fakes *f, enum role role)
{
	struct ipc_callbacks ours = {.permits = smtpd_permits,
	    .permit_count = sizeof(smtpd_permits) / sizeof(smtpd_permits[0]),
	    .down = on_down,
	    .context = &f->smtpd};
	struct ipc_callbacks theirs = {.permits = fake_permits,
	    .permit_count = sizeof(fake_permits) / sizeof(fake_permits[0]),
	    .down = on_fake_down,
	    .context = f};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		panic("socketpair");
	f->smtpd.peers[role] = ipc_channel_new(f->base, fds[0], ROLE_SMTPD, 0, role, 10, &ours);
	f->others[role] = ipc_channel_new(f->base, fds[1], role, 0, ROLE_SMTPD, 1000, &theirs);
}

/* ---- the fixture ---- */

static void
keep_log(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	struct fakes *f = context;

	(void)level;
	(void)buf_printf(&f->log, "%s: %.*s\n", ident ? ident : "-", (int)len, text);
}

void
fakes_init(struct fakes *f, const char *text, const char *address)
{
	struct error err;

	*f = (struct fakes){.client = -1, .policy_rate = 1};
	buf_init(&f->replies, 1 << 20);
	buf_init(&f->log, 64 << 20);
	log_set_sink(keep_log, f);
	f->base = event_base_new();
	smtpd_init(&f->smtpd, f->base, 1);
	for (size_t i = 0; i < sizeof(peers); i++)
		connect_role(f, (enum role)peers[i]);
	f->conf = conf_from_text(text, &err);
	if (f->conf == NULL)
		panic("conf: %s", err.text);
	f->settings = settings_new(f->conf, &f->conf->sections[0], &err);
	if (f->settings == NULL)
		panic("settings: %s", err.text);
	fakes_connect(f, address);
}

void
fakes_connect(struct fakes *f, const char *address)
{
	struct net_address peer;
	int fds[2];

	if (f->client >= 0)
		close(f->client);
	fakes_settle(f);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0 ||
	    net_address_parse(span_of(address), &peer) < 0)
		panic("no client");
	f->client = fds[1];
	(void)session_new(&f->smtpd, f->settings, fds[0], &peer);
	fakes_settle(f);
}

static void
take_replies(struct fakes *f)
{
	char bytes[65536];
	ssize_t n;

	while (f->client >= 0 && (n = read(f->client, bytes, sizeof(bytes))) > 0)
		if (buf_append(&f->replies, bytes, (size_t)n) < 0)
			panic("too many replies");
}

void
fakes_settle(struct fakes *f)
{
	/* A question and its answer take a few turns; a command may ask several times. */
	for (int idle = 0; idle < 30;) {
		size_t before = f->replies.len;

		event_base_loop(f->base, EVLOOP_NONBLOCK);
		smtpd_reap(&f->smtpd);
		stream_flush_all();
		ipc_flush_all();
		take_replies(f);
		idle = f->replies.len == before ? idle + 1 : 0;
	}
}

void
fakes_send(struct fakes *f, const void *bytes, size_t len)
{
	const char *p = bytes;
	ssize_t n;

	while (len) {
		n = send(f->client, p, len, MSG_NOSIGNAL);
		if (n < 0)
			n = 0;
		p += n;
		len -= (size_t)n;
		fakes_settle(f);
		if (n == 0 && fakes_session(f) == NULL)
			return;
	}
}

const char *
fakes_replies(struct fakes *f)
{
	static char text[1 << 20];

	(void)span_copy(buf_span(&f->replies), text, sizeof(text));
	buf_clear(&f->replies);
	return text;
}

struct session *
fakes_session(struct fakes *f)
{
	return TAILQ_FIRST(&f->smtpd.sessions);
}

void
fakes_kill_queue(struct fakes *f)
{
	ipc_channel_close(&f->others[ROLE_QUEUE]);
	fakes_settle(f);
}

void
fakes_start_queue(struct fakes *f)
{
	connect_role(f, ROLE_QUEUE);
	fakes_settle(f);
}

struct fake_message *
fakes_last_message(struct fakes *f)
{
	return f->message_count ? &f->messages[f->message_count - 1] : NULL;
}

unsigned
fakes_committed(const struct fakes *f)
{
	unsigned n = 0;

	for (size_t i = 0; i < f->message_count; i++)
		n += f->messages[i].closed;
	return n;
}

void
fakes_fini(struct fakes *f)
{
	if (f->client >= 0)
		close(f->client);
	f->client = -1;
	smtpd_fini(&f->smtpd);
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		if (f->smtpd.peers[i])
			ipc_channel_close(&f->smtpd.peers[i]);
		if (f->others[i])
			ipc_channel_close(&f->others[i]);
	}
	for (size_t i = 0; i < f->message_count; i++) {
		free(f->messages[i].sender);
		free(f->messages[i].hold_reason);
		free(f->messages[i].last_recipient);
		free(f->messages[i].message_id);
		buf_free(&f->messages[i].content);
	}
	stream_flush_all();
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	settings_unref(&f->settings);
	conf_unref(&f->conf);
	buf_free(&f->replies);
	buf_free(&f->log);
	event_base_free(f->base);
	log_set_sink(NULL, NULL);
}
