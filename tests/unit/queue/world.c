#include "tests/unit/queue/world.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/scheduler/hop.h"

/* Tasks that are under way when a world ends are not run to their end: queue itself just ends. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:worker_stop\nleak:log_writer_stop\nleak:space_want_spare\nleak:free_oldest\nleak:empty_"
	       "oldest\n"
	       "leak:young_store\nleak:tidy_tick\nleak:hop_fetch\nleak:journal_put\nleak:content_get\nleak:"
	       "submission_\nleak:"
	       "job_start\n"
	       "leak:content_remove_file\nleak:put_change\nleak:tell\nleak:set_full\nleak:give_spare\nleak:"
	       "step_new\nleak:done_move\nleak:file_trouble_check\n";
}

bool world_without_delivery, world_without_waiting;
static struct world *the_world;

/* ---- the skeleton ---- */

void *
server_data(struct server *s)
{
	(void)s;
	return &the_world->queue;
}

struct ipc_channel *
server_peer(struct server *s, enum role role, uint32_t index)
{
	(void)s;
	if (index != 0 && !(index == 1 && the_world->leaving_delivery && role == ROLE_DELIVERY))
		return NULL;
	if (role == ROLE_DELIVERY)
		return the_world->no_delivery ? NULL : the_world->to_delivery;
	return role == ROLE_PICKUP ? the_world->to_pickup : NULL;
}

size_t
server_peers(struct server *s, enum role role, struct ipc_channel **list, size_t max)
{
	struct ipc_channel *peer = server_peer(s, role, 0);

	if (!peer || max == 0)
		return 0;
	list[0] = peer;
	return 1;
}

bool
server_is_stopping(struct server *s)
{
	(void)s;
	return false;
}

void
server_progress(struct server *s, const char *state)
{
	(void)s;
	(void)state;
}

void
server_notice(struct server *s, const char *text, bool refuses)
{
	(void)s;
	(void)refuses;
	snprintf(the_world->notice, sizeof(the_world->notice), "%s", text);
}

void
server_fail(struct server *s, const char *format, ...)
{
	(void)s;
	panic("%s", format);
}

size_t
server_listener_count(struct server *s)
{
	(void)s;
	return 0;
}

const struct server_listener *
server_listener_at(struct server *s, size_t i)
{
	(void)s;
	(void)i;
	return NULL;
}

/* ---- the worker and pickup ---- */

static int
on_job_open(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = the_world;

	(void)channel;
	(void)context;
	(void)err;
	w->delivered_ids[w->jobs++ % WORLD_JOBS_MAX] = frame->job_open.id;
	w->open_call = frame->call;
	w->call_ids[frame->call % WORLD_JOBS_MAX] = frame->job_open.id;
	return 0;
}

static int
on_job_rcpt(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = the_world;
	struct msg_job_outcome o = {.index = frame->job_rcpt.index,
	    .class = (uint8_t)w->outcome,
	    .flags = w->outcome_flags,
	    .status = span_of(w->status),
	    .relay = SPAN_LIT("mx.far.test[192.0.2.1]:25"),
	    .text = span_of(w->text)};

	(void)context;
	(void)err;
	span_copy(frame->job_rcpt.recipient, w->last_recipient, sizeof(w->last_recipient));
	if (w->keep_jobs)
		return 0;
	if (w->on_rcpt)
		w->on_rcpt(w, w->call_ids[frame->call % WORLD_JOBS_MAX], &frame->job_rcpt, &o);
	ipc_send(channel, IPC_JOB_OUTCOME, frame->call, &o);
	if (o.class == OUTCOME_DELIVERED)
		w->delivered++;
	return 0;
}

/* A message file's content, as the worker reads it. */
static void
show_file(struct world *w, uint64_t id, const struct msg_job_file *file)
{
	char bytes[16384];
	off_t at = (off_t)file->offset;
	ssize_t n;

	while (w->on_content && (n = pread(file->fd, bytes, sizeof(bytes), at)) > 0) {
		w->on_content(w, id, span_make(bytes, (size_t)n));
		at += n;
	}
}

