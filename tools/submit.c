#include "tools/submit.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/mail/queue_id.h"
#include "tools/frame_client.h"
#include "tools/traffic_log.h"

enum {
	HELLO_TIMEOUT_MS = 5000,
	ANSWER_TIMEOUT_MS = 600000, /* a commit that waits for a slow disk; the first attempt of -v */
	CHUNK = 32768,
	CALL = 1
};

/* ---- pickup's socket ---- */

struct handover {
	struct frame_client client;
	uint64_t credit; /* octets that may be sent */
	int status; /* of the answer, -1 before */
	bool accepted; /* only the first attempt is waited for */
};

static int
take_frame(struct submit *s, struct handover *h, const struct ipc_frame *frame, struct error *err)
{
	switch (frame->type) {
	case IPC_DROP_CREDIT:
		h->credit += frame->drop_credit.octets;
		return 0;
	case IPC_DROP_TRACE:
		h->accepted = true;
		traffic_log_out(frame->drop_trace.line);
		if (frame->drop_trace.line.len > 0)
			printf("%.*s\n", SPAN_ARG(frame->drop_trace.line));
		fflush(stdout);
		return 0;
	case IPC_DROP_ANSWER:
		h->status = frame->drop_answer.status;
		if (h->status == EX_OK && frame->drop_answer.id != 0)
			queue_id_format(frame->drop_answer.id, s->id);
		else
			error_set(err, "%.*s", SPAN_ARG(frame->drop_answer.text));
		return 0;
	default:
		return 0;
	}
}

/* Waits until credit has come, or the answer. */
static int
receive(struct submit *s, struct handover *h, struct error *err)
{
	struct ipc_frame frame;

	if (frame_client_receive(&h->client, &frame, ANSWER_TIMEOUT_MS, err) < 0)
		return -1;
	return take_frame(s, h, &frame, err);
}

static int
send_envelope(struct handover *h, const struct drop_envelope *e, struct error *err)
{
	struct msg_drop_open open = {
	    .flags = e->flags,
	    .sender = e->sender,
	    .full_name = e->full_name,
	    .envid = e->envid,
	    .notify = e->notify,
	    .tag = e->tag,
	    .protocol = e->protocol,
	    .hops = e->hops,
	    .verp = e->verp,
	};

	if (frame_client_send(&h->client, IPC_DROP_OPEN, CALL, &open, err) < 0)
		return -1;
	for (const struct drop_recipient *r = e->first; r; r = r->next) {
		struct msg_drop_rcpt rcpt = {.recipient = r->address, .notify = r->notify, .orcpt = r->orcpt};
		if (frame_client_send(&h->client, IPC_DROP_RCPT, CALL, &rcpt, err) < 0)
			return -1;
	}
	return 0;
}

static int
send_content(struct submit *s, struct handover *h, const struct spooled *message, struct error *err)
{
	char bytes[CHUNK];
	uint64_t offset = 0;

	h->credit = SUBMIT_WINDOW;
	while (offset < message->size && h->status < 0) {
		struct msg_drop_data data;
		size_t len = h->credit < CHUNK ? (size_t)h->credit : CHUNK;
		int n;
		if (len == 0) {
			if (receive(s, h, err) < 0)
				return -1;
			continue;
		}
		n = spooled_read(message, offset, bytes, len, err);
		if (n <= 0)
			return -1;
		data.bytes = span_make(bytes, (size_t)n);
		if (frame_client_send(&h->client, IPC_DROP_DATA, CALL, &data, err) < 0)
			return -1;
		offset += (uint64_t)n;
		h->credit -= (uint64_t)n;
	}
	return 0;
}

/* Returns the status of pickup's answer, or -1 if none came. */
static int
by_socket(
    struct submit *s, const struct drop_envelope *envelope, const struct spooled *message, struct error *err)
{
	struct msg_drop_close close_message = {0};
	struct handover h = {.status = -1};
	char path[4096];

	snprintf(path, sizeof(path), "%s/public/pickup", s->queue_directory);
	if (frame_client_open(&h.client, path, HELLO_TIMEOUT_MS, err) < 0)
		return -1;
	if (send_envelope(&h, envelope, err) < 0 || send_content(s, &h, message, err) < 0)
		goto out;
	if (h.status < 0 && frame_client_send(&h.client, IPC_DROP_CLOSE, CALL, &close_message, err) < 0)
		goto out;
	while (h.status < 0 && receive(s, &h, err) == 0)
		;
out:
	frame_client_close(&h.client);
	return h.status < 0 && h.accepted ? EX_OK : h.status;
}

/* ---- the drop program ---- */

static int
feed_drop(int fd, const struct drop_envelope *envelope, const struct spooled *message, struct error *err)
{
	struct buf head;
	char bytes[CHUNK];
	int n = 0, result;

	buf_init(&head, DROP_ENVELOPE_MAX);
	result = drop_envelope_format(envelope, &head, err);
	if (result == 0 && io_write_all(fd, buf_ptr(&head), head.len) < 0)
		result = error_errno(err, "drop");
	for (uint64_t offset = 0; result == 0 && offset < message->size; offset += (uint64_t)n) {
		n = spooled_read(message, offset, bytes, sizeof(bytes), err);
		if (n <= 0)
			result = -1;
		else if (io_write_all(fd, bytes, (size_t)n) < 0)
			result = error_errno(err, "drop");
	}
	buf_free(&head);
	return result;
}

static void
exec_drop(const struct submit *s, int in)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/drop", s->daemon_directory);
	dup2(in, STDIN_FILENO);
	if (s->explicit_confdir)
		execl(path, "drop", "-c", s->confdir, (char *)NULL);
	else
		execl(path, "drop", (char *)NULL);
	fprintf(stderr, "sendmail: %s: %s\n", path, strerror(errno));
	_exit(EX_TEMPFAIL);
}

static int
by_drop_program(
    struct submit *s, const struct drop_envelope *envelope, const struct spooled *message, struct error *err)
{
	int ends[2], status = 0;
	struct error feed_err = {.number = 0};
	pid_t pid, ended = -1;
	bool fed;

	if (pipe(ends) < 0) {
		error_errno(err, "pipe");
		return EX_TEMPFAIL;
	}
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		exec_drop(s, ends[0]);
	}
	if (pid < 0)
		error_errno(err, "fork");
	io_close(&ends[0]);
	fed = pid > 0 && feed_drop(ends[1], envelope, message, &feed_err) == 0;
	io_close(&ends[1]);
	while (pid > 0 && (ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
		;
	if (pid < 0)
		return EX_TEMPFAIL;
	if (ended != pid || !WIFEXITED(status)) {
		error_set(err, "the drop program did not finish");
		return EX_TEMPFAIL;
	}
	if (WEXITSTATUS(status) != 0)
		error_set(err, "the message could not be put into the drop directory");
	else if (!fed) {
		*err = feed_err;
		return EX_TEMPFAIL;
	}
	return WEXITSTATUS(status);
}

int
submit_message(
    struct submit *s, struct drop_envelope *envelope, const struct spooled *message, struct error *err)
{
	int status = by_socket(s, envelope, message, err);

	envelope->size = message->size;
	/* Whoever was told nothing, or to come back, leaves it where it waits. */
	if (status != -1 && status != EX_TEMPFAIL)
		return status;
	status = s->may_wait ? s->may_wait(envelope, s->context, err) : 0;
	return status == 0 ? by_drop_program(s, envelope, message, err) : status;
}
