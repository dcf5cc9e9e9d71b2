/*
 * recorder: what a process does to its files, kept in memory that outlives it; and calls that fail, or end the process,
 * where a test says so.
 *
 * The same source is linked into the crash programs (its calls stand in front of libc's, for Berkeley DB too) and
 * made into a library that is preloaded into the installed programs. There POSTERN_RECORDER names a file with a struct
 * recorder, mapped before the sandbox closes: after that a call here makes the system call that libc would make and
 * fstat, and nothing else.
 */
#ifndef POSTERN_TESTS_CRASH_RECORDER_H
#define POSTERN_TESTS_CRASH_RECORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum recorded {
	RECORDED_ROOT = 1, /* object: the directory in which all happens */
	RECORDED_CREATE, /* name in parent is now object, an empty file */
	RECORDED_MKDIR,
	RECORDED_UNLINK, /* rmdir too */
	RECORDED_RENAME, /* parent/name became parent2/name2; object */
	RECORDED_LINK, /* object is parent/name too */
	RECORDED_WRITE, /* length octets at offset; data_len 0: they are zeros */
	RECORDED_TRUNCATE, /* to length */
	RECORDED_SYNC, /* of a file or a directory */
	RECORDED_NOTE /* what the test wants to know at this place: object, offset and length are its own */
};

struct operation {
	uint32_t kind;
	uint32_t data_len;
	uint64_t object, parent, parent2;
	uint64_t offset, length;
	char name[64], name2[64];
	/* data follows, padded to 8 */
};

/* Which calls count, for those that fail or end the process. */
enum call_kind {
	CALL_WRITE = 1 << 0,
	CALL_SYNC = 1 << 1,
	CALL_OPEN = 1 << 2,
	CALL_READ = 1 << 3,
	CALL_NAMES = 1 << 4, /* unlink, rename, link, mkdir */
	CALL_SIZE = 1 << 5, /* ftruncate, fallocate */
	CALL_CLOSE = 1 << 6,
	CALL_ANY = (1 << 7) - 1
};

struct recorder {
	/* Settings: of the test. */
	bool on; /* record */
	bool after; /* the process ends behind the call, not before it (CALL_WRITE and CALL_SYNC) */
	bool always; /* all that are counted fail with fail_errno, for as long as this is set */
	uint32_t kinds; /* of the calls that are counted */
	int64_t kill_at; /* the process ends before the n-th of them; 0: never */
	int64_t fail_at; /* the n-th of them fails */
	int32_t fail_errno; /* 0: a short count instead */
	char program[32]; /* in preloaded processes: only in this one, "" for all */

	/* Results. */
	int64_t calls;
	int64_t failed; /* which kind did, enum call_kind */
	int64_t kills;
	uint64_t count, used;
	int32_t lock;
	bool full;

	uint64_t room;
	uint64_t pad[1];
	/* operations follow */
};

extern struct recorder *recorder; /* NULL: calls pass through */

/* A new one with that much room, in memory shared with children. */
struct recorder *recorder_new(uint64_t room);

/* The current directory is the root of what is recorded. */
void recorder_root(void);
void recorder_note(uint64_t object, uint64_t offset, uint64_t length, const void *data, uint32_t len);

/* The operation behind o, or the first for NULL; NULL at the end. */
const struct operation *recorder_next(const struct recorder *r, const struct operation *o);

static inline const uint8_t *
operation_data(const struct operation *o)
{
	return (const uint8_t *)(o + 1);
}

#endif