static int
on_job_more(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct world *w = the_world;
	struct msg_job_done done = {.destination = (uint8_t)w->hop_state, .text = span_of(w->text)};
	uint64_t id = w->call_ids[frame->call % WORLD_JOBS_MAX];

	(void)context;
	(void)err;
	if (frame->type == IPC_JOB_DATA)
		w->content_octets += frame->job_data.bytes.len;
	if (w->on_content && frame->type != IPC_JOB_FILE)
		w->on_content(w, id, frame->type == IPC_JOB_DATA ? frame->job_data.bytes : SPAN_LIT(""));
	if (frame->type == IPC_JOB_FILE) {
		show_file(w, id, &frame->job_file);
		w->content_octets +=
		    (size_t)lseek(frame->job_file.fd, 0, SEEK_END) - (size_t)frame->job_file.offset;
		close(frame->job_file.fd);
	}
	if (frame->type == IPC_JOB_GO && !w->keep_jobs)
		ipc_send(channel, IPC_JOB_DONE, frame->call, &done);
	return 0;
}

static int
on_notify(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_notify_done done = {.status = SUBMIT_OK, .new_id = 1};

	(void)context;
	(void)err;
	if (frame->type == IPC_NOTIFY_RCPT && the_world->reported_text[0] == '\0')
		span_copy(
		    frame->notify_rcpt.text, the_world->reported_text, sizeof(the_world->reported_text));
	if (frame->type == IPC_NOTIFY_DATA)
		the_world->reported_octets += frame->notify_data.bytes.len;
	if (frame->type != IPC_NOTIFY_GO)
		return 0;
	the_world->notifications++;
	ipc_send(channel, IPC_NOTIFY_DONE, frame->call, &done);
	return 0;
}

static int
on_trace_end(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)frame;
	(void)context;
	(void)err;
	the_world->trace_ends++;
	return 0;
}

static int
ignore(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)frame;
	(void)context;
	(void)err;
	return 0;
}

static const struct ipc_permit queue_permits[] = {
    {IPC_SUBMIT_OPEN, ROLE_BIT(ROLE_SMTPD), submission_open},
    {IPC_SUBMIT_RCPT, ROLE_BIT(ROLE_SMTPD), submission_rcpt},
    {IPC_SUBMIT_DATA, ROLE_BIT(ROLE_SMTPD), submission_data},
    {IPC_SUBMIT_CLOSE, ROLE_BIT(ROLE_SMTPD), submission_close},
    {IPC_SUBMIT_ABORT, ROLE_BIT(ROLE_SMTPD), submission_abort},
    {IPC_JOB_KEPT, ROLE_BIT(ROLE_DELIVERY), kept_told},
};

static int
on_job(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	if (the_world->on_job) {
		the_world->on_job(the_world, frame);
		return 0;
	}
	if (frame->type == IPC_JOB_WHERE)
		return 0;
	if (frame->type == IPC_JOB_OPEN)
		return on_job_open(channel, frame, context, err);
	if (frame->type == IPC_JOB_RCPT)
		return on_job_rcpt(channel, frame, context, err);
	return on_job_more(channel, frame, context, err);
}

static const struct ipc_permit test_permits[] = {
    {IPC_JOB_OPEN, ROLE_BIT(ROLE_QUEUE), on_job},
    {IPC_JOB_RCPT, ROLE_BIT(ROLE_QUEUE), on_job},
    {IPC_JOB_DATA, ROLE_BIT(ROLE_QUEUE), on_job},
    {IPC_JOB_FILE, ROLE_BIT(ROLE_QUEUE), on_job},
    {IPC_JOB_GO, ROLE_BIT(ROLE_QUEUE), on_job},
    {IPC_JOB_WHERE, ROLE_BIT(ROLE_QUEUE), on_job},
    {IPC_NOTIFY_OPEN, ROLE_BIT(ROLE_QUEUE), on_notify},
    {IPC_NOTIFY_RCPT, ROLE_BIT(ROLE_QUEUE), on_notify},
    {IPC_NOTIFY_DATA, ROLE_BIT(ROLE_QUEUE), on_notify},
    {IPC_NOTIFY_GO, ROLE_BIT(ROLE_QUEUE), on_notify},
    {IPC_TRACE_LINE, ROLE_BIT(ROLE_QUEUE), ignore},
    {IPC_TRACE_END, ROLE_BIT(ROLE_QUEUE), on_trace_end},
    {IPC_QUEUE_FULL, ROLE_BIT(ROLE_QUEUE), ignore},
    {IPC_ID_FLOOR, ROLE_BIT(ROLE_QUEUE), ignore},
};

