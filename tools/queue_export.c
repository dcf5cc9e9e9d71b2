/*
 * postern queue export: what is wanted is put on hold, written, synced and only then taken out of the queue.
 *
 * A file is ID.part until its message is sealed (queue/control/transit.h), and ID.mail from then on. So what an interrupted
 * export leaves can be imported only if no other run writes it again.
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
	snprintf(name, sizeof(name), "%s.part", id);
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

static int
sync_names(struct export *e, struct error *err)
{
	if (fsync(e->m.dir) == 0)
		return 0;
	error_errno(err, "syncing %s", e->m.path);
	return -2;
}

/* Sealed, durably: another run does not write it again. */
static int
seal(struct export *e, const char *const *ids, size_t count, struct error *err)
{
	char args[64];
	int status = move_each(&e->m, "seal", ids, count, err) < 0 ? -1 : 0;

	for (size_t i = 0; i < count && status == 0; i++) {
		snprintf(args, sizeof(args), "part=again\nid=%s\n", ids[i]);
		status = move_ask_all(&e->m, "export-one", span_of(args), NULL, err);
		if (status > 0)
			status = error_set(err, "%s: %s", ids[i], e->m.text);
	}
	return status;
}

/* It may have come here through this directory: for an import what is left of that would mean that it has this one, too. */
static int
give_name(struct export *e, const char *id, struct error *err)
{
	char part[NAME_SIZE], name[NAME_SIZE], imported[NAME_SIZE];

	snprintf(part, sizeof(part), "%s.part", id);
	snprintf(name, sizeof(name), "%s.mail", id);
	snprintf(imported, sizeof(imported), "%s.imported", id);
	if (unlinkat(e->m.dir, imported, 0) < 0 && errno != ENOENT) {
		error_errno(err, "removing %s/%s", e->m.path, imported);
		return -2;
	}
	if (renameat(e->m.dir, part, e->m.dir, name) == 0)
		return 0;
	error_errno(err, "renaming %s/%s", e->m.path, part);
	return -2;
}

/* What was written is on the disk: it is sealed, has its name, and leaves the queue. From the seal on it cannot stay any more. */
static int
flush(struct export *e, struct error *err)
{
	const char *ids[BATCH];
	size_t count = e->count;
	int status = 0;

	if (count == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		ids[i] = e->ids[i];
	if (sync_names(e, err) < 0)
		return -2;
	e->count = 0;
	if (seal(e, ids, count, err) < 0)
		return -1;
	for (size_t i = 0; i < count && status == 0; i++)
		status = give_name(e, ids[i], err);
	if (status == 0)
		status = sync_names(e, err);
	if (status == 0 && move_each(&e->m, "exported", ids, count, err) < 0)
		status = -1;
	if (status == 0)
		e->m.moved += count;
	return status;
}

/* It goes on here, so no file of it may be left for another instance; where that cannot be made sure of it stays on hold. */
static void
stay(struct export *e, const char *id)
{
	char name[NAME_SIZE];
	struct error err;
	int gone;

	snprintf(name, sizeof(name), "%s.part", id);
	gone = unlinkat(e->m.dir, name, 0);
	if ((gone == 0 && fsync(e->m.dir) < 0) || (gone < 0 && errno != ENOENT)) {
		fprintf(stderr, "postern: %s: left on hold: %s/%s cannot be removed: %s\n", id, e->m.path,
		    name, strerror(errno));
		return;
	}
	move_each(&e->m, "stay", &id, 1, &err);
}

static bool
is_there(struct export *e, const char *id, const char *suffix)
{
	char name[NAME_SIZE];

	snprintf(name, sizeof(name), "%s.%s", id, suffix);
	return faccessat(e->m.dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* An earlier run sealed it and was interrupted: all but its name and its removal is done. */
static int
take_sealed(struct export *e, const char *id, struct error *err)
{
	if (is_there(e, id, "part") && (give_name(e, id, err) < 0 || sync_names(e, err) < 0))
		return -2;
	if (!is_there(e, id, "mail") && !is_there(e, id, "imported")) {
		fprintf(stderr,
		    "postern: %s: left on hold: it was exported, and its file is not in %s any more; delete "
		    "the "
		    "message if the file was or will be imported, else release it by its id\n",
		    id, e->m.path);
		e->m.left++;
		return 0;
	}
	if (move_each(&e->m, "exported", &id, 1, err) < 0)
		return -1;
	e->m.moved++;
	return 0;
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
	if (span_is(word, "sealed"))
		return take_sealed(e, id, err);
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
		    !span_is(word, "sealed") && span_copy(span_trim(line), id, sizeof(id)))
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

		/* Those that are whole leave as wanted, if the directory can be synced. */
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
