#include "tests/unit/ipc/world.h"

#include <event2/event.h>
#include <string.h>

#include "common/base/log.h"

char last_line[2000];

static void
keep_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)level;
	(void)ident;
	(void)len;
	(void)context;
	memcpy(last_line, text, len + 1);
}

static void
on_up(struct ipc_channel *channel, void *context)
{
	(void)channel;
	((struct world *)context)->up++;
}

static void
on_down(struct ipc_channel *channel, void *context)
{
	struct world *w = context;

	w->down++;
	if (channel == w->asker)
		w->asker = NULL;
	if (channel == w->answerer)
		w->answerer = NULL;
}

void
answer(struct world *w, uint32_t call, uint32_t ttl)
{
	struct msg_dns_answer m = {.ttl = ttl};

	ipc_send(w->answerer, IPC_DNS_ANSWER, call, &m);
}

static int
handle_ask(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;

	if (w->refuse)
		return error_set(err, "refused by the handler");
	w->calls[w->asked++ % 4096] = frame->call;
	if (w->answer_at_once)
		answer(w, frame->call, frame->dns_ask.type);
	if (w->close_in_handler)
		ipc_channel_close(&channel);
	return 0;
}

static int
handle_watched(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;

	(void)channel;
	(void)err;
	w->got_fd[w->fds++] = frame->watched_file.fd;
	return 0;
}

static int
handle_note(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = context;

	(void)channel;
	(void)err;
	w->notes++;
	w->octets += frame->conf_value.value.len;
	return 0;
}

static int
handle_more(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)err;
	((struct world *)context)->octets += frame->submit_data.bytes.len;
	return 0;
}

static const struct ipc_permit permits[] = {
    {IPC_DNS_ASK, ROLE_BIT(ROLE_SMTPD), handle_ask},
    {IPC_RESOLVE_ASK, ROLE_BIT(ROLE_SMTPD), handle_ask},
    {IPC_WATCHED_FILE, ROLE_BIT(ROLE_SMTPD), handle_watched},
    {IPC_CONF_VALUE, ROLE_BIT(ROLE_SMTPD), handle_note},
    {IPC_SUBMIT_DATA, ROLE_BIT(ROLE_SMTPD), handle_more},
    {IPC_NAME_ASK, ROLE_BIT(ROLE_QUEUE), handle_ask},
};

int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct world *w = context;

	(void)err;
	if (frame == NULL) {
		w->nulls++;
		return 0;
	}
	if (frame->type == IPC_RESOLVE_RCPT) {
		w->parts++;
		return 0;
	}
	w->values[w->answers++ % 4096] = frame->dns_answer.ttl;
	if (w->close_in_answer) {
		struct ipc_channel *c = w->asker;

		w->asker = NULL;
		ipc_channel_close(&c);
	}
	return 0;
}

void
turn(struct world *w)
{
	for (int i = 0; i < 6; i++) {
		ipc_flush_all();
		event_base_loop(w->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	}
	ipc_flush_all();
}

uint32_t
ask(struct world *w, uint32_t type, unsigned timeout_ms)
{
	struct msg_dns_ask m = {.name = SPAN_LIT("mx.example"), .type = type};

	return ipc_ask(w->asker, IPC_DNS_ASK, &m, timeout_ms, on_answer, w);
}

const struct ipc_callbacks *
callbacks_of(struct world *w)
{
	static struct ipc_callbacks callbacks;

	callbacks = (struct ipc_callbacks){permits, sizeof(permits) / sizeof(*permits), on_up, on_down, w};
	return &callbacks;
}

void
world_log_open(void)
{
	last_line[0] = '\0';
	log_set_sink(keep_line, NULL);
}

void
world_log_close(void)
{
	log_set_sink(NULL, NULL);
}
