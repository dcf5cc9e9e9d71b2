#include "queue/log/record.h"

#include <string.h>

/* The library as its header alone: queue needs two of its functions, and the linker none. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "common/base/octets.h"
#include "common/base/table.h"
#include "common/base/text.h"

/* In a U8_MORE or U8_LAST, as stored. */
enum { MORE_BIT = 0x80 };

static void
put(struct buf *out, uint64_t value, size_t octets)
{
	uint8_t bytes[8];

	octets_store(bytes, value, octets);
	buf_append(out, bytes, octets);
}

static int
get(struct span *in, size_t octets, uint64_t *value)
{
	if (in->len < octets)
		return -1;
	*value = octets_load(in->ptr, octets);
	*in = span_from(*in, octets);
	return 0;
}

static int
put_text(struct buf *out, struct span text, size_t max)
{
	if (text.len > max)
		return -1;
	put(out, text.len, 2);
	buf_append_span(out, text);
	return 0;
}

/* Texts are printed, compared and handed on as C strings in places: a NUL in one is not ours. */
static int
get_text(struct span *in, size_t max, struct span *text)
{
	uint64_t len;

	if (get(in, 2, &len) < 0 || len > max || len > in->len)
		return -1;
	*text = span_make(in->ptr, (size_t)len);
	if (len > 0 && memchr(text->ptr, 0, text->len))
		return -1;
	*in = span_from(*in, (size_t)len);
	return 0;
}

/* Of a part: after which MORE or LAST anything has to be written. What is behind LAST takes along what is before it. */
enum behind { BEHIND_NOTHING, BEHIND_MORE, BEHIND_LAST };

#define PART(name)                                                                                           \
	static enum behind last_used_##name(const struct part_##name *part)                                  \
	{                                                                                                    \
		enum behind at = BEHIND_NOTHING, found = BEHIND_NOTHING;                                     \
		(void)part;                                                                                  \
		(void)at;
#define FIELD(set)                                                                                           \
	if (set)                                                                                             \
		found = at;
#define U8(part_name, field) FIELD(part->field != 0)
#define U32(part_name, field) FIELD(part->field != 0)
#define U64(part_name, field) FIELD(part->field != 0)
#define I64(part_name, field) FIELD(part->field != 0)
#define TEXT(part_name, field, max) FIELD(part->field.len > 0)
#define MORE(name) at = BEHIND_MORE;
#define LAST(name) at = BEHIND_LAST;
#define END(name)                                                                                            \
	return found;                                                                                        \
	}
#include "queue/log/records.def"
#undef FIELD

/* Encoders. */
#define PART(name)                                                                                           \
	int part_encode_##name(struct buf *out, const struct part_##name *part)                              \
	{                                                                                                    \
		enum behind used = last_used_##name(part);                                                   \
		int bad = 0;                                                                                 \
		(void)part;                                                                                  \
		(void)used;
#define U8(part_name, field) put(out, part->field, 1);
#define U8_BIT(field, set)                                                                                   \
	bad |= part->field >= MORE_BIT ? -1 : 0;                                                             \
	put(out, (uint64_t)part->field | ((set) ? MORE_BIT : 0), 1);
#define U8_MORE(part_name, field) U8_BIT(field, used >= BEHIND_MORE)
#define U8_LAST(part_name, field) U8_BIT(field, used == BEHIND_LAST)
#define U32(part_name, field) put(out, part->field, 4);
#define U64(part_name, field) put(out, part->field, 8);
#define I64(part_name, field) put(out, (uint64_t)part->field, 8);
#define TEXT(part_name, field, max) bad |= put_text(out, part->field, max);
#define MORE(name)                                                                                           \
	if (used < BEHIND_MORE)                                                                              \
		return bad || out->full ? -1 : 0;
#define LAST(name)                                                                                           \
	if (used < BEHIND_LAST)                                                                              \
		return bad || out->full ? -1 : 0;
#define END(name)                                                                                            \
	return bad || out->full ? -1 : 0;                                                                    \
	}
#include "queue/log/records.def"
#undef U8_BIT