static unsigned ups;

static void
on_up(struct ipc_channel *channel, void *context)
{
	(void)channel;
	(void)context;
	ups++;
}

/* A test that answers what nobody asked has lost its channel. */
static void
on_down(struct ipc_channel *channel, void *context)
{
	struct world *w = context;
	struct ipc_channel **all[] = {
	    &w->submitter, &w->delivery, &w->pickup, &w->from_submitter, &w->to_delivery, &w->to_pickup};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (*all[i] == channel)
			*all[i] = NULL;
}

static void
connect_two(struct world *w, enum role role, struct ipc_channel **test_end, struct ipc_channel **queue_end)
{
	struct ipc_callbacks test = {.permits = test_permits,
	    .permit_count = sizeof(test_permits) / sizeof(test_permits[0]),
	    .up = on_up,
	    .down = on_down,
	    .context = w};
	struct ipc_callbacks queue = {.permits = queue_permits,
	    .permit_count = sizeof(queue_permits) / sizeof(queue_permits[0]),
	    .up = on_up,
	    .down = on_down,
	    .context = w};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		panic("socketpair");
	*test_end = ipc_channel_new(w->base, pair[0], role, 0, ROLE_QUEUE, 4096, &test);
	*queue_end = ipc_channel_new(w->base, pair[1], ROLE_QUEUE, 0, role, 4096, &queue);
}

/* ---- the world ---- */

static void
keep_line(enum log_level level, const char *ident, const char *text, size_t len, void *context)
{
	(void)context;
	(void)ident;
	if (getenv("WORLD_LOG") || level <= LOG_LEVEL_FATAL)
		dprintf(2, "%.*s\n", (int)len, text);
}

struct world *
world_open(const char *dir, const char *settings)
{
	struct world *w = mem_alloc(sizeof(*w));
	struct msg_job_kept nothing = {.last = 1};
	struct error err = {.text = ""};
	char text[2000];

	the_world = w;
	log_set_sink(keep_line, NULL);
	if (!dir) {
		snprintf(w->dir, sizeof(w->dir), "/tmp/queue-world-XXXXXX");
		if (!mkdtemp(w->dir))
			panic("mkdtemp");
	} else {
		snprintf(w->dir, sizeof(w->dir), "%s", dir);
	}
	snprintf(text, sizeof(text),
	    "delivery_workers = 1\nspool_segment_size = 1m\nminimal_backoff_time = 1s\nmaximal_backoff_time "
	    "= 2s\n%s",
	    settings);
	w->conf = conf_from_text(text, &err);
	if (!w->conf || chdir(w->dir) < 0)
		panic("%s", err.text);
	w->base = event_base_new();
	w->queue.base = w->base;
	w->queue.conf = w->conf->values;
	w->no_delivery = world_without_delivery;
	w->outcome = OUTCOME_DELIVERED;
	w->status = "2.0.0";
	w->text = "250 Ok";
	w->hop_state = HOP_UP;
	ups = 0;
	connect_two(w, ROLE_SMTPD, &w->submitter, &w->from_submitter);
	connect_two(w, ROLE_DELIVERY, &w->delivery, &w->to_delivery);
	connect_two(w, ROLE_PICKUP, &w->pickup, &w->to_pickup);
	while (ups < 6)
		world_turn(w, 100);
	if (spool_start(&w->queue, &err) < 0)
		panic("%s", err.text);
	ipc_send(w->delivery, IPC_JOB_KEPT, 0, &nothing);
	while (w->queue.recovery && !world_without_waiting)
		world_turn(w, 20);
	world_without_waiting = false;
	return w;
}

