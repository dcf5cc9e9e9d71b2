/*
 * postern queue import: each file is stored by queue, which checks it and holds the message; then it is renamed, and only then the
 * message goes on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/ipc/protocol.h"
#include "common/mail/queue_id.h"
#include "tools/queue_move.h"
#include "tools/queue_taker.h"

enum { PIECE = 61440, BATCH = 100, NAME_SIZE = 64, ROWS_MAX = 256 << 20 };

struct import {
	struct move m;
	char ids[BATCH][QUEUE_ID_SIZE];
	size_t count;
	uint64_t bad, parts;
	char **names;
	size_t name_count;
};

struct answer {
	uint8_t status;
	uint64_t id;
	char text[501];
};

/* Takes what queue said: credit, or (1) the answer. */
static int
take_frame(struct import *i, uint64_t *window, struct answer *a, struct error *err)
{
	struct ipc_frame frame;

	if (move_receive(&i->m, &frame, err) < 0)
		return -1;
	if (frame.type == IPC_SUBMIT_CREDIT) {
		*window += frame.submit_credit.octets;
		return 0;
	}
	if (frame.type == IPC_CONTROL_ROW)
		return 0;
	if (frame.type == IPC_CONTROL_DONE) {
		*a = (struct answer){.status = SUBMIT_TRY_LATER};
		span_copy(frame.control_done.text, a->text, sizeof(a->text));
		return 1;
	}
	*a = (struct answer){.status = frame.submit_answer.status, .id = frame.submit_answer.id};
	span_copy(frame.submit_answer.text, a->text, sizeof(a->text));
	return 1;
}

/* A file that ends too early is told of here: queue would wait for the rest. -2: it cannot be read. */
static int
send_file(struct import *i, int fd, uint64_t len, struct answer *a, struct error *err)
{
	uint64_t window = SUBMIT_WINDOW;
	char *piece = mem_alloc(PIECE);
	int status = 0;

	while (len > 0 && status == 0) {
		struct msg_submit_data data;
		size_t want = len < PIECE ? (size_t)len : PIECE;
		ssize_t n;

		if (window < want || frame_client_readable(&i->m.client)) {
			status = take_frame(i, &window, a, err);
			continue;
		}
		n = io_read_all(fd, piece, want);
		if (n != (ssize_t)want) {
			status = n < 0 ? error_errno(err, "reading it") : error_set(err, "it became shorter");
			status = -2;
			break;
		}
		data.bytes = span_make(piece, want);
		if (frame_client_send(&i->m.client, IPC_SUBMIT_DATA, i->m.call, &data, err) < 0)
			status = -1;
		window -= want;
		len -= want;
	}
	free(piece);
	while (status == 0)
		status = take_frame(i, &window, a, err);
	return status;
}

