/*
 * control_show: one message in full, and why it is where it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/control/control.h"
#include "queue/log/disk.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { PIECE = 61440, TEXT_MAX = 16 << 20 };

struct showing {
	struct ipc_channel *channel; /* NULL: the tool is gone */
	uint32_t call;
	struct queue *q;
	struct filter filter;
	bool content; /* between the marks of the whole message */
	struct showing *next;
};

static struct showing *showings;

static void
send_text(struct showing *s, struct span text)
{
	while (text.len > 0 && s->channel) {
		struct msg_control_row row = {.bytes = span_sub(text, 0, PIECE)};

		ipc_send(s->channel, IPC_CONTROL_ROW, s->call, &row);
		text = span_from(text, row.bytes.len);
	}
}

/* Lines of postcat(1) in front of a part. */
static void
mark(struct showing *s, const char *what)
{
	char id[QUEUE_ID_SIZE], text[100];

	(void)snprintf(text, sizeof(text), "*** %s %s ***\n", what, queue_id_format(s->filter.ids[0], id));
	send_text(s, span_of(text));
}

static void
showing_end(struct showing *s, uint8_t status, uint64_t count, const char *text)
{
	struct showing **p = &showings;

	if (s->content && status == 0)
		mark(s, "MESSAGE FILE END");
	if (s->channel)
		control_done(s->channel, s->call, status, count, text);
	while (*p && *p != s)
		p = &(*p)->next;
	if (*p)
		*p = s->next;
	filter_free(&s->filter);
	free(s);
}

void
control_show_gone(struct ipc_channel *channel)
{
	for (struct showing *s = showings; s; s = s->next)
		if (s->channel == channel)
			s->channel = NULL;
}

static struct showing *
showing_new(struct queue *q, struct ipc_channel *channel, uint32_t call, const struct filter *f)
{
	struct showing *s = mem_alloc(sizeof(*s));

	s->q = q;
	s->channel = channel;
	s->call = call;
	s->filter = *f;
	s->next = showings;
	showings = s;
	return s;
}

static void
line(struct buf *out, const char *name, struct span value)
{
	if (value.len > 0)
		buf_printf(out, "%s: %.*s\n", name, SPAN_ARG(value));
}

static void
attribute(struct buf *out, const char *name, struct span value)
{
	if (value.len > 0)
		buf_printf(out, "named_attribute: %s=%.*s\n", name, SPAN_ARG(value));
}

static void
attribute_number(struct buf *out, const char *name, unsigned value)
{
	if (value != 0)
		buf_printf(out, "named_attribute: %s=%u\n", name, value);
}

/* Local time, as ctime(3) writes it. */
static void
arrival(struct buf *out, int64_t us)
{
	time_t seconds = (time_t)(us / 1000000);
	char text[40];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm);
	buf_printf(out, "message_arrival_time: %s\n", text);
}

static void
recipient_lines(struct buf *out, const struct part_recipient *p)
{
	attribute(out, "dsn_orig_rcpt", p->orcpt);
	attribute_number(out, "notify_flags", p->notify);
	line(out, "original_recipient", p->orig_to);
	if (p->state == RECIPIENT_QUEUED && (p->outcome_flags & OUTCOME_UNCERTAIN))
		buf_append_text(out, "possibly_delivered: the next recipient\n");
	if (p->own_sender)
		buf_printf(out, "sender_of_recipient: %.*s\n", SPAN_ARG(p->sender));
	buf_printf(out, "%s: %.*s\n", p->state == RECIPIENT_DONE ? "done_recipient" : "recipient",
	    SPAN_ARG(p->recipient));
}

