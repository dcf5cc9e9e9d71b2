/*
 * postern queue export: what is wanted is put on hold, written, synced and only then taken out of the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/mail/queue_id.h"
#include "tools/queue_move.h"

enum { BATCH = 100 /* files for one sync of the directory */, ROWS_MAX = 256 << 20, NAME_SIZE = 40 };

struct export
{
	struct move m;
	struct buf rows;
	char ids[BATCH][QUEUE_ID_SIZE];
	size_t count;
};

/* Octets of one message into a file; its name is not final yet. Returns queue's status, or -1 with err; -2: the disk. */
static int
receive_file(struct export *e, int fd, struct error *err)
{
	struct msg_control_taken taken = {.rows = 1};
	struct ipc_frame frame;
	int status = 0;

	for (;;) {
		if (move_receive(&e->m, &frame, err) < 0)
			return -1;
		if (frame.type == IPC_CONTROL_DONE)
			break;
		if (frame.type != IPC_CONTROL_ROW)
			continue;
		if (status == 0 &&
		    io_write_all(fd, frame.control_row.bytes.ptr, frame.control_row.bytes.len) < 0) {
			error_errno(err, "writing to %s", e->m.path);
			status = -2;
		}
		if (frame_client_send(&e->m.client, IPC_CONTROL_TAKEN, e->m.call, &taken, err) < 0)
			return -1;
	}
	if (status != 0)
		return status;
	span_copy(frame.control_done.text, e->m.text, sizeof(e->m.text));
	if (frame.control_done.status == 0 && fsync(fd) < 0) {
		error_errno(err, "syncing in %s", e->m.path);
		return -2;
	}
	return frame.control_done.status;
}

static int
write_one(struct export *e, const char *id, struct error *err)
{
	char args[64], temporary[NAME_SIZE], name[NAME_SIZE];
	int fd, status;

	snprintf(args, sizeof(args), "id=%s\n", id);
	snprintf(temporary, sizeof(temporary), "%s.tmp", id);
	snprintf(name, sizeof(name), "%s.mail", id);
	if (unlinkat(e->m.dir, temporary, 0) < 0 && errno != ENOENT) {
		error_errno(err, "%s/%s", e->m.path, temporary);
		return -2;
	}
	fd = openat(e->m.dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_errno(err, "%s/%s", e->m.path, temporary);
		return -2;
	}
	status = move_ask(&e->m, "export-one", span_of(args), err) < 0 ? -1 : receive_file(e, fd, err);
	if (io_close(&fd) < 0 && status == 0) {
		error_errno(err, "writing to %s", e->m.path);
		status = -2;
	}
	if (status == 0 && renameat(e->m.dir, temporary, e->m.dir, name) < 0) {
		error_errno(err, "renaming in %s", e->m.path);
		status = -2;
	}
	if (status != 0)
		unlinkat(e->m.dir, temporary, 0);
	return status;
}

/* What was written is on the disk, then it leaves the queue. */
static int
flush(struct export *e, struct error *err)
{
	const char *ids[BATCH];

	if (e->count == 0)
		return 0;
	for (size_t i = 0; i < e->count; i++)
		ids[i] = e->ids[i];
	if (fsync(e->m.dir) < 0) {
		error_errno(err, "syncing %s", e->m.path);
		return -2;
	}
	if (move_each(&e->m, "exported", ids, e->count, err) < 0)
		return -1;
	e->m.moved += e->count;
	e->count = 0;
	return 0;
}

/* It goes on here, so no file of it may be left for another instance; where that cannot be made sure of it stays on hold. */
static void
stay(struct export *e, const char *id)
{
	char name[NAME_SIZE];
	struct error err;
	int gone;

	snprintf(name, sizeof(name), "%s.mail", id);
	gone = unlinkat(e->m.dir, name, 0);
	if ((gone == 0 && fsync(e->m.dir) < 0) || (gone < 0 && errno != ENOENT)) {
		fprintf(stderr, "postern: %s: left on hold: %s/%s cannot be removed: %s\n", id, e->m.path,
		    name, strerror(errno));
		return;
	}
	move_each(&e->m, "stay", &id, 1, &err);
}