/* Its length must be what its head says, else the conversation would not end. */
static int
check_length(int fd, uint64_t *len, struct error *err)
{
	enum { HEAD_SIZE = 56, LENGTHS_AT = 24, SUM_SIZE = 8 };
	unsigned char head[HEAD_SIZE];
	struct stat st;
	uint64_t payload, content;

	if (fstat(fd, &st) < 0)
		return error_errno(err, "reading it");
	if (!S_ISREG(st.st_mode) || io_pread_all(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return error_set(err, "it is no exported message");
	*len = (uint64_t)st.st_size;
	payload = octets_load(head + LENGTHS_AT, 8);
	content = octets_load(head + LENGTHS_AT + 8, 8);
	if (memcmp(head, "postern mail ", 13) != 0)
		return error_set(err, "it is no exported message");
	if (memcmp(head + 13, "1\n", 3) != 0)
		return error_set(err, "it has a version that is not known here");
	if (payload > *len || content > *len || HEAD_SIZE + payload + content + SUM_SIZE != *len)
		return error_set(err, "it is damaged: its length is not what its head says");
	return 0;
}

/* Renamed and on the disk: now the messages go on. */
static int
flush(struct import *i, struct error *err)
{
	const char *ids[BATCH];

	if (i->count == 0)
		return 0;
	for (size_t k = 0; k < i->count; k++)
		ids[k] = i->ids[k];
	if (fsync(i->m.dir) < 0) {
		error_errno(err, "syncing %s", i->m.path);
		return -1;
	}
	if (move_each(&i->m, "imported", ids, i->count, err) < 0)
		return -1;
	i->m.moved += i->count;
	i->count = 0;
	return 0;
}

static int
stored(struct import *i, const char *name, uint64_t id, struct error *err)
{
	char text[QUEUE_ID_SIZE], to[NAME_SIZE];

	queue_id_format(id, text);
	if (strncmp(name, text, QUEUE_ID_LEN) != 0)
		printf("%s: its id is taken, it is now %s\n", name, text);
	snprintf(to, sizeof(to), "%s.imported", text);
	if (renameat(i->m.dir, name, i->m.dir, to) < 0) {
		error_errno(err, "renaming %s/%s", i->m.path, name);
		return -1;
	}
	snprintf(i->ids[i->count++], QUEUE_ID_SIZE, "%s", text);
	return i->count == BATCH ? flush(i, err) : 0;
}

static int
refused(struct import *i, const char *name, const char *why)
{
	if (strncmp(why, "there", 5) == 0)
		fprintf(stderr, "postern: %s: skipped: %s\n", name,
		    strncmp(why, "there: ", 7) == 0
			? why + 7
			: "it is in the queue already, being exported or imported");
	else
		fprintf(stderr, "postern: %s: not imported: %s\n", name, why);
	if (strncmp(why, "there: ", 7) == 0)
		i->m.left++;
	else
		i->bad++;
	return 0;
}

static int
import_one(struct import *i, const char *name, struct error *err)
{
	int fd = openat(i->m.dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), status;
	struct answer a = {.status = SUBMIT_TRY_LATER};
	char imported[NAME_SIZE];
	uint64_t len = 0;

	/* Copied here a second time. */
	snprintf(imported, sizeof(imported), "%.*s.imported", (int)QUEUE_ID_LEN, name);
	if (fd >= 0 && faccessat(i->m.dir, imported, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		io_close(&fd);
		return refused(i, name, "there: it was imported already");
	}
	if (fd < 0)
		return refused(i, name, strerror(errno));
	if (check_length(fd, &len, err) < 0) {
		io_close(&fd);
		return refused(i, name, err->text);
	}
	status = move_ask(&i->m, "import-one", SPAN_LIT(""), err) < 0 ? -1 : send_file(i, fd, len, &a, err);
	io_close(&fd);
	if (status < 0)
		return -1;
	return a.status == SUBMIT_OK ? stored(i, name, a.id, err) : refused(i, name, a.text);
}

/* What an earlier run renamed, and did not come to let go on. */
static int
finish_earlier(struct import *i, struct error *err)
{
	struct buf rows;
	struct span rest, line, word;
	char id[QUEUE_ID_SIZE], name[NAME_SIZE];
	int status;

	buf_init(&rows, ROWS_MAX);
	status = move_ask_all(&i->m, "importing", SPAN_LIT("state=hold\n"), &rows, err);
	if (status > 0)
		error_set(err, "%s", i->m.text);
	rest = buf_span(&rows);
	while (status == 0 && span_next_line(&rest, &line)) {
		if (!span_next_word(&line, " ", &word) || !span_is(word, "again") ||
		    !span_copy(span_trim(line), id, sizeof(id)))
			continue;
		snprintf(name, sizeof(name), "%s.imported", id);
		if (faccessat(i->m.dir, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* its file is still to come */
		snprintf(i->ids[i->count++], QUEUE_ID_SIZE, "%s", id);
		if (i->count == BATCH)
			status = flush(i, err);
	}
	if (status == 0)
		status = flush(i, err);
	buf_free(&rows);
	return status == 0 ? 0 : -1;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Oldest first. */
static int
read_names(struct import *i, struct error *err)
{
	DIR *d = fdopendir(dup(i->m.dir));
	const struct dirent *e;
	uint64_t id;

	if (!d)
		return error_errno(err, "reading %s", i->m.path);
	while ((e = readdir(d))) {
		struct span name = span_of(e->d_name);

		i->parts += span_ends_nocase(name, ".part");
		if (!span_ends_nocase(name, ".mail"))
			continue;
		/* By its name it is known which was imported already: another one might be sent twice. */
		if (queue_id_parse(span_sub(name, 0, name.len - 5), &id) < 0) {
			refused(i, e->d_name, "its name is not ID.mail, as it was exported");
			continue;
		}
		if (i->name_count % 1024 == 0)
			i->names = mem_resize(i->names, (i->name_count + 1024) * sizeof(char *));
		i->names[i->name_count++] = mem_strdup(e->d_name);
	}
	closedir(d);
	if (i->name_count > 1)
		qsort(i->names, i->name_count, sizeof(char *), compare);
	return 0;
}

static int
run(struct import *i)
{
	struct error err;
	int status = finish_earlier(i, &err) < 0 || read_names(i, &err) < 0 ? -1 : 0;

	for (size_t k = 0; k < i->name_count && status == 0; k++)
		status = import_one(i, i->names[k], &err);
	if (status == 0)
		status = flush(i, &err);
	if (status < 0)
		return move_lost(&i->m, &err);
	queue_taker_end(&i->m);
	printf("%llu message%s imported", (unsigned long long)i->m.moved, i->m.moved == 1 ? "" : "s");
	if (i->m.left > 0)
		printf(", %llu skipped", (unsigned long long)i->m.left);
	printf("\n");
	if (i->parts > 0)
		fprintf(stderr,
		    "postern: %llu files (.part) are of an export that was interrupted: run it again where "
		    "they come "
		    "from\n",
		    (unsigned long long)i->parts);
	return i->bad > 0 ? EX_DATAERR : i->parts > 0 ? EX_TEMPFAIL : 0;
}

int
queue_import(struct tool *tool, const char *dir)
{
	struct import *i = mem_alloc(sizeof(*i));
	int status;

	tool->brings_mail = true;
	status = move_open(&i->m, tool, dir, false);

	if (status == 0)
		status = queue_taker_begin(&i->m);
	if (status == 0)
		status = run(i);
	move_close(&i->m);
	for (size_t k = 0; k < i->name_count; k++)
		free(i->names[k]);
	free(i->names);
	free(i);
	return status;
}