/* Decoders. */
#define PART(name)                                                                                           \
	int part_decode_##name(struct span *in, struct part_##name *part)                                    \
	{                                                                                                    \
		uint64_t v;                                                                                  \
		bool more = false, last = false;                                                             \
		(void)v;                                                                                     \
		(void)more;                                                                                  \
		(void)last;                                                                                  \
		(void)in;                                                                                    \
		memset(part, 0, sizeof(*part));
#define NUMBER(octets, type, field)                                                                          \
	if (get(in, octets, &v) < 0)                                                                         \
		return -1;                                                                                   \
	part->field = (type)v;
#define U8(part_name, field) NUMBER(1, uint8_t, field)
#define U8_BIT(field, set)                                                                                   \
	NUMBER(1, uint8_t, field)                                                                            \
	set = (part->field & MORE_BIT) != 0;                                                                 \
	part->field &= MORE_BIT - 1;
#define U8_MORE(part_name, field) U8_BIT(field, more)
#define U8_LAST(part_name, field) U8_BIT(field, last)
#define MORE(name)                                                                                           \
	if (!more)                                                                                           \
		return 0;
#define LAST(name)                                                                                           \
	if (!last)                                                                                           \
		return 0;
#define U32(part_name, field) NUMBER(4, uint32_t, field)
#define U64(part_name, field) NUMBER(8, uint64_t, field)
#define I64(part_name, field) NUMBER(8, int64_t, field)
#define TEXT(part_name, field, max)                                                                          \
	if (get_text(in, max, &part->field) < 0)                                                             \
		return -1;
#define END(name)                                                                                            \
	return 0;                                                                                            \
	}
#include "queue/log/records.def"
#undef NUMBER
#undef U8_BIT

