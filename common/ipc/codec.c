#include "common/ipc/codec.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/table.h"

enum field_kind { FIELD_END, FIELD_U8, FIELD_U32, FIELD_U64, FIELD_I64, FIELD_TEXT, FIELD_BYTES, FIELD_FD };

struct field {
	enum field_kind kind;
	uint32_t max;
	size_t offset;
	const char *name;
	bool secret;
};

struct description {
	const char *name;
	enum ipc_kind kind;
	const struct field *fields;
	bool secret; /* one of them is */
};

/* The second word of the header: the type, and this bit when a descriptor rides along. */
#define FRAME_HAS_FD 0x10000u

/* One array of fields for each message. */
#define ROW(message, field, kind, max) {kind, max, offsetof(struct msg_##message, field), #field, false},
#define SECRET_ROW(message, field, kind, max)                                                                \
	{kind, max, offsetof(struct msg_##message, field), #field, true},
#define MESSAGE(NAME, name, kind) static const struct field fields_##name[] = {
#define U8(message, field) ROW(message, field, FIELD_U8, 0)
#define U32(message, field) ROW(message, field, FIELD_U32, 0)
#define U64(message, field) ROW(message, field, FIELD_U64, 0)
#define I64(message, field) ROW(message, field, FIELD_I64, 0)
#define TEXT(message, field, max) ROW(message, field, FIELD_TEXT, max)
#define BYTES(message, field, max) ROW(message, field, FIELD_BYTES, max)
#define SECRET(message, field, max) SECRET_ROW(message, field, FIELD_TEXT, max)
#define SECRET_BYTES(message, field, max) SECRET_ROW(message, field, FIELD_BYTES, max)
#define FD(message, field) ROW(message, field, FIELD_FD, 0)
#define END(name)                                                                                            \
	{                                                                                                    \
		FIELD_END, 0, 0, NULL, false                                                                 \
	}                                                                                                    \
	}                                                                                                    \
	;
#include "common/ipc/messages.def"
#undef ROW
#undef SECRET_ROW

/* No message of the table can outgrow a frame. */
#define MESSAGE(NAME, name, kind) enum { LARGEST_##name = IPC_HEADER_SIZE
#define U8(message, field) +1
#define U32(message, field) +4
#define U64(message, field) +8
#define I64(message, field) +8
#define TEXT(message, field, max) +2 + max
#define BYTES(message, field, max) +2 + max
#define END(name)                                                                                            \
	}                                                                                                    \
	;                                                                                                    \
	_Static_assert((int)LARGEST_##name <= (int)IPC_FRAME_MAX, "message " #name " is larger than a "      \
								  "frame");
#include "common/ipc/messages.def"

/* HAS_SECRET_name: 0 or 1. */
#define MESSAGE(NAME, name, kind) enum { HAS_SECRET_##name = 0
#define SECRET(message, field, max) | 1
#define SECRET_BYTES(message, field, max) | 1
#define END(name)                                                                                            \
	}                                                                                                    \
	;
#include "common/ipc/messages.def"

/* The whole table as text: its hash is the version. */
#define MESSAGE(NAME, name, kind) "message " #NAME " " #kind ";"
#define U8(message, field) "u8 " #field ";"
#define U32(message, field) "u32 " #field ";"
#define U64(message, field) "u64 " #field ";"
#define I64(message, field) "i64 " #field ";"
#define TEXT(message, field, max) "text " #field " " #max ";"
#define BYTES(message, field, max) "bytes " #field " " #max ";"
#define FD(message, field) "fd " #field ";"
#define REPLY(NAME, ASKED) "reply " #NAME " " #ASKED ";"
static const char table_text[] =
#include "common/ipc/messages.def"
    ;

#define MESSAGE(NAME, name, kind) [IPC_##NAME] = {#NAME, IPC_KIND_##kind, fields_##name, HAS_SECRET_##name},
static const struct description descriptions[IPC_TYPE_COUNT] = {
    [IPC_NONE] = {"NONE", IPC_KIND_NOTE, NULL, false},
#include "common/ipc/messages.def"
};

const char *
ipc_type_name(enum ipc_type type)
{
	return (unsigned)type < IPC_TYPE_COUNT ? descriptions[type].name : "unknown";
}

enum ipc_kind
codec_kind(enum ipc_type type)
{
	return descriptions[type].kind;
}

bool
codec_replies(enum ipc_type type, enum ipc_type asked)
{
	switch ((unsigned)asked << 16 | (unsigned)type) {
#define REPLY(NAME, ASKED) case (unsigned)IPC_##ASKED << 16 | (unsigned)IPC_##NAME:
#include "common/ipc/messages.def"
		return true;
	default:
		return false;
	}
}

