/*
 * hostile: preloaded into a program of a test, it makes of it a peer that somebody has taken: what it says to Postern's other
 * processes (common/ipc) is repeated, left out, cut, said of other conversations, with other numbers and texts, or made up.
 *
 * The file POSTERN_HOSTILE says how often (struct hostile below), and may be changed at any moment.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* often: of 1000 frames. only: the type that is bent, 0: all. number: what its first 64 bits are then, and nothing else; 0: the dice. */
struct hostile {
	uint32_t seed, often, only, count;
	uint64_t number;
	uint32_t as, times; /* as: behind it comes so often a note of this type, with number's octets */
};

enum { FRAME_MAX = 65536, FDS = 1024, HEADER = 12, HAS_FD = 0x10000 };
enum { U8 = 1, U32 = 4, U64 = 8, TEXT = 100, BYTES, DESCRIPTOR };
enum { KIND_ASK, KIND_MORE, KIND_PART, KIND_ANSWER, KIND_NOTE };

struct field {
	int kind;
	uint32_t max;
};

static const struct {
	int kind;
	struct field fields[40];
} types[] = {
    {0, {{0, 0}}}, /* no type has the number 0 */
#define MESSAGE(NAME, name, kind)                                                                            \
	{                                                                                                    \
		KIND_##kind,                                                                                 \
		{
#define U8(message, field) {U8, 0},
#define U32(message, field) {U32, 0},
#define U64(message, field) {U64, 0},
#define I64(message, field) {U64, 0},
#define TEXT(message, field, max) {TEXT, max},
#define BYTES(message, field, max) {BYTES, max},
#define FD(message, field) {DESCRIPTOR, 0},
#define END(name)                                                                                            \
	{                                                                                                    \
		0, 0                                                                                         \
	}                                                                                                    \
	}                                                                                                    \
	}                                                                                                    \
	,
#include "common/ipc/messages.def"
};

enum { TYPES = sizeof(types) / sizeof(*types) };

/* What a connection has said so far of a frame that is not whole yet. */
static struct stream {
	uint8_t *bytes;
	size_t len;
	bool begun; /* HELLO was said */
} streams[FDS];

static struct hostile *hostile;
static uint64_t state;
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("POSTERN_HOSTILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *at =
	    fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*hostile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (at != MAP_FAILED)
		hostile = at;
	*(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
}

static uint64_t
dice(uint64_t sides)
{
	if (state == 0)
		state = (hostile->seed + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid() << 20;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return sides ? (state >> 11) % sides : 0;
}

/* ---- the kernel ---- */

static void
say(int fd, const uint8_t *bytes, size_t len, int descriptor)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec vector = {(void *)(uintptr_t)bytes, len};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (descriptor >= 0) {
		struct cmsghdr *c;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &descriptor, sizeof(descriptor));
	}
	while (vector.iov_len > 0) {
		ssize_t n = real_sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EINTR && (errno != EAGAIN || poll(&p, 1, 2000) <= 0))
			return;
		if (n < 0)
			continue;
		vector.iov_base = (char *)vector.iov_base + n;
		vector.iov_len -= (size_t)n;
		message.msg_control = NULL;
		message.msg_controllen = 0;
	}
}

/* ---- frames ---- */

static uint64_t
some_number(void)
{
	static const uint64_t numbers[] = {0, 1, 2, 7, 63, 64, 255, 256, 4095, 4096, 65535, 65536, 0x7fffffff,
	    0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff,
	    0x660ef00000000000, 0xe92cc00000000000};

	return dice(3) ? numbers[dice(sizeof(numbers) / sizeof(*numbers))] : dice(0x7fffffffffffffff);
}

