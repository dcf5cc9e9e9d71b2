/*
 * Records of the spool's log: a sealed one with a hostile payload, whole segments of such, which are replayed, and raw
 * bytes as if the disk had brought them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/mem.h"
#include "queue/log/disk.h"
#include "queue/log/record.h"
#include "queue/log/replay.h"
#include "queue/message.h"
#include "queue/queue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t salt[RECORD_SALT_SIZE] = "fuzz";

/* The first octet is the type; the rest is a payload whose checksum is right. */
static void
sealed(const uint8_t *data, size_t size)
{
	struct record record = {.type = (enum record_type)(data[0] % (RECORD_TYPE_COUNT + 1)),
	    .id = 1,
	    .payload = span_make(data + 1, size - 1)};
	struct error err;
	struct buf out;
	struct message *m;
	bool removed;

	buf_init(&out, 1 << 20);
	record_print(&out, &record);
	buf_free(&out);
	m = message_from_payload(1, mem_strndup((const char *)data + 1, size - 1), 0, size - 1, &err);
	if (m) {
		buf_init(&out, 1 << 24);
		if (record.type != RECORD_MESSAGE && record.type != RECORD_SNAPSHOT)
			message_apply(m, &record, &removed, &err);
		message_drop_content(m);
		message_pack(&out, m);
		buf_free(&out);
	}
	message_free(&m);
}

/* Records one after the other: type, flags, id, length (2 octets), payload; their checksums are right. */
static uint64_t
fill(struct segment *s, const uint8_t *data, size_t size)
{
	uint64_t offset = SEGMENT_HEADER_SIZE;

	while (size >= 5) {
		size_t len = (size_t)data[3] << 8 | data[4];
		struct buf b;

		len = len < size - 5 ? len : size - 5;
		buf_init(&b, 1 << 20);
		if (record_begin(&b, (enum record_type)data[0], data[2]) < 0 ||
		    buf_append(&b, (const char *)data + 5, len) < 0 || record_end(&b, 0) < 0)
			abort();
		b.mem[5] = (char)data[1];
		record_seal(b.mem, b.len, s->first + offset, s->salt);
		if (disk_write_all(s->fd, b.mem, b.len, (off_t)offset) < 0)
			abort();
		offset += b.len;
		buf_free(&b);
		data += 5 + len;
		size -= 5 + len;
	}
	return offset;
}

/* Whatever a segment says, what replay makes of it can be stored and read again. */
static void
replayed(const uint8_t *data, size_t size)
{
	static struct queue q;
	struct segment_info info = {.s = {.fd = memfd_create("segment", MFD_CLOEXEC), .first = 1 << 20}};
	struct id_set none = {NULL, 0, 0};
	struct row_batch *b;
	struct replay *r;
	struct error err;
	bool more = true;

	if (info.s.fd < 0)
		abort();
	memcpy(info.s.salt, salt, sizeof(salt));
	info.s.size = (fill(&info.s, data, size) + SEGMENT_PAGE) / SEGMENT_PAGE * SEGMENT_PAGE;
	q.segments = &info;
	q.segment_count = 1;
	q.damaged_dir = -1;
	r = replay_new(&q, 0, UINT64_MAX, (size & 1) != 0, &none);
	while (more) {
		b = row_batch_new();
		while (!row_batch_is_full(b) && (more = replay_step(r, b) > 0))
			;
		row_batch_ready(b);
		for (size_t i = 0; i < b->count; i++) {
			struct span row = b->changes[i].row;
			struct message *m = message_from_payload(
			    b->changes[i].id, mem_strndup(row.ptr, row.len), 0, row.len, &err);

			if (!m)
				abort();
			message_free(&m);
		}
		row_batch_free(&b);
	}
	replay_free(&r);
	disk.close(info.s.fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record record;
	size_t wanted;

	if (size > 0)
		sealed(data, size);
	if (size > 0 && size < 65536)
		replayed(data, size);
	record_read(span_make(data, size), 4096, salt, &record, &wanted);
	return 0;
}
