/* Frames as a hostile peer may send them: decoded, printed, and encoded again to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/ipc/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = span_make(data, size);
	struct ipc_frame frame;
	struct error err;
	struct buf out;
	bool has_fd;
	ptrdiff_t n;

	while ((n = ipc_decode(bytes, &frame, &has_fd, &err)) > 0) {
		buf_init(&out, IPC_FRAME_MAX);
		ipc_print(&out, &frame);
		buf_clear(&out);
		if (ipc_encode(&out, frame.type, frame.call, &frame.hello) < 0 || out.len != (size_t)n)
			abort();
		if (!has_fd && memcmp(buf_ptr(&out), bytes.ptr, out.len) != 0)
			abort();
		buf_free(&out);
		bytes = span_from(bytes, (size_t)n);
	}
	return 0;
}
