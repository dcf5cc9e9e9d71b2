/*
 * control_export: mail that leaves for another instance (transit.h).
 *
 * The tool first has everything that it wants put on hold (act_export), then asks for one message after the other
 * (control_export) and writes it, and when it is on its disk has it removed (act_exported). Octets go no faster than the
 * tool takes them.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/control/control.h"
#include "queue/control/transit.h"
#include "queue/log/disk.h"
#include "queue/scheduler/hop.h"
#include "queue/spool_clock.h"

enum { PIECE = 60000, FRAMES_AHEAD = 16, PAUSE_MS = 2, HEAD_MAX = RECORD_MAX };

/* ---- which, and the end ---- */

static void
tell(struct walk *w, const struct message *m, const char *word)
{
	char id[QUEUE_ID_SIZE], line[64];

	snprintf(line, sizeof(line), "%s %s\n", word, queue_id_format(m->id, id));
	walk_row(w, span_of(line));
}

/* Something of it is under way that a copy would not have. */
static bool
in_flight(const struct message *m)
{
	if (m->jobs > 0 || m->notifying || m->position == 0)
		return true;
	for (uint32_t i = 0; i < m->count; i++) {
		const struct recipient *r = m->recipients[i];

		if (r->job || r->resolving || r->reporting || r->p.state == RECIPIENT_REPORT)
			return true;
	}
	return false;
}

/* "part=again": only what an earlier run left. */
bool
act_export(struct walk *w, struct message *m)
{
	const char *dir = w->filter.hold_reason;
	bool sealed = transit_is_mine(m, TRANSIT_SEALED, dir);
	bool again = sealed || transit_is_mine(m, TRANSIT_OUT, dir);
	char who[CONTROL_WHO_SIZE];

	if (again == !w->filter.part)
		return false; /* the tool asks for the other kind separately */
	if (again) {
		tell(w, m, sealed ? "sealed" : "again");
		return true;
	}
	if (transit_is_marked(m) || in_flight(m)) {
		tell(w, m, transit_is_marked(m) ? "other" : "busy");
		return false;
	}
	control_who(w->channel, who);
	transit_mark(m, TRANSIT_OUT, dir, who, clock_wall_us());
	m->fresh = false;
	scheduler_take_out(w->q, m);
	journal_hold(w->q, m);
	log_info(QUEUE_LOG(m->id), "placed on hold: being exported to %s by %s", dir, who);
	tell(w, m, "id");
	return true;
}

/* Its file is whole and on the disk: when this is durable it may be imported. */
bool
act_seal(struct walk *w, struct message *m)
{
	const char *dir = w->filter.hold_reason;
	char who[CONTROL_WHO_SIZE];

	if (!transit_is_mine(m, TRANSIT_OUT, dir))
		return false;
	control_who(w->channel, who);
	transit_unmark(m, TRANSIT_OUT, dir);
	transit_mark(m, TRANSIT_SEALED, dir, who, clock_wall_us());
	journal_hold(w->q, m);
	return true;
}

bool
act_exported(struct walk *w, struct message *m)
{
	const char *dir = w->filter.hold_reason;
	char who[CONTROL_WHO_SIZE];

	if (!transit_is_mine(m, TRANSIT_SEALED, dir))
		return false;
	control_who(w->channel, who);
	log_info(QUEUE_LOG(m->id), "removed, exported to %s by %s", dir, who);
	journal_remove(w->q, m, REMOVAL_EXPORTED);
	journal_kick(w->q);
	return true;
}

static bool
back(struct walk *w, struct message *m, enum transit_way way)
{
	if (!transit_is_mine(m, way, w->filter.hold_reason))
		return false;
	transit_unmark(m, way, w->filter.hold_reason);
	journal_hold(w->q, m);
	scheduler_add(w->q, m, false);
	return true;
}

/* The tool could not write it. */
bool
act_stay(struct walk *w, struct message *m)
{
	if (!back(w, m, TRANSIT_OUT))
		return false;
	log_info(QUEUE_LOG(m->id), "not exported: it stays");
	return true;
}