static size_t
some_text(uint8_t *to, uint32_t max, bool bytes)
{
	static const char *const texts[] = {"", "x", "a@b.test", "@", "<>", "../../../etc/passwd",
	    "/etc/shadow", "%s%n%n", "smtp", "local", "hash:/etc/passwd", "inline:{ { a = b } }",
	    "pcre:/etc/x", "static:all", "root", "0", "-1", "\r\n", "5.1.1", "2.0.0", "\xff\xfe\xfd",
	    "\"\"@x", "a b\tc", "|/bin/sh", "/tmp/x", ":include:/etc/passwd", "127.0.0.1", "[::1]:25",
	    "mx.here.test", "alice@here.test", "relay", "error", "lmtp:unix:/x", "{", "}", "$(x)", "${x?y}"};
	const char *text = texts[dice(sizeof(texts) / sizeof(*texts))];
	size_t len = strlen(text);

	if (dice(8) == 0) { /* as long as may be, or one more */
		len = max + (dice(10) == 0);
		if (len > 60000)
			len = 60000;
		for (size_t i = 0; i < len; i++)
			to[i] = bytes ? (uint8_t)dice(256) : (uint8_t)("ab.@<>/:"[dice(8)]);
		return len;
	}
	if (len > max)
		len = max;
	memcpy(to, text, len);
	return len;
}

/* The frame anew, with field number `other` (or, -1, all) as the dice have it. Returns its length, 0 if it makes no sense. */
static size_t
bend(const uint8_t *frame, size_t size, uint32_t type, int other, uint8_t *out)
{
	const uint8_t *at = frame + HEADER, *end = frame + size;
	uint8_t *to = out + HEADER;
	uint32_t header[3];
	uint16_t len;

	memcpy(out, frame, HEADER);
	for (int i = 0; types[type].fields[i].kind != 0; i++) {
		int kind = types[type].fields[i].kind;
		bool changed = other < 0 || i == other;
		uint64_t number = some_number();

		if (kind == DESCRIPTOR)
			continue;
		if ((size_t)(to - out) + 62000 > 2 * FRAME_MAX)
			return 0;
		if (kind == TEXT || kind == BYTES) {
			if (!changed) {
				if (end - at < 2)
					return 0;
				memcpy(&len, at, 2);
				if (len > end - at - 2)
					return 0;
				memcpy(to, at, len + 2u);
			} else {
				len = (uint16_t)some_text(to + 2, types[type].fields[i].max, kind == BYTES);
				memcpy(to, &len, 2);
			}
			if (other >= 0 && end - at >= 2) {
				uint16_t old;

				memcpy(&old, at, 2);
				at += 2 + (old > end - at - 2 ? end - at - 2 : old);
			}
			to += 2 + len;
			continue;
		}
		if (!changed && end - at < kind)
			return 0;
		memcpy(to, changed ? (uint8_t *)&number : at, (size_t)kind);
		to += kind;
		if (other >= 0)
			at += kind;
	}
	if (to - out > FRAME_MAX)
		return 0;
	memcpy(header, out, HEADER);
	header[0] = (uint32_t)(to - out);
	header[1] = type;
	memcpy(out, header, HEADER);
	return header[0];
}

static int
count_fields(uint32_t type)
{
	int n = 0;

	while (types[type].fields[n].kind != 0)
		n++;
	return n;
}

static uint32_t
another_type(uint32_t type)
{
	uint32_t other = 2 + (uint32_t)dice(TYPES - 2);

	while (dice(4) && types[other].kind != types[type].kind)
		other = 2 + (uint32_t)dice(TYPES - 2);
	return other;
}

static void
say_notes(int fd)
{
	uint8_t note[HEADER + 64] = {0};
	uint32_t header[3] = {HEADER, hostile->as, 0};

	for (const struct field *f = types[hostile->as].fields;
	     f->kind == U8 || f->kind == U32 || f->kind == U64; f++)
		header[0] += (uint32_t)f->kind;
	memcpy(note, header, HEADER);
	memcpy(note + HEADER, &hostile->number, sizeof(hostile->number));
	for (uint32_t i = 0; i < hostile->times; i++)
		say(fd, note, header[0], -1);
}

