#include "services/pickup/notice.h"

#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/address.h"
#include "common/mail/member_name.h"
#include "services/pickup/notice_state.h"

enum {
	ARENA_BYTES = 32768,
	WORDS_BYTES = 128 * 1024,
	CONTENT_BYTES_LEAST = 1 << 20, /* of a header alone */
	CONTENT_BYTES_MOST = 16 << 20
};

static const struct log bounce_log = {.ident = "bounce"};

/* ---- life ---- */

static void
notice_free(struct notice *n)
{
	rewriting_abort(&n->rewriting);
	checking_free(&n->checking);
	submission_abort(&n->submission);
	*n->prev = n->next;
	if (n->next)
		n->next->prev = n->prev;
	for (size_t i = 0; i < PART_COUNT; i++)
		buf_free(&n->parts[i]);
	conf_unref(&n->conf);
	arena_free(&n->arena);
	free(n);
}

static struct notice *
find(struct pickup *p, const struct ipc_channel *channel, uint32_t call)
{
	for (struct notice *n = p->notices; n; n = n->next)
		if (n->channel == channel && n->call == call && !n->going)
			return n;
	return NULL;
}

void
notice_peer_down(struct server *s, struct ipc_channel *channel)
{
	struct pickup *p = server_data(s);
	struct notice *next;

	for (struct notice *n = p->notices; n; n = next) {
		next = n->next;
		if (n->channel == channel)
			notice_free(n);
	}
}

static void
tell(struct ipc_channel *channel, uint32_t call, enum submit_status status, uint64_t id, struct span text)
{
	struct msg_notify_done done = {
	    .status = (uint8_t)status, .new_id = id, .text = span_sub(text, 0, 500)};

	ipc_send(channel, IPC_NOTIFY_DONE, call, &done);
}

void
notice_finish(struct notice *n, enum submit_status status, struct span text)
{
	tell(n->channel, n->call, status, n->answer_id, text);
	notice_free(n);
}

/* ---- what queue asks ---- */

/* Who besides the sender is told, by notify_classes. */
static struct span
choose_postmaster(const struct notice *n)
{
	const struct conf_values *v = n->conf->values;
	struct span rest = span_of(v->notify_classes), word;

	while (conf_list_next(&rest, &word)) {
		if (n->report.kind == NOTIFY_FAILED && span_is_nocase(word, "bounce"))
			return span_of(v->bounce_notice_recipient);
		if (n->report.kind == NOTIFY_DELAYED && span_is_nocase(word, "delay"))
			return span_of(v->delay_notice_recipient);
	}
	return span_make(NULL, 0);
}

/* A notice to postmaster that cannot be delivered ends here, whatever tables made of its sender. */
static bool
is_double_bounce(const struct conf_values *v, const struct msg_notify_open *m)
{
	struct span local, domain;

	if ((m->flags & MAIL_INTERNAL) && m->sender.len > 0)
		return true;
	address_split(m->sender, &local, &domain);
	return span_is_nocase(local, v->double_bounce_sender) && span_is_nocase(domain, v->myhostname);
}