bool
act_imported(struct walk *w, struct message *m)
{
	char who[CONTROL_WHO_SIZE];

	if (!back(w, m, TRANSIT_IN))
		return false;
	control_who(w->channel, who);
	log_info(QUEUE_LOG(m->id), "imported from %s by %s", w->filter.hold_reason, who);
	return true;
}

/* What an earlier import did not end. */
bool
act_importing(struct walk *w, struct message *m)
{
	if (!transit_is_mine(m, TRANSIT_IN, w->filter.hold_reason))
		return false;
	tell(w, m, "again");
	return true;
}

/* ---- one message ---- */

struct exporting {
	struct exporting *next;
	struct queue *q;
	struct ipc_channel *channel; /* NULL: the tool is gone */
	uint32_t call;
	struct filter filter;
	struct message *message; /* held by us, while its octets are needed */
	struct event *pause;
	struct buf head;
	struct transit_sum sum;
	struct span rest; /* of head or content, to be sent */
	uint64_t content_at, content_len;
	int fd;
	bool found, failed, reading;
	unsigned ahead;
};

static struct exporting *exportings;

static void
end(struct exporting *x, uint8_t status, const char *text)
{
	struct exporting **p = &exportings;
	struct message *m = x->message;

	if (x->channel)
		control_done(x->channel, x->call, status, status == 0, text);
	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	if (m) {
		m->busy--;
		outcome_settle(x->q, m);
	}
	if (x->pause)
		event_free(x->pause);
	if (x->fd >= 0)
		disk.close(x->fd);
	filter_free(&x->filter);
	buf_free(&x->head);
	free(x);
}

static void
send_piece(struct exporting *x, struct span bytes)
{
	struct msg_control_row row = {.bytes = bytes};

	ipc_send(x->channel, IPC_CONTROL_ROW, x->call, &row);
	x->ahead++;
}

struct read_task {
	struct task task;
	struct exporting *x;
	int fd;
	uint64_t at;
	size_t len;
	ssize_t got;
	char bytes[PIECE];
};

static void export_on(struct exporting *x);

static bool
run_read(struct task *task)
{
	struct read_task *t = (struct read_task *)task;

	t->got = disk_read_all(t->fd, t->bytes, t->len, (off_t)t->at);
	return false;
}

static void
done_read(struct task *task)
{
	struct read_task *t = (struct read_task *)task;
	struct exporting *x = t->x;
	bool bad = t->got != (ssize_t)t->len;

	x->reading = false;
	if (!bad && x->channel) {
		transit_sum_add(&x->sum, span_make(t->bytes, t->len));
		send_piece(x, span_make(t->bytes, t->len));
		x->content_at += t->len;
		x->content_len -= t->len;
	}
	free(t);
	if (bad || !x->channel)
		end(x, EX_IOERR, "its file cannot be read");
	else
		export_on(x);
}

static void
read_piece(struct exporting *x)
{
	struct read_task *t = mem_alloc(sizeof(*t));

	t->x = x;
	t->fd = x->fd;
	t->at = x->content_at;
	t->len = x->content_len < PIECE ? (size_t)x->content_len : PIECE;
	t->task.run = run_read;
	t->task.done = done_read;
	x->reading = true;
	worker_put(&x->q->helper, &t->task);
}

static void
export_on(struct exporting *x)
{
	uint8_t sum[TRANSIT_SUM_SIZE];

	while (!x->reading && x->ahead < FRAMES_AHEAD) {
		struct span piece = span_sub(x->rest, 0, PIECE);

		if (piece.len > 0) {
			transit_sum_add(&x->sum, piece);
			send_piece(x, piece);
			x->rest = span_from(x->rest, piece.len);
		} else if (x->fd < 0 && x->content_len > 0) {
			x->rest = x->message->content;
			x->content_len = 0;
		} else if (x->content_len > 0) {
			read_piece(x);
		} else {
			transit_sum_end(&x->sum, sum);
			send_piece(x, span_make(sum, sizeof(sum)));
			end(x, 0, "");
			return;
		}
	}
}

