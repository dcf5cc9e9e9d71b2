#include "queue/log/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/octets.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "queue/log/disk.h"

/* Zeros are synced in portions: commits to the segment in use wait for what is on its way to the disk before them. */
enum { FILL_STEP = 1 << 20, FILL_PORTION = 8 << 20, HEADER_LEN = 72, SECOND_COPY = SEGMENT_HEADER_SIZE / 2 };

static const uint64_t size_max = (uint64_t)1 << 40;

static const char magic[8] = {'P', 'o', 's', 't', 'e', 'r', 'n', 'L'};

/* The header's own checksum needs no secret: it tells a torn page from a whole one. */
static const uint8_t header_key[16] = "postern-segment";

uint64_t
segment_size_for(int dir_fd)
{
	const uint64_t most = 64 << 20, least = 1 << 20;
	struct statvfs st;
	uint64_t size = most;

	if (disk.fstatvfs(dir_fd, &st) == 0 && (uint64_t)st.f_blocks * st.f_frsize / 16 < most)
		size = (uint64_t)st.f_blocks * st.f_frsize / 16;
	size -= size % SEGMENT_PAGE;
	return size < least ? least : size;
}

void
segment_name(unsigned slot, char name[16])
{
	snprintf(name, 16, "%06u", slot);
}

bool
segment_name_parse(const char *name, unsigned *slot)
{
	uint64_t number;
	char own[16];

	if (number_parse(span_of(name), 0, SEGMENT_SLOT_MAX, &number) < 0)
		return false;
	*slot = (unsigned)number;
	segment_name(*slot, own);
	return strcmp(name, own) == 0;
}

/* Within a sector, so that it is written whole or not at all; twice, so that one bad sector takes no segment along. */
static void
header_copy(const struct segment *s, uint8_t *at)
{
	memcpy(at, magic, sizeof(magic));
	octets_store(at + 8, SEGMENT_VERSION, 4);
	octets_store(at + 16, s->number, 8);
	octets_store(at + 24, s->first, 8);
	octets_store(at + 32, s->size, 8);
	octets_store(at + 40, s->id_high, 8);
	octets_store(at + 48, (uint64_t)s->spool_us, 8);
	memcpy(at + 56, s->salt, RECORD_SALT_SIZE);
	octets_store(at + HEADER_LEN, siphash(header_key, at, HEADER_LEN), 8);
}

void
segment_header(const struct segment *s, uint8_t page[SEGMENT_HEADER_SIZE])
{
	memset(page, 0, SEGMENT_HEADER_SIZE);
	header_copy(s, page);
	header_copy(s, page + SECOND_COPY);
}

static bool
is_header(const uint8_t *at)
{
	return memcmp(at, magic, sizeof(magic)) == 0 &&
	       octets_load(at + HEADER_LEN, 8) == siphash(header_key, at, HEADER_LEN);
}

/* Until version 2 there was one, its checksum at the end of the page. */
static bool
is_old_header(const uint8_t *page)
{
	return memcmp(page, magic, sizeof(magic)) == 0 && octets_load(page + 8, 4) <= 2 &&
	       octets_load(page + SEGMENT_HEADER_SIZE - 8, 8) ==
		   siphash(header_key, page, SEGMENT_HEADER_SIZE - 8);
}

