#include "tests/crash/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

struct recorder *recorder;

/* What a failed sync takes back: contents as they were before writes that no sync covered. */
enum { UNDO_MAX = 512 };

static struct undo {
	uint64_t object;
	off_t offset;
	size_t len;
	uint8_t *before;
} undo[UNDO_MAX];
static size_t undo_count;
static int undo_lock;

static void
lock(int *l)
{
	while (__atomic_exchange_n(l, 1, __ATOMIC_ACQUIRE))
		;
}

static void
unlock(int *l)
{
	__atomic_store_n(l, 0, __ATOMIC_RELEASE);
}

/* ---- writing it down ---- */

static bool
all_zero(const uint8_t *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static void
record(const struct operation *o, const void *data)
{
	struct recorder *r = recorder;
	size_t len = data && !all_zero(data, o->length) ? (size_t)o->length : 0;
	size_t whole = sizeof(*o) + (len + 7) / 8 * 8;
	struct operation *at;

	lock(&r->lock);
	if (r->used + whole > r->room) {
		r->full = true;
	} else {
		at = (struct operation *)((uint8_t *)(r + 1) + r->used);
		*at = *o;
		at->data_len = (uint32_t)len;
		if (len > 0)
			memcpy(at + 1, data, len);
		r->used += whole;
		r->count++;
	}
	unlock(&r->lock);
}

struct recorder *
recorder_new(uint64_t room)
{
	struct recorder *r = mmap(NULL, sizeof(*r) + room, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (r == MAP_FAILED)
		abort();
	r->room = room;
	return r;
}

const struct operation *
recorder_next(const struct recorder *r, const struct operation *o)
{
	const uint8_t *begin = (const uint8_t *)(r + 1), *at;

	at = o ? (const uint8_t *)(o + 1) + (o->data_len + 7) / 8 * 8 : begin;
	return at < begin + r->used ? (const struct operation *)at : NULL;
}

void
recorder_root(void)
{
	struct stat st;
	struct operation o = {.kind = RECORDED_ROOT};

	if (!recorder || stat(".", &st) < 0)
		return;
	o.object = st.st_ino;
	record(&o, NULL);
}

void
recorder_note(uint64_t object, uint64_t offset, uint64_t length, const void *data, uint32_t len)
{
	struct operation o = {.kind = RECORDED_NOTE, .object = object, .offset = offset, .length = length};

	(void)data;
	(void)len;
	if (recorder && recorder->on)
		record(&o, NULL);
}

/* In a preloaded process: the shared file, if this program is meant. */
__attribute__((constructor)) static void
attach(void)
{
	const char *path = getenv("POSTERN_RECORDER");
	struct recorder *r;
	struct stat st;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || (size_t)st.st_size < sizeof(*r))
		return;
	r = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (r == MAP_FAILED)
		return;
	if (r->program[0] == '\0' || strcmp(r->program, program_invocation_short_name) == 0)
		recorder = r;
}

/* ---- failing ---- */

/* This thread's call is the last one. */
static _Thread_local bool doomed;

/* Nothing is cleaned up, as with kill -9; and a sandbox allows it. */
static void
die(void)
{
	__atomic_add_fetch(&recorder->kills, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_exit_group, 137);
}

/* True: this call fails (errno is set), or with fail_errno 0 comes short. */
static bool
fails(enum call_kind kind)
{
	struct recorder *r = recorder;
	int64_t n;

	if (!r || !(r->kinds & kind))
		return false;
	n = __atomic_add_fetch(&r->calls, 1, __ATOMIC_SEQ_CST);
	if (r->kill_at != 0 && n == r->kill_at) {
		doomed = r->after;
		if (!doomed)
			die();
	}
	if (!r->always && (r->fail_at == 0 || n != r->fail_at))
		return false;
	r->failed = kind;
	errno = r->fail_errno;
	return true;
}

static bool
file_of(int fd, uint64_t *object, bool *is_dir)
{
	struct stat st;

	if (!recorder || fstat(fd, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
		return false;
	*object = st.st_ino;
	*is_dir = S_ISDIR(st.st_mode);
	return true;
}

static void
keep_for_undo(int fd, uint64_t object, size_t len, off_t offset)
{
	struct undo *u;
	ssize_t n;

	if (recorder->fail_at == 0 || len > 4 << 20)
		return;
	lock(&undo_lock);
	if (undo_count < UNDO_MAX) {
		u = &undo[undo_count++];
		*u = (struct undo){.object = object, .offset = offset, .before = calloc(1, len + 1)};
		n = syscall(SYS_pread64, fd, u->before, len, offset);
		u->len = n > 0 ? (size_t)n : 0;
	}
	unlock(&undo_lock);
}

/* All writes to that file since its last sync are forgotten; undone first if that sync failed. */
static void
undo_all(int fd, uint64_t object, bool failed)
{
	size_t kept = 0;

	lock(&undo_lock);
	for (size_t i = undo_count; failed && i-- > 0;)
		if (undo[i].object == object && undo[i].len > 0)
			(void)!syscall(SYS_pwrite64, fd, undo[i].before, undo[i].len, undo[i].offset);
	for (size_t i = 0; i < undo_count; i++) {
		if (undo[i].object == object)
			free(undo[i].before);
		else
			undo[kept++] = undo[i];
	}
	undo_count = kept;
	unlock(&undo_lock);
}

/* ---- reading and writing ---- */

ssize_t
pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	struct operation o = {.kind = RECORDED_WRITE, .offset = (uint64_t)offset};
	bool is_dir, is_file = file_of(fd, &o.object, &is_dir);
	ssize_t n;

	if (is_file && fails(CALL_WRITE)) {
		if (errno != 0)
			return -1;
		len = (len + 1) / 2;
	}
	if (is_file)
		keep_for_undo(fd, o.object, len, offset);
	n = syscall(SYS_pwrite64, fd, bytes, len, offset);
	if (doomed)
		die();
	if (n > 0 && is_file && recorder->on) {
		o.length = (uint64_t)n;
		record(&o, bytes);
	}
	return n;
}

ssize_t
pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
	return pwrite(fd, bytes, len, offset);
}

ssize_t
write(int fd, const void *bytes, size_t len)
{
	uint64_t object;
	bool is_dir;
	off_t at;
	ssize_t n;

	if (!file_of(fd, &object, &is_dir))
		return syscall(SYS_write, fd, bytes, len);
	at = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
	n = pwrite(fd, bytes, len, at);
	if (n > 0)
		lseek(fd, at + n, SEEK_SET);
	return n;
}

ssize_t
writev(int fd, const struct iovec *v, int count)
{
	uint64_t object;
	bool is_dir;
	ssize_t total = 0;

	if (!file_of(fd, &object, &is_dir))
		return syscall(SYS_writev, fd, v, count);
	for (int i = 0; i < count; i++) {
		ssize_t n = write(fd, v[i].iov_base, v[i].iov_len);

		if (n < 0)
			return total > 0 ? total : -1;
		total += n;
		if ((size_t)n < v[i].iov_len)
			break;
	}
	return total;
}

static size_t
read_len(int fd, size_t len, bool *failed)
{
	uint64_t object;
	bool is_dir;

	*failed = false;
	if (!recorder || !(recorder->kinds & CALL_READ) || !file_of(fd, &object, &is_dir) ||
	    !fails(CALL_READ))
		return len;
	*failed = errno != 0;
	return (len + 1) / 2;
}

ssize_t
pread(int fd, void *bytes, size_t len, off_t offset)
{
	bool failed;

	len = read_len(fd, len, &failed);
	return failed ? -1 : syscall(SYS_pread64, fd, bytes, len, offset);
}

ssize_t
pread64(int fd, void *bytes, size_t len, off_t offset)
{
	return pread(fd, bytes, len, offset);
}

ssize_t
read(int fd, void *bytes, size_t len)
{
	bool failed;

	len = read_len(fd, len, &failed);
	return failed ? -1 : syscall(SYS_read, fd, bytes, len);
}

/* ---- syncs ---- */

static int
sync_call(int number, int fd)
{
	struct operation o = {.kind = RECORDED_SYNC};
	bool is_dir, is_file = file_of(fd, &o.object, &is_dir);
	int status;

	if (is_file && fails(CALL_SYNC)) {
		int error = errno != 0 ? errno : EIO;

		if (!is_dir)
			undo_all(fd, o.object, true);
		errno = error;
		return -1;
	}
	status = (int)syscall(number, fd);
	if (doomed)
		die();
	if (status == 0 && is_file) {
		undo_all(fd, o.object, false);
		if (recorder->on)
			record(&o, NULL);
	}
	return status;
}

int
fdatasync(int fd)
{
	return sync_call(SYS_fdatasync, fd);
}

int
fsync(int fd)
{
	return sync_call(SYS_fsync, fd);
}

/* ---- names ---- */

/* The directory in which path's last part lies, and that part. */
static bool
parent_of(int dir, const char *path, uint64_t *parent, char name[64])
{
	const char *slash = strrchr(path, '/');
	char folder[256] = ".";
	struct stat st;

	if (slash && (size_t)(slash - path) < sizeof(folder)) {
		memcpy(folder, path, (size_t)(slash - path));
		folder[slash - path] = '\0';
	}
	if (slash == path)
		strncpy(folder, "/", sizeof(folder) - 1);
	if (fstatat(dir, folder, &st, 0) < 0)
		return false;
	*parent = st.st_ino;
	strncpy(name, slash ? slash + 1 : path, 63);
	name[63] = '\0';
	return true;
}

static int
open_call(int dir, const char *path, int flags, mode_t mode)
{
	struct operation o = {.kind = RECORDED_CREATE};
	struct stat st;
	bool made, is_dir;
	int fd;

	if (!recorder || path[0] == '/')
		return (int)syscall(SYS_openat, dir, path, flags, mode);
	if (fails(CALL_OPEN) && errno != 0)
		return -1;
	made = (flags & O_CREAT) && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0;
	fd = (int)syscall(SYS_openat, dir, path, flags, mode);
	if (fd < 0 || !recorder->on || !file_of(fd, &o.object, &is_dir) || is_dir)
		return fd;
	if (made && parent_of(dir, path, &o.parent, o.name)) {
		record(&o, NULL);
	} else if (flags & O_TRUNC) {
		o.kind = RECORDED_TRUNCATE;
		record(&o, NULL);
	}
	return fd;
}

#define MODE_OF(flags)                                                                                       \
	({                                                                                                   \
		mode_t mode_ = 0;                                                                            \
		if ((flags)&O_CREAT) {                                                                       \
			va_list ap_;                                                                         \
			va_start(ap_, flags);                                                                \
			mode_ = va_arg(ap_, mode_t);                                                         \
			va_end(ap_);                                                                         \
		}                                                                                            \
		mode_;                                                                                       \
	})

int
open(const char *path, int flags, ...)
{
	return open_call(AT_FDCWD, path, flags, MODE_OF(flags));
}

int
open64(const char *path, int flags, ...)
{
	return open_call(AT_FDCWD, path, flags, MODE_OF(flags));
}

int
openat(int dir, const char *path, int flags, ...)
{
	return open_call(dir, path, flags, MODE_OF(flags));
}

int
openat64(int dir, const char *path, int flags, ...)
{
	return open_call(dir, path, flags, MODE_OF(flags));
}

/* What glibc's fortification makes of calls without a mode. */
int __open_2(const char *path, int flags);
int
__open_2(const char *path, int flags)
{
	return open_call(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags);
int
__openat_2(int dir, const char *path, int flags)
{
	return open_call(dir, path, flags, 0);
}

int
mkdirat(int dir, const char *path, mode_t mode)
{
	struct operation o = {.kind = RECORDED_MKDIR};
	struct stat st;
	int status;

	if (fails(CALL_NAMES) && errno != 0)
		return -1;
	status = (int)syscall(SYS_mkdirat, dir, path, mode);
	if (status == 0 && recorder && recorder->on && parent_of(dir, path, &o.parent, o.name) &&
	    fstatat(dir, path, &st, 0) == 0) {
		o.object = st.st_ino;
		record(&o, NULL);
	}
	return status;
}

int
mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

int
unlinkat(int dir, const char *path, int flags)
{
	struct operation o = {.kind = RECORDED_UNLINK};
	bool known = recorder && recorder->on && parent_of(dir, path, &o.parent, o.name);
	int status;

	if (fails(CALL_NAMES) && errno != 0)
		return -1;
	status = (int)syscall(SYS_unlinkat, dir, path, flags);
	if (status == 0 && known)
		record(&o, NULL);
	return status;
}

int
unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int
rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int
renameat(int dir, const char *path, int dir2, const char *path2)
{
	struct operation o = {.kind = RECORDED_RENAME};
	struct stat st;
	bool known = recorder && recorder->on && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		     parent_of(dir, path, &o.parent, o.name) && parent_of(dir2, path2, &o.parent2, o.name2);
	int status;

	if (fails(CALL_NAMES) && errno != 0)
		return -1;
	status = (int)syscall(SYS_renameat, dir, path, dir2, path2);
	if (status == 0 && known) {
		o.object = st.st_ino;
		record(&o, NULL);
	}
	return status;
}

int
rename(const char *path, const char *path2)
{
	return renameat(AT_FDCWD, path, AT_FDCWD, path2);
}

int
linkat(int dir, const char *path, int dir2, const char *path2, int flags)
{
	struct operation o = {.kind = RECORDED_LINK};
	struct stat st;
	int status;

	if (fails(CALL_NAMES) && errno != 0)
		return -1;
	status = (int)syscall(SYS_linkat, dir, path, dir2, path2, flags);
	if (status == 0 && recorder && recorder->on && fstatat(dir2, path2, &st, 0) == 0 &&
	    parent_of(dir2, path2, &o.parent, o.name)) {
		o.object = st.st_ino;
		record(&o, NULL);
	}
	return status;
}

/* ---- sizes, the end ---- */

int
ftruncate(int fd, off_t length)
{
	struct operation o = {.kind = RECORDED_TRUNCATE, .length = (uint64_t)length};
	bool is_dir, is_file = file_of(fd, &o.object, &is_dir);
	int status;

	if (is_file && fails(CALL_SIZE) && errno != 0)
		return -1;
	status = (int)syscall(SYS_ftruncate, fd, length);
	if (status == 0 && is_file && recorder->on)
		record(&o, NULL);
	return status;
}

int
ftruncate64(int fd, off_t length)
{
	return ftruncate(fd, length);
}

int
close(int fd)
{
	uint64_t object;
	bool is_dir;
	bool failed = recorder && (recorder->kinds & CALL_CLOSE) && file_of(fd, &object, &is_dir) &&
		      fails(CALL_CLOSE) && errno != 0;
	int error = errno, status = (int)syscall(SYS_close, fd);

	if (!failed)
		return status;
	errno = error;
	return -1;
}