static void
bend_frame(int fd, uint8_t *frame, size_t size, int descriptor)
{
	static uint8_t out[2 * FRAME_MAX + 65536];
	uint32_t header[3], type;
	size_t made;
	int null;

	memcpy(header, frame, HEADER);
	type = header[1] & 0xffff;
	__atomic_add_fetch(&hostile->count, 1, __ATOMIC_RELAXED);
	if (hostile->as != 0) {
		say(fd, frame, size, descriptor);
		say_notes(fd);
		return;
	}
	if (hostile->number != 0) {
		memcpy(frame + HEADER, &hostile->number, sizeof(hostile->number));
		say(fd, frame, size, descriptor);
		return;
	}
	switch (dice(16)) {
	case 0:
		say(fd, frame, size, descriptor);
		say(fd, frame, size, descriptor);
		return;
	case 1:
		return;
	case 2:
		header[2] = dice(2) ? header[2] + 1 - 2 * (uint32_t)dice(2) : (uint32_t)some_number();
		memcpy(frame, header, HEADER);
		break;
	case 3:
		if (size > HEADER)
			frame[HEADER + dice(size - HEADER)] ^= (uint8_t)(1 << dice(8));
		break;
	case 4:
		frame[dice(HEADER)] ^= (uint8_t)(1 << dice(8));
		break;
	case 5: /* a descriptor that nobody asked for */
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		header[1] |= dice(2) ? HAS_FD : 0;
		memcpy(frame, header, HEADER);
		say(fd, frame, size, null >= 0 ? null : 0);
		if (null >= 0)
			close(null);
		return;
	case 6:
		descriptor = -1;
		break;
	case 7:
	case 8: /* one more, made up; with its conversation, or another */
		say(fd, frame, size, descriptor);
		if (dice(2))
			header[2] += (uint32_t)dice(3);
		type = another_type(type);
		header[2] = types[type].kind == KIND_NOTE ? 0 : header[2] ? header[2] : 1;
		memcpy(frame, header, HEADER);
		if ((made = bend(frame, size, type, -1, out)) > 0)
			say(fd, out, made, -1);
		return;
	case 9:
		if ((made = bend(frame, size, type, -1, out)) > 0)
			say(fd, out, made, descriptor);
		return;
	default:
		made = count_fields(type)
			   ? bend(frame, size, type, (int)dice((uint64_t)count_fields(type)), out)
			   : 0;
		if (made > 0 && (header[1] & HAS_FD)) {
			header[0] = (uint32_t)made;
			memcpy(out, header, HEADER);
		}
		if (made > 0)
			say(fd, out, made, descriptor);
		else
			say(fd, frame, size, descriptor);
		return;
	}
	say(fd, frame, size, descriptor);
}

/* All whole frames; the descriptor belongs to the first. */
static void
pass_on(int fd, struct stream *s, int descriptor)
{
	size_t done = 0;

	while (s->len - done >= HEADER) {
		uint8_t *frame = s->bytes + done;
		uint32_t header[3], type;

		memcpy(header, frame, HEADER);
		if (header[0] < HEADER || header[0] > FRAME_MAX || s->len - done < header[0])
			break;
		type = header[1] & 0xffff;
		if (s->begun && type < TYPES && (hostile->only == 0 || hostile->only == type) &&
		    dice(1000) < hostile->often)
			bend_frame(fd, frame, header[0], descriptor);
		else
			say(fd, frame, header[0], descriptor);
		s->begun = true;
		descriptor = -1;
		done += header[0];
	}
	memmove(s->bytes, s->bytes + done, s->len - done);
	s->len -= done;
	if (s->len == 0 && s->begun) {
		free(s->bytes);
		s->bytes = NULL;
	}
}

static bool
is_internal(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	int type = 0;
	socklen_t type_len = sizeof(type);

	return fd >= 0 && fd < FDS && getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
	       a.ss_family == AF_UNIX && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 &&
	       type == SOCK_STREAM;
}

ssize_t
sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct stream *s = fd >= 0 && fd < FDS ? &streams[fd] : NULL;
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	size_t total = 0;
	int descriptor = -1;

	if (!hostile || !is_internal(fd))
		return real_sendmsg(fd, message, flags);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&descriptor, CMSG_DATA(c), sizeof(descriptor));
	for (size_t i = 0; i < message->msg_iovlen; i++)
		total += message->msg_iov[i].iov_len;
	s->bytes = realloc(s->bytes, s->len + total);
	if (!s->bytes)
		abort();
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		memcpy(s->bytes + s->len, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
		s->len += message->msg_iov[i].iov_len;
	}
	pass_on(fd, s, descriptor);
	return (ssize_t)total;
}

/* A number that is used again is another connection. */
int
close(int fd)
{
	static int (*real_close)(int);

	if (!real_close)
		*(void **)&real_close = dlsym(RTLD_NEXT, "close");
	if (fd >= 0 && fd < FDS) {
		free(streams[fd].bytes);
		streams[fd] = (struct stream){0};
	}
	return real_close(fd);
}
