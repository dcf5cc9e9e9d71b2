#include "services/pickup/drop_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/io.h"
#include "common/ipc/protocol.h"

enum { CHUNK_BYTES = 16384, STALE_SECONDS = 86400 };

/* Nothing is believed but what the open descriptor says. */
static enum drop_file_status
check(struct drop_file *f, struct stat *st, struct error *err)
{
	if (fstat(f->fd, st) < 0) {
		error_errno(err, "fstat");
		return DROP_FILE_BAD;
	}
	if (!S_ISREG(st->st_mode)) {
		error_set(err, "not a regular file");
		return DROP_FILE_BAD;
	}
	if (!(st->st_mode & S_IXUSR))
		return st->st_ctime + STALE_SECONDS < time(NULL) ? DROP_FILE_STALE : DROP_FILE_NOT_READY;
	if (st->st_nlink != 1) {
		error_set(err, "the file has %ju names", (uintmax_t)st->st_nlink);
		return DROP_FILE_BAD;
	}
	f->uid = st->st_uid;
	return DROP_FILE_OK;
}

/* Lines up to the empty one. Returns -1 with err. */
static int
read_envelope(struct drop_file *f, struct error *err)
{
	struct buf in;
	int result = 0;

	buf_init(&in, CHUNK_BYTES + DROP_LINE_MAX);
	while (result == 0) {
		char *room = buf_reserve(&in, CHUNK_BYTES);
		ptrdiff_t lf;
		ssize_t n = room ? io_pread_all(f->fd, room, CHUNK_BYTES, (off_t)(f->offset + in.len)) : 0;
		if (n <= 0) {
			result = error_set(err, "the envelope does not end");
			break;
		}
		buf_added(&in, (size_t)n);
		while (result == 0 && (lf = span_find(buf_span(&in), '\n')) >= 0) {
			result =
			    drop_envelope_line(&f->envelope, span_sub(buf_span(&in), 0, (size_t)lf), err);
			buf_consume(&in, (size_t)lf + 1);
			f->offset += (uint64_t)lf + 1;
		}
		if (result == 0 && in.len > DROP_LINE_MAX)
			result = error_set(err, "malformed line in the envelope");
	}
	buf_free(&in);
	return result < 0 ? -1 : 0;
}

enum drop_file_status
drop_file_open(struct drop_file *f, int directory, const char *name, struct arena *arena, struct error *err)
{
	enum drop_file_status status;
	struct stat st;

	*f = (struct drop_file){.fd = -1};
	drop_envelope_init(&f->envelope, arena);
	f->fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (f->fd < 0) {
		error_errno(err, "open");
		return errno == ENOENT ? DROP_FILE_NOT_READY : DROP_FILE_BAD;
	}
	status = check(f, &st, err);
	if (status == DROP_FILE_OK && read_envelope(f, err) < 0)
		status = DROP_FILE_BAD;
	if (status == DROP_FILE_OK && (uint64_t)st.st_size != f->offset + f->envelope.size) {
		error_set(err, "the file is not whole");
		status = DROP_FILE_BAD;
	}
	f->left = f->envelope.size;
	f->envelope.flags &= ~(uint32_t)(DROP_WAIT | DROP_VERBOSE); /* nobody waits any more */
	if (status != DROP_FILE_OK)
		io_close(&f->fd);
	return status;
}

ssize_t
drop_file_read(struct drop_file *f, char *bytes, size_t len)
{
	ssize_t n;

	if (len > f->left)
		len = (size_t)f->left;
	if (len == 0)
		return 0;
	n = io_pread_all(f->fd, bytes, len, (off_t)f->offset);
	if (n <= 0)
		return -1;
	f->offset += (uint64_t)n;
	f->left -= (uint64_t)n;
	return n;
}

void
drop_file_close(struct drop_file *f)
{
	io_close(&f->fd);
}