/* Printers. */
#define PART(name)                                                                                           \
	void part_print_##name(struct buf *out, const struct part_##name *part)                              \
	{                                                                                                    \
		(void)out;                                                                                   \
		(void)part;
#define NUMBER(field) buf_printf(out, " " #field "=%llu", (unsigned long long)part->field);
#define U8(part_name, field) NUMBER(field)
#define U32(part_name, field) NUMBER(field)
#define U64(part_name, field) NUMBER(field)
#define I64(part_name, field) buf_printf(out, " " #field "=%lld", (long long)part->field);
#define TEXT(part_name, field, max)                                                                          \
	if (part->field.len > 0) {                                                                           \
		buf_append_text(out, " " #field "=<");                                                       \
		text_append_printable(out, part->field, 200);                                                \
		buf_append_text(out, ">");                                                                   \
	}
#define END(name) }
#include "queue/log/records.def"
#undef NUMBER

/* ---- the frame around the payload ---- */

/*
 * The checksum lies in the header, so it is taken in two runs: what follows it, then the header in front of it
 * with the first run's result in its place. The salt's secret guards the header, and by it all: the first run has
 * only to tell other bytes apart, and is of the fast kind.
 */
static uint64_t
checksum(const uint8_t *bytes, size_t len, const uint8_t salt[RECORD_SALT_SIZE])
{
	uint8_t head[RECORD_HEADER_SIZE];
	const uint8_t *rest = bytes + RECORD_HEADER_SIZE;
	size_t rest_len = len - RECORD_HEADER_SIZE;

	memcpy(head, bytes, RECORD_HEADER_SIZE - 8);
	octets_store(head + RECORD_HEADER_SIZE - 8,
	    bytes[5] & RECORD_XXH3 ? XXH3_64bits_withSeed(rest, rest_len, octets_load(salt, 8))
				   : siphash(salt, rest, rest_len),
	    8);
	return siphash(salt, head, sizeof(head));
}

ptrdiff_t
record_begin(struct buf *out, enum record_type type, uint64_t id)
{
	size_t begin = out->len;
	char *p = buf_reserve(out, RECORD_HEADER_SIZE);

	if (!p)
		return -1;
	memset(p, 0, RECORD_HEADER_SIZE);
	p[4] = (char)type;
	octets_store((uint8_t *)p + 16, id, 8);
	buf_added(out, RECORD_HEADER_SIZE);
	return (ptrdiff_t)begin;
}

int
record_end(struct buf *out, size_t begin)
{
	static const char zeros[RECORD_ALIGN];
	size_t pad = (RECORD_ALIGN - (out->len - begin) % RECORD_ALIGN) % RECORD_ALIGN;
	uint8_t *p;

	if (buf_append(out, zeros, pad) < 0 || out->full || out->len - begin > RECORD_MAX)
		return -1;
	p = (uint8_t *)buf_ptr(out) + begin;
	octets_store(p, out->len - begin, 4);
	octets_store(p + 6, pad, 2);
	return 0;
}

void
record_seal(void *bytes, size_t len, uint64_t position, const uint8_t salt[RECORD_SALT_SIZE])
{
	uint8_t *p = bytes;

	p[5] |= RECORD_XXH3;
	octets_store(p + 8, position, 8);
	octets_store(p + 24, checksum(p, len, salt), 8);
}

ptrdiff_t
record_read(struct span bytes, uint64_t position, const uint8_t salt[RECORD_SALT_SIZE], struct record *record,
    size_t *length_wanted)
{
	const uint8_t *p = (const uint8_t *)bytes.ptr;
	size_t length, pad;

	*length_wanted = RECORD_HEADER_SIZE;
	if (bytes.len < RECORD_HEADER_SIZE)
		return 0;
	length = (size_t)octets_load(p, 4);
	pad = (size_t)octets_load(p + 6, 2);
	if (length < RECORD_HEADER_SIZE || length > RECORD_MAX || length % RECORD_ALIGN != 0 ||
	    pad >= RECORD_ALIGN || length - RECORD_HEADER_SIZE < pad || octets_load(p + 8, 8) != position)
		return -1;
	*length_wanted = length;
	if (bytes.len < length)
		return 0;
	if (octets_load(p + 24, 8) != checksum(p, length, salt))
		return -1;
	record->type = (enum record_type)p[4];
	record->flags = p[5] & (uint8_t)~RECORD_XXH3;
	record->position = position;
	record->id = octets_load(p + 16, 8);
	record->payload = span_make(p + RECORD_HEADER_SIZE, length - RECORD_HEADER_SIZE - pad);
	return (ptrdiff_t)length;
}

static int
open_each(struct span *rest, bool has_each, uint32_t *left)
{
	uint64_t count = 0;

	if (has_each && get(rest, 4, &count) < 0)
		return -1;
	/* No part is empty: a count beyond the octets that are there is a lie. */
	if (count > rest->len)
		return -1;
	*left = (uint32_t)count;
	return 0;
}

#define HAS_none false
#define HAS_recipient true
#define HAS_outcome true

int
record_open(const struct record *record, void *head, struct record_reader *reader, struct error *err)
{
	int bad = -1;

	reader->rest = record->payload;
	reader->left = 0;
	switch (record->type) {
#define RECORD(NAME, number, head_part, each, content)                                                       \
	case RECORD_##NAME:                                                                                  \
		bad = part_decode_##head_part(&reader->rest, (struct part_##head_part *)head);               \
		if (bad == 0)                                                                                \
			bad = open_each(&reader->rest, HAS_##each, &reader->left);                           \
		break;
#include "queue/log/records.def"
	default:
		return error_set(err, "unknown type %u of record", (unsigned)record->type);
	}
	if (bad)
		return error_set(err, "malformed %s record", record_type_name(record->type));
	return 0;
}

int
record_next(const struct record *record, struct record_reader *reader, void *each)
{
	if (reader->left == 0)
		return 0;
	reader->left--;
	switch (record->type) {
#define RECORD(NAME, number, head_part, each_part, content)                                                  \
	case RECORD_##NAME:                                                                                  \
		return part_decode_##each_part(&reader->rest, (struct part_##each_part *)each) < 0 ? -1 : 1;
#include "queue/log/records.def"
	default:
		return -1;
	}
}

bool
record_type_is_known(enum record_type type)
{
	return type > RECORD_NONE && type < RECORD_TYPE_COUNT;
}

const char *
record_type_name(enum record_type type)
{
	switch (type) {
#define RECORD(NAME, number, head, each, content)                                                            \
	case RECORD_##NAME:                                                                                  \
		return #NAME;
#include "queue/log/records.def"
	default:
		return "unknown";
	}
}

#define PRINTER(head_part, each_part)                                                                        \
	{                                                                                                    \
		struct part_##head_part h;                                                                   \
		struct part_##each_part e;                                                                   \
		struct record_reader reader;                                                                 \
		struct error err;                                                                            \
		if (record_open(record, &h, &reader, &err) < 0) {                                            \
			buf_printf(out, " %s", err.text);                                                    \
			break;                                                                               \
		}                                                                                            \
		part_print_##head_part(out, &h);                                                             \
		while (record_next(record, &reader, &e) > 0) {                                               \
			buf_append_text(out, " {");                                                          \
			part_print_##each_part(out, &e);                                                     \
			buf_append_text(out, " }");                                                          \
		}                                                                                            \
		break;                                                                                       \
	}

void
record_print(struct buf *out, const struct record *record)
{
	buf_printf(out, "%s id=%016llX at %llu", record_type_name(record->type),
	    (unsigned long long)record->id, (unsigned long long)record->position);
	switch (record->type) {
#define RECORD(NAME, number, head, each, content)                                                            \
	case RECORD_##NAME:                                                                                  \
		PRINTER(head, each)
#include "queue/log/records.def"
	default:
		break;
	}
}