static struct notice *
notice_new(struct pickup *p, struct ipc_channel *channel, uint32_t call, const struct msg_notify_open *m)
{
	static const enum template_kind kinds[] = {TEMPLATE_FAILURE, TEMPLATE_DELAY, TEMPLATE_SUCCESS,
	    TEMPLATE_FAILURE, TEMPLATE_FAILURE, TEMPLATE_FAILURE};
	struct notice *n = mem_alloc(sizeof(*n));
	size_t most;

	n->p = p;
	n->channel = channel;
	n->call = call;
	n->about = m->id;
	n->given_id = m->report;
	n->conf = conf_ref(server_conf(p->server));
	n->arena = arena_new(ARENA_BYTES);
	n->flags = m->flags;
	n->content_len = m->content_len;
	n->header_len = m->header_len;
	queue_id_format(m->id, n->original);
	n->report = (struct report){
	    .kind = (enum notify_kind)m->kind,
	    .id = n->original,
	    .sender = arena_copy_span(n->arena, m->sender),
	    .envid = arena_copy_span(n->arena, m->envid),
	    .arrival_us = m->arrival_us,
	    .expire_us = m->expire_us,
	    .utf8 = (m->flags & MAIL_SMTPUTF8) != 0,
	    .values = n->conf->values,
	    .template = template_get(p->templates, kinds[m->kind]),
	    .to = arena_copy_span(n->arena, m->to.len > 0 ? m->to : m->sender),
	};
	n->alone = m->to.len > 0;
	n->postmaster = n->alone ? span_make(NULL, 0) : choose_postmaster(n);
	for (size_t i = 0; i < PART_COUNT; i++)
		buf_init(&n->parts[i], REPORT_HEAD_MAX);
	buf_init(&n->parts[PART_WORDS], WORDS_BYTES);
	buf_init(&n->parts[PART_STATUS], REPORT_STATUS_MAX);
	most = (size_t)n->conf->values->bounce_size_limit;
	most = most < CONTENT_BYTES_LEAST ? CONTENT_BYTES_LEAST : most;
	buf_init(&n->parts[PART_CONTENT], most < CONTENT_BYTES_MOST ? most : CONTENT_BYTES_MOST);
	n->next = p->notices;
	n->prev = &p->notices;
	if (n->next)
		n->next->prev = &n->next;
	p->notices = n;
	return n;
}

int
notice_open(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_notify_open *m = &frame->notify_open;
	struct pickup *p = server_data(context);
	char id[QUEUE_ID_SIZE];

	if (m->kind > NOTIFY_SESSION)
		return error_set(err, "unknown kind of notification: %u", m->kind);
	/* RFC 5321, 4.5.5: never for the null sender. What follows of this conversation is dropped. */
	if (m->to.len == 0 && m->sender.len == 0) {
		tell(channel, frame->call, SUBMIT_OK, 0, span_make(NULL, 0));
		return 0;
	}
	if (m->kind < NOTIFY_HELD && is_double_bounce(pickup_values(p), m)) {
		queue_id_format(m->id, id);
		log_warning(&(struct log){.ident = bounce_log.ident, .queue_id = id},
		    "undeliverable postmaster notification discarded");
		tell(channel, frame->call, SUBMIT_OK, 0, span_make(NULL, 0));
		return 0;
	}
	notice_new(p, channel, frame->call, m);
	return 0;
}

/* What a list led to has names of our own, which mean nothing to anybody. */
static void
tell_recipient(struct notice *n, const struct msg_notify_rcpt *m)
{
	struct msg_notify_rcpt told = *m;
	char shown[MEMBER_SHOWN_SIZE];

	if (m->orig_to.len > 0)
		told.recipient = member_shown(m->recipient, shown);
	report_recipient_words(&n->report, &n->parts[PART_WORDS], &told);
	report_recipient(&n->report, &n->parts[PART_STATUS], &told);
}

int
notice_recipient(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct notice *n = find(server_data(context), channel, frame->call);

	if (n == NULL)
		return 0;
	if (n->report.recipients >= NOTIFY_RECIPIENTS_MAX)
		return error_set(err, "a notification about more than %d recipients", NOTIFY_RECIPIENTS_MAX);
	if (n->report.kind >= NOTIFY_HELD) {
		n->why = arena_copy_span(n->arena, frame->notify_rcpt.text);
		n->report.recipients++;
		return 0;
	}
	tell_recipient(n, &frame->notify_rcpt);
	return 0;
}

/* What does not fit any more is not returned: then the header alone is. */
int
notice_data(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct notice *n = find(server_data(context), channel, frame->call);
	struct buf *content;
	struct span part;

	(void)err;
	if (n == NULL)
		return 0;
	content = &n->parts[PART_CONTENT];
	part = span_sub(frame->notify_data.bytes, 0, content->max - content->len);
	n->came += part.len;
	buf_append_span(content, part);
	return 0;
}

int
notice_go(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct notice *n = find(server_data(context), channel, frame->call);

	if (n == NULL)
		return 0;
	if (n->report.recipients == 0)
		return error_set(err, "a notification about nobody");
	n->going = true;
	notice_compose(n, n->report.to, n->alone ? notice_double_bounce(n) : span_make(NULL, 0), n->alone);
	return 0;
}