static bool
is_zero(const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static int
header_read(struct segment *s, struct error *err)
{
	uint8_t page[SEGMENT_HEADER_SIZE];
	const uint8_t *at = page;
	ssize_t n = disk_read_all(s->fd, page, sizeof(page), 0);
	char name[16];

	segment_name(s->slot, name);
	if (n < 0)
		return error_errno(err, "reading segment %s", name);
	if (is_zero(page, (size_t)n))
		return SEGMENT_FREE;
	if (n < SEGMENT_HEADER_SIZE)
		return SEGMENT_DAMAGED;
	if (!is_header(at) && !is_header(at = page + SECOND_COPY) && !is_old_header(at = page))
		return SEGMENT_DAMAGED;
	if (octets_load(at + 8, 4) > SEGMENT_VERSION)
		return error_set(err, "segment %s has format %u, which this version does not know", name,
		    (unsigned)octets_load(at + 8, 4));
	s->number = octets_load(at + 16, 8);
	s->first = octets_load(at + 24, 8);
	s->id_high = octets_load(at + 40, 8);
	s->spool_us = (int64_t)octets_load(at + 48, 8);
	memcpy(s->salt, at + 56, RECORD_SALT_SIZE);
	/* Cut short, it has what it has; that it should be longer still than its place in the log cannot be. */
	if (s->first > UINT64_MAX / 4 || s->number > UINT64_MAX / 4 ||
	    octets_load(at + 32, 8) < SEGMENT_PAGE || octets_load(at + 32, 8) > size_max)
		return SEGMENT_DAMAGED;
	s->size = octets_load(at + 32, 8);
	return SEGMENT_USED;
}

int
segment_open(int dir_fd, unsigned slot, struct segment *s, struct error *err)
{
	char name[16];
	struct stat st;
	int got;

	memset(s, 0, sizeof(*s));
	s->slot = slot;
	segment_name(slot, name);
	s->fd = disk.openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	if (s->fd < 0 && errno == EROFS) {
		s->read_only = true;
		s->fd = disk.openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	}
	if (s->fd < 0)
		return error_errno(err, "opening segment %s", name);
	if (fstat(s->fd, &st) < 0) {
		got = error_errno(err, "segment %s", name);
	} else {
		s->size = (uint64_t)st.st_size;
		s->named = st.st_nlink > 0;
		got = header_read(s, err);
	}
	/* What a killed process only wrote is believed from now on: so it must outlive a power cut. */
	if (got > 0 && disk.fdatasync(s->fd) < 0)
		s->sync_error = errno;
	if (got < 0) {
		disk.close(s->fd);
		s->fd = -1;
	}
	return got;
}

int
segment_create(int dir_fd, unsigned slot, uint64_t size, struct segment *s, struct error *err)
{
	struct rlimit limit;
	struct stat st;
	char name[16];

	memset(s, 0, sizeof(*s));
	s->slot = slot;
	s->size = size;
	segment_name(slot, name);
	/* Else it would show when half of it is written. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size) {
		errno = EFBIG;
		return error_errno(err, "creating segment %s", name);
	}
	s->fd = disk.openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->fd < 0)
		return error_errno(err, "creating segment %s", name);
	s->named = fstat(s->fd, &st) == 0 && st.st_nlink > 0;
	return 0;
}

int
segment_fill_step(struct segment *s, uint64_t *done, struct error *err)
{
	static const uint8_t zeros[FILL_STEP];
	uint64_t left = s->size - *done;
	size_t len = left < FILL_STEP ? (size_t)left : FILL_STEP;

	if (len > 0 && disk_write_all(s->fd, zeros, len, (off_t)*done) < 0)
		return error_errno(err, "filling a new segment");
	*done += len;
	if (*done % FILL_PORTION == 0 && *done < s->size && disk.fdatasync(s->fd) < 0)
		return error_errno(err, "syncing a new segment");
	return *done < s->size;
}

int
segment_fill_end(struct segment *s, int dir_fd, struct error *err)
{
	if (disk.fsync(s->fd) < 0 || disk.fsync(dir_fd) < 0)
		return error_errno(err, "syncing a new segment");
	return 0;
}

/* The file system could not be written to when it was opened. */
static int
open_again(struct segment *s, int dir_fd)
{
	char name[16];
	int fd;

	segment_name(s->slot, name);
	fd = disk.openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return -1;
	disk.close(s->fd);
	s->fd = fd;
	s->read_only = false;
	return 0;
}

int
segment_erase(struct segment *s, int dir_fd, struct error *err)
{
	static const uint8_t zeros[SEGMENT_HEADER_SIZE];

	if (s->read_only && open_again(s, dir_fd) < 0)
		return error_errno(err, "opening segment %06u", s->slot);
	if (disk_write_all(s->fd, zeros, sizeof(zeros), 0) < 0 || disk.fdatasync(s->fd) < 0)
		return error_errno(err, "erasing segment %06u", s->slot);
	return 0;
}

bool
segment_is_gone(const struct segment *s)
{
	struct stat st;

	return s->named && fstat(s->fd, &st) == 0 && st.st_nlink == 0;
}
