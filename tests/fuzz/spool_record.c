/*
 * Records of the spool's log: a sealed one with a hostile payload, and raw bytes as if the disk had brought them.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "queue/message.h"
#include "queue/log/record.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record record;
	size_t wanted;

	if (size > 0)
		sealed(data, size);
	record_read(span_make(data, size), 4096, salt, &record, &wanted);
	return 0;
}
