#include "tools/queue_ask.h"

#include <sysexits.h>

#include "tools/queue_alone.h"

struct asking {
	struct buf *rows;
	uint8_t status;
	char text[1001];
};

static int
on_frame(struct ipc_channel *channel, uint32_t call, const struct ipc_frame *frame, void *context,
    struct error *err)
{
	struct asking *a = context;

	(void)channel;
	(void)call;
	if (frame->type == IPC_CONTROL_ROW) {
		if (buf_append_span(a->rows, frame->control_row.bytes) < 0)
			return error_set(err, "the answer is too long");
		return 0;
	}
	if (frame->type != IPC_CONTROL_DONE)
		return error_set(err, "unexpected %s", ipc_type_name(frame->type));
	a->status = frame->control_done.status;
	span_copy(frame->control_done.text, a->text, sizeof(a->text));
	return 0;
}

int
queue_ask(struct tool *tool, const char *verb, struct span args, struct buf *rows)
{
	struct asking a = {.rows = rows};
	struct msg_control_ask ask = {.verb = span_of(verb), .args = args};
	struct tool_talk talk = {
	    .type = IPC_CONTROL_ASK, .message = &ask, .on_frame = on_frame, .context = &a};
	struct error err;

	if (!tool_conf(tool))
		return EX_CONFIG;
	if (queue_talk(tool, &talk, false, &err) < 0)
		return tool_fail(tool, EX_UNAVAILABLE, "%s", err.text);
	return a.status ? tool_fail(tool, a.status, "%s", a.text) : 0;
}