bool
codec_secret(enum ipc_type type)
{
	return descriptions[type].secret;
}

bool
codec_may_be_secret(struct span frame)
{
	uint32_t header[2];

	if (frame.len < sizeof(header))
		return frame.len > 0;
	memcpy(header, frame.ptr, sizeof(header));
	header[1] &= ~FRAME_HAS_FD;
	return header[1] >= IPC_TYPE_COUNT || descriptions[header[1]].secret;
}

uint64_t
ipc_hash(void)
{
	static const uint8_t key[16];

	return siphash(key, table_text, sizeof(table_text) - 1);
}

static const struct span *
span_at(const void *message, const struct field *f)
{
	return (const struct span *)(const void *)((const char *)message + f->offset);
}

size_t
codec_size(enum ipc_type type, const void *message, struct error *err)
{
	const struct description *d = &descriptions[type];
	size_t size = IPC_HEADER_SIZE;

	for (const struct field *f = d->fields; f->kind != FIELD_END; f++) {
		const struct span *s;

		switch (f->kind) {
		case FIELD_U8:
			size += 1;
			break;
		case FIELD_U32:
			size += 4;
			break;
		case FIELD_U64:
		case FIELD_I64:
			size += 8;
			break;
		case FIELD_TEXT:
		case FIELD_BYTES:
			s = span_at(message, f);
			if (s->len > f->max) {
				error_set(err, "%s.%s has %zu octets, over its bound of %u", d->name, f->name,
				    s->len, f->max);
				return 0;
			}
			if (f->kind == FIELD_TEXT && s->len > 0 && memchr(s->ptr, 0, s->len)) {
				error_set(err, "%s.%s holds a NUL", d->name, f->name);
				return 0;
			}
			size += 2 + s->len;
			break;
		case FIELD_FD:
		case FIELD_END:
			break;
		}
	}
	return size;
}

static char *
put(char *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	return to + len;
}

void
codec_write(char *to, size_t size, enum ipc_type type, uint32_t call, const void *message)
{
	uint32_t header[3] = {(uint32_t)size, (uint32_t)type, call};
	uint16_t len;

	if (codec_fd(type, message) >= 0)
		header[1] |= FRAME_HAS_FD;
	to = put(to, header, sizeof(header));
	for (const struct field *f = descriptions[type].fields; f->kind != FIELD_END; f++) {
		const char *from = (const char *)message + f->offset;

		switch (f->kind) {
		case FIELD_U8:
			to = put(to, from, 1);
			break;
		case FIELD_U32:
			to = put(to, from, 4);
			break;
		case FIELD_U64:
		case FIELD_I64:
			to = put(to, from, 8);
			break;
		case FIELD_TEXT:
		case FIELD_BYTES:
			len = (uint16_t)span_at(message, f)->len;
			to = put(to, &len, sizeof(len));
			if (len > 0)
				to = put(to, span_at(message, f)->ptr, len);
			break;
		case FIELD_FD:
		case FIELD_END:
			break;
		}
	}
}

int
codec_fd(enum ipc_type type, const void *message)
{
	const struct field *f = descriptions[type].fields;
	int fd = -1;

	/* An FD field is the last one of its message. */
	while (f->kind != FIELD_END && f->kind != FIELD_FD)
		f++;
	if (f->kind == FIELD_FD)
		memcpy(&fd, (const char *)message + f->offset, sizeof(fd));
	return fd;
}

int
codec_set_fd(struct ipc_frame *frame, int fd)
{
	const struct field *f = descriptions[frame->type].fields;

	while (f->kind != FIELD_END && f->kind != FIELD_FD)
		f++;
	if (f->kind != FIELD_FD)
		return -1;
	memcpy((char *)&frame->hello + f->offset, &fd, sizeof(fd));
	return 0;
}

int
ipc_encode(struct buf *out, enum ipc_type type, uint32_t call, const void *message)
{
	struct error ignored;
	size_t size = codec_size(type, message, &ignored);
	char *to = size > 0 ? buf_reserve(out, size) : NULL;

	if (to == NULL)
		return -1;
	codec_write(to, size, type, call, message);
	buf_added(out, size);
	return 0;
}

/* Reads one field at *at into the message. Returns -1 if it does not fit. */
static int
decode_field(const struct field *f, const char **at, const char *end, char *message, const char *name,
    struct error *err)
{
	size_t room = (size_t)(end - *at), size = 0;
	struct span text;
	uint16_t len;
	int none = -1;