/* postcat(1)'s words where it has them. */
static void
envelope(struct buf *out, const struct message *m)
{
	enum { RET_FULL = 1, RET_HDRS = 2 };
	char id[QUEUE_ID_SIZE];

	buf_printf(out, "*** ENVELOPE RECORDS %s ***\n", queue_id_format(m->id, id));
	buf_printf(out, "message_size: %llu\n", (unsigned long long)m->e.content_len);
	arrival(out, m->e.arrival_us);
	buf_printf(out, "sender: %.*s\n", SPAN_ARG(m->e.sender));
	attribute(out, "envelope_id", m->e.envid);
	attribute_number(out, "ret_flags",
	    m->e.flags & MAIL_RET_FULL   ? RET_FULL
	    : m->e.flags & MAIL_RET_HDRS ? RET_HDRS
					 : 0);
	attribute(out, "client_name", m->e.client_name);
	attribute(out, "client_address", m->e.client_address);
	attribute_number(out, "client_port", m->e.client_port);
	attribute(out, "helo_name", m->e.helo);
	attribute(out, "protocol_name", m->e.protocol);
	attribute(out, "sasl_method", m->e.sasl_method);
	attribute(out, "sasl_username", m->e.sasl_username);
	attribute(out, "sasl_sender", m->e.sasl_sender);
	if (m->e.held)
		buf_printf(out, "hold: %.*s\n", SPAN_ARG(m->e.hold_reason));
	for (uint32_t i = 0; i < m->count; i++)
		recipient_lines(out, &m->recipients[i]->p);
}

static bool
wants(const struct showing *s, const char *part)
{
	return !s->filter.part || strcmp(s->filter.part, part) == 0;
}

/* The helper reads a piece at a time, so that the loop waits for no disk. */
struct file_task {
	struct task task;
	struct showing *s;
	int fd;
	uint64_t offset, len;
	ssize_t got;
	char bytes[PIECE];
};

static bool
run_file(struct task *task)
{
	struct file_task *f = (struct file_task *)task;

	f->got = disk_read_all(f->fd, f->bytes, f->len < PIECE ? (size_t)f->len : PIECE, (off_t)f->offset);
	return false;
}

static void
done_file(struct task *task)
{
	struct file_task *f = (struct file_task *)task;
	struct showing *s = f->s;

	if (f->got > 0) {
		send_text(s, span_make(f->bytes, (size_t)f->got));
		f->offset += (uint64_t)f->got;
		f->len -= (uint64_t)f->got;
	}
	if (f->got > 0 && f->len > 0 && s->channel) {
		worker_put(&s->q->helper, &f->task);
		return;
	}
	showing_end(s, f->len > 0 && s->channel ? 74 : 0, 1, f->len > 0 ? "its file cannot be read" : "");
	disk.close(f->fd);
	free(f);
}

static void
send_file(struct showing *s, int fd, uint64_t offset, uint64_t len)
{
	struct file_task *f = mem_alloc(sizeof(*f));

	f->task.run = run_file;
	f->task.done = done_file;
	f->s = s;
	f->fd = fd;
	f->offset = offset;
	f->len = len;
	worker_put(&s->q->helper, &f->task);
}

static void
on_content(struct queue *q, struct message *m, int fd, void *context, const char *error)
{
	struct showing *s = context;
	uint64_t from = wants(s, "headers") ? 0 : m->e.header_len;
	uint64_t to = wants(s, "body") ? m->e.content_len : m->e.header_len;

	(void)q;
	if (from > m->e.content_len || to > m->e.content_len || from > to)
		from = to = 0;
	if (!error && fd >= 0 && from < to) {
		send_file(s, fd, m->e.file_offset + from, to - from);
		return;
	}
	if (!error && fd < 0 && from < to)
		send_text(s, span_sub(m->content, (size_t)from, (size_t)(to - from)));
	if (fd >= 0)
		disk.close(fd);
	showing_end(s, error ? 74 : 0, 1, error ? error : "");
}

static void
on_message(struct queue *q, struct message *m, void *context)
{
	struct showing *s = context;
	struct buf text;

	if (!m || m->removed) {
		showing_end(s, 66, 0, "no such message in the queue");
		return;
	}
	buf_init(&text, TEXT_MAX);
	if (wants(s, "envelope"))
		envelope(&text, m);
	send_text(s, buf_span(&text));
	buf_free(&text);
	s->content = !s->filter.part;
	if (s->content)
		mark(s, "MESSAGE CONTENTS");
	if (wants(s, "headers") || wants(s, "body"))
		content_get(q, m, on_content, s);
	else
		showing_end(s, 0, 1, "");
}

void
control_show(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f)
{
	struct showing *s = showing_new(q, channel, call, f);

	if (f->id_count != 1)
		showing_end(s, 64, 0, "show wants one queue id");
	else
		young_get(q, f->ids[0], on_message, s);
}
