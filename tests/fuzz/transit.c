/*
 * Files of exported mail as a stranger would write them. What is taken can be packed again, and is on nobody's wire with a line
 * of its own.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "queue/control/transit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span file = span_make(data, size);
	struct transit_head head;
	struct message *m;
	struct error err;
	struct buf again;

	if (transit_head_decode(file, &head, &err) < 0)
		return 0;
	m = transit_message(
	    &head, span_sub(file, TRANSIT_HEAD_SIZE, (size_t)head.payload_len), 1000000, 2000000, &err);
	if (!m)
		return 0;
	transit_mark(m, TRANSIT_IN, "/d", "root", 1);
	buf_init(&again, RECORD_MAX);
	if (message_pack(&again, m) < 0)
		abort();
	for (uint32_t i = 0; i < m->count; i++)
		if (span_find(m->recipients[i]->p.recipient, '\n') >= 0)
			abort();
	transit_unmark(m, TRANSIT_IN, "/d");
	buf_free(&again);
	message_free(&m);
	return 0;
}