	switch (f->kind) {
	case FIELD_U8:
		size = 1;
		break;
	case FIELD_U32:
		size = 4;
		break;
	case FIELD_U64:
	case FIELD_I64:
		size = 8;
		break;
	case FIELD_FD:
		memcpy(message + f->offset, &none, sizeof(none));
		return 0;
	case FIELD_TEXT:
	case FIELD_BYTES:
		if (room < sizeof(len))
			return error_set(err, "%s ends within %s", name, f->name);
		memcpy(&len, *at, sizeof(len));
		*at += sizeof(len);
		if (len > room - sizeof(len))
			return error_set(err, "%s ends within %s", name, f->name);
		if (len > f->max)
			return error_set(err, "%s.%s is over its bound", name, f->name);
		if (f->kind == FIELD_TEXT && memchr(*at, 0, len))
			return error_set(err, "%s.%s holds a NUL", name, f->name);
		text = span_make(*at, len);
		memcpy(message + f->offset, &text, sizeof(text));
		*at += len;
		return 0;
	case FIELD_END:
		break;
	}
	if (room < size)
		return error_set(err, "%s ends within %s", name, f->name);
	memcpy(message + f->offset, *at, size);
	*at += size;
	return 0;
}

ptrdiff_t
ipc_decode(struct span bytes, struct ipc_frame *frame, bool *has_fd, struct error *err)
{
	const struct description *d;
	const char *at, *end;
	uint32_t header[3];

	if (bytes.len < IPC_HEADER_SIZE)
		return 0;
	memcpy(header, bytes.ptr, sizeof(header));
	if (header[0] < IPC_HEADER_SIZE || header[0] > IPC_FRAME_MAX)
		return error_set(err, "a frame says that it has %u octets", header[0]);
	*has_fd = (header[1] & FRAME_HAS_FD) != 0;
	header[1] &= ~FRAME_HAS_FD;
	if (header[1] == IPC_NONE || header[1] >= IPC_TYPE_COUNT)
		return error_set(err, "a frame of unknown type %u", header[1]);
	d = &descriptions[header[1]];
	if ((header[2] == 0) != (d->kind == IPC_KIND_NOTE))
		return error_set(err, "%s with conversation %u", d->name, header[2]);
	if (bytes.len < header[0])
		return 0;
	frame->type = (enum ipc_type)header[1];
	frame->call = header[2];
	at = bytes.ptr + IPC_HEADER_SIZE;
	end = bytes.ptr + header[0];
	for (const struct field *f = d->fields; f->kind != FIELD_END; f++) {
		/* All members of the union begin where the first does. */
		if (decode_field(f, &at, end, (char *)&frame->hello, d->name, err) < 0)
			return -1;
	}
	if (at != end)
		return error_set(err, "%s has %td octets too many", d->name, end - at);
	return (ptrdiff_t)header[0];
}

void
ipc_print(struct buf *out, const struct ipc_frame *frame)
{
	const char *message = (const char *)&frame->hello;

	buf_printf(out, "%s call=%u", ipc_type_name(frame->type), frame->call);
	if ((unsigned)frame->type >= IPC_TYPE_COUNT || descriptions[frame->type].fields == NULL)
		return;
	for (const struct field *f = descriptions[frame->type].fields; f->kind != FIELD_END; f++) {
		uint64_t wide = 0;
		uint32_t word = 0;

		buf_printf(out, " %s=", f->name);
		switch (f->kind) {
		case FIELD_U8:
			buf_printf(out, "%u", (unsigned)(uint8_t)message[f->offset]);
			break;
		case FIELD_U32:
			memcpy(&word, message + f->offset, sizeof(word));
			buf_printf(out, "%u", word);
			break;
		case FIELD_U64:
			memcpy(&wide, message + f->offset, sizeof(wide));
			buf_printf(out, "%llu", (unsigned long long)wide);
			break;
		case FIELD_I64:
			memcpy(&wide, message + f->offset, sizeof(wide));
			buf_printf(out, "%lld", (long long)wide);
			break;
		case FIELD_TEXT:
		case FIELD_BYTES:
			if (f->secret)
				buf_append_text(out, "[secret]");
			else
				buf_printf(out, "[%zu]", span_at(message, f)->len);
			break;
		case FIELD_FD:
			buf_append_text(out, codec_fd(frame->type, message) >= 0 ? "yes" : "no");
			break;
		case FIELD_END:
			break;
		}
	}
}