/* As it will be there: on hold only if it was, its content behind it. */
static int
pack(struct exporting *x)
{
	struct message *m = x->message;
	struct part_envelope as_it_is = m->e;
	struct transit_head head = {.id = m->id,
	    .content_len = m->e.content_len,
	    .spool_us = spool_clock_now(),
	    .wall_us = clock_wall_us()};
	struct buf payload;
	int status;

	buf_init(&payload, HEAD_MAX);
	transit_unmark(m, TRANSIT_OUT, x->filter.hold_reason);
	m->e.in_file = 0;
	m->e.file_offset = 0;
	status = message_pack(&payload, m);
	m->e = as_it_is;
	head.payload_len = payload.len;
	if (status == 0 && payload.len <= TRANSIT_PAYLOAD_MAX) {
		transit_head_encode(&x->head, &head);
		status = buf_append_span(&x->head, buf_span(&payload));
	} else {
		status = -1;
	}
	buf_free(&payload);
	return status;
}

static void
begin(struct exporting *x)
{
	const struct message *m = x->message;

	if (!x->channel || x->failed || (x->fd < 0 && m->e.content_len > 0 && !m->content.ptr)) {
		end(x, EX_IOERR, "its content cannot be read");
		return;
	}
	if (pack(x) < 0) {
		end(x, EX_DATAERR, "its envelope is too long");
		return;
	}
	x->rest = buf_span(&x->head);
	x->content_at = m->e.file_offset;
	x->content_len = m->e.content_len;
	export_on(x);
}

/* Who calls this still needs the message: what may let go of it comes in a turn of its own. */
static void
on_content(struct queue *q, struct message *m, int fd, void *context, const char *error)
{
	struct exporting *x = context;

	(void)q;
	(void)m;
	x->fd = fd;
	x->failed = error != NULL;
	x->found = true;
	event_active(x->pause, EV_TIMEOUT, 0);
}

static void
on_message(struct queue *q, struct message *m, void *context)
{
	struct exporting *x = context;
	struct timeval tv = {.tv_usec = PAUSE_MS * 1000};
	enum transit_way way = x->filter.part ? TRANSIT_SEALED : TRANSIT_OUT;

	if (!x->channel || !m || m->removed || !transit_is_mine(m, way, x->filter.hold_reason)) {
		end(x, EX_NOINPUT, "it is not there any more, or not on hold for this");
	} else if (in_flight(m)) {
		end(x, EX_TEMPFAIL, "something of it is under way");
	} else if (m->busy > 0) {
		event_add(x->pause, &tv); /* the hold is not durable yet */
	} else if (x->filter.part) {
		end(x, 0, ""); /* it is sealed: no more was asked */
	} else {
		x->message = m;
		m->busy++;
		content_get(q, m, on_content, x);
	}
}

static void
on_pause(evutil_socket_t fd, short what, void *context)
{
	struct exporting *x = context;

	(void)fd;
	(void)what;
	if (x->found)
		begin(x);
	else
		young_get(x->q, x->filter.ids[0], on_message, x);
}

void
control_export(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f)
{
	struct exporting *x = mem_alloc(sizeof(*x));

	x->q = q;
	x->channel = channel;
	x->call = call;
	x->filter = *f;
	x->fd = -1;
	x->pause = event_new(q->base, -1, 0, on_pause, x);
	buf_init(&x->head, HEAD_MAX);
	x->next = exportings;
	exportings = x;
	if (f->id_count != 1 || !f->hold_reason)
		end(x, EX_USAGE, "export wants one queue id");
	else
		young_get(q, f->ids[0], on_message, x);
}

void
control_export_taken(struct ipc_channel *channel, uint32_t call, uint32_t frames)
{
	struct exporting *x = exportings;

	while (x && (x->channel != channel || x->call != call))
		x = x->next;
	if (!x)
		return;
	x->ahead -= frames < x->ahead ? frames : x->ahead;
	if (x->head.len > 0)
		export_on(x);
}

void
control_export_gone(struct ipc_channel *channel)
{
	struct exporting *next;

	for (struct exporting *x = exportings; x; x = next) {
		next = x->next;
		if (x->channel != channel)
			continue;
		x->channel = NULL;
		/* What is being read or looked up ends when that comes back. */
		if (x->head.len > 0 && !x->reading)
			end(x, EX_IOERR, "");
	}
}