void
world_close(struct world **w)
{
	struct world *gone = *w;

	*w = NULL;
	for (int i = 0; i < 500 && !spool_is_idle(&gone->queue); i++)
		world_turn(gone, 20);
	spool_stop(&gone->queue);
	ipc_channel_close(&gone->submitter);
	ipc_channel_close(&gone->delivery);
	ipc_channel_close(&gone->pickup);
	ipc_channel_close(&gone->from_submitter);
	ipc_channel_close(&gone->to_delivery);
	ipc_channel_close(&gone->to_pickup);
	event_base_free(gone->base);
	conf_unref(&gone->conf);
	free(gone);
}

static void
remove_dir(const char *dir)
{
	char path[512];
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (unlink(path) < 0)
			remove_dir(path);
	}
	if (d)
		closedir(d);
	rmdir(dir);
}

void
world_remove(const char *dir)
{
	remove_dir(dir);
}

static void
on_time(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
}

void
world_turn(struct world *w, unsigned ms)
{
	struct timeval tv = {.tv_usec = (suseconds_t)ms * 1000};

	ipc_flush_all();
	event_base_once(w->base, -1, EV_TIMEOUT, on_time, NULL, &tv);
	event_base_loop(w->base, EVLOOP_ONCE);
	ipc_flush_all();
}

bool
world_until_step(struct world *w, bool first)
{
	static int64_t until;

	if (first)
		until = clock_mono_us() + 10 * US_PER_SECOND;
	else
		world_turn(w, 20);
	return clock_mono_us() < until;
}

static int
on_submit_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct world *w = context;

	(void)err;
	if (frame && frame->type == IPC_SUBMIT_CREDIT)
		return 0;
	w->answered = true;
	w->submit_status = frame ? (enum submit_status)frame->submit_answer.status : SUBMIT_ABORTED;
	w->submit_id = frame ? frame->submit_answer.id : 0;
	if (w->on_answer)
		w->on_answer(w);
	return 0;
}

void
world_send(struct world *w, uint64_t id, const char *sender, unsigned count, size_t octets, unsigned flags)
{
	static char content[61440];
	struct msg_submit_open open = {
	    .id = id, .sender = span_of(sender), .flags = flags, .protocol = SPAN_LIT("ESMTP")};
	struct msg_submit_close end = {.prepend = SPAN_LIT("Received: by here\r\n"), .header_len = 20};
	uint32_t call = ipc_ask(w->submitter, IPC_SUBMIT_OPEN, &open, 0, on_submit_answer, w);
	char address[40];

	memset(content, 'a' + (int)(id % 26), sizeof(content));
	w->answered = false;
	for (unsigned i = 0; i < count; i++) {
		struct msg_submit_rcpt rcpt = {
		    .transport = SPAN_LIT("smtp"), .nexthop = SPAN_LIT("far.test"), .generation = 1};

		snprintf(address, sizeof(address), "r%u@far.test", i);
		rcpt.recipient = span_of(address);
		ipc_send(w->submitter, IPC_SUBMIT_RCPT, call, &rcpt);
	}
	while (octets > 0) {
		struct msg_submit_data data = {
		    .bytes = span_make(content, octets < sizeof(content) ? octets : sizeof(content))};

		ipc_send(w->submitter, IPC_SUBMIT_DATA, call, &data);
		octets -= data.bytes.len;
	}
	ipc_send(w->submitter, IPC_SUBMIT_CLOSE, call, &end);
}

void
world_answer_job(struct world *w)
{
	struct msg_job_outcome o = {
	    .class = (uint8_t)w->outcome, .status = span_of(w->status), .text = span_of(w->text)};
	struct msg_job_done done = {.destination = HOP_UP};

	ipc_send(w->delivery, IPC_JOB_OUTCOME, w->open_call, &o);
	ipc_send(w->delivery, IPC_JOB_DONE, w->open_call, &done);
	w->delivered++;
}

enum submit_status
world_submit(struct world *w, uint64_t id, const char *sender, unsigned count, size_t octets)
{
	world_send(w, id, sender, count, octets, 0);
	return WORLD_UNTIL(w, w->answered) ? w->submit_status : SUBMIT_ABORTED;
}