/* Imported by somebody between two runs: whether it was sent from there is not known here. */
static bool
was_imported(struct export *e, const char *id)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%s.imported", id);
	return faccessat(e->m.dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int
take_row(struct export *e, struct span word, const char *id, struct error *err)
{
	int status;

	if (span_is(word, "busy") || span_is(word, "other")) {
		fprintf(stderr, "postern: %s: left out: %s\n", id,
		    span_is(word, "busy") ? "it is being delivered at this moment"
					  : "it is being exported or imported elsewhere");
		e->m.left++;
		return 0;
	}
	if (span_is(word, "again") && was_imported(e, id)) {
		fprintf(stderr,
		    "postern: %s: left on hold: %s.imported tells that it was imported already; delete the "
		    "message or the file\n",
		    id, id);
		e->m.left++;
		return 0;
	}
	status = write_one(e, id, err);
	if (status > 0) {
		fprintf(stderr, "postern: %s: left out: %s\n", id, e->m.text);
		e->m.left++;
		stay(e, id);
		return 0;
	}
	if (status < 0)
		return status;
	snprintf(e->ids[e->count++], QUEUE_ID_SIZE, "%s", id);
	return e->count == BATCH ? flush(e, err) : 0;
}

/* The disk is full, or the like: whatever was not written goes on as before. */
static void
give_up(struct export *e, struct span rest)
{
	struct span line, word;
	char id[QUEUE_ID_SIZE];

	while (span_next_line(&rest, &line))
		if (span_next_word(&line, " ", &word) && !span_is(word, "busy") && !span_is(word, "other") &&
		    span_copy(span_trim(line), id, sizeof(id)))
			stay(e, id);
}

static int
take_rows(struct export *e)
{
	struct span rest = buf_span(&e->rows), before, line, word;
	struct error err;
	char id[QUEUE_ID_SIZE];
	uint64_t number;
	int status = 0;

	while (status == 0 && (before = rest, span_next_line(&rest, &line))) {
		if (!span_next_word(&line, " ", &word) || !span_copy(span_trim(line), id, sizeof(id)) ||
		    queue_id_parse(span_of(id), &number) < 0)
			continue; /* progress */
		status = take_row(e, word, id, &err);
	}
	if (status == 0)
		status = flush(e, &err);
	if (status == -1)
		return move_lost(&e->m, &err);
	if (status == -2) {
		struct error again;

		/* Those that were written may have been renamed: they leave as wanted, if the directory can be synced. */
		if (flush(e, &again) < 0)
			for (size_t i = 0; i < e->count; i++)
				stay(e, e->ids[i]);
		give_up(e, before);
		return tool_fail(e->m.tool, EX_IOERR, "%s: %llu messages exported, the others stay", err.text,
		    (unsigned long long)e->m.moved);
	}
	printf("%llu message%s exported\n", (unsigned long long)e->m.moved, e->m.moved == 1 ? "" : "s");
	return e->m.left > 0 ? EX_TEMPFAIL : 0;
}

int
queue_export(struct tool *tool, struct span args, const char *dir)
{
	struct export *e = mem_alloc(sizeof(*e));
	struct error err;
	int status = move_open(&e->m, tool, dir, true);

	buf_init(&e->rows, ROWS_MAX);
	if (args.len == 0)
		args = SPAN_LIT("all=1\n");
	if (status == 0) {
		status = move_ask_all(&e->m, "export", SPAN_LIT("state=hold\npart=again\n"), &e->rows, &err);
		if (status == 0)
			status = move_ask_all(&e->m, "export", args, &e->rows, &err);
		if (status == 0)
			status = take_rows(e);
		else if (status < 0)
			status = move_lost(&e->m, &err);
		else
			tool_fail(tool, status, "%s", e->m.text);
	}
	move_close(&e->m);
	buf_free(&e->rows);
	free(e);
	return status;
}
