#include "delivery/local/letters_in.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "delivery/local/writer.h"

void
letters_in_init(struct letters_in *in)
{
	TAILQ_INIT(&in->coming);
	TAILQ_INIT(&in->ready);
}

struct task *
letters_in_find(struct letters_in *in, uint32_t call)
{
	struct task *task;

	TAILQ_FOREACH (task, &in->coming, link) {
		if (task->call == call)
			return task;
	}
	return NULL;
}

void
task_answer(struct task *task, struct ipc_channel *channel, const struct mailbox_result *result)
{
	struct msg_mailbox_done done = {
	    .moved = result->moved,
	    .class = (uint8_t)result->class,
	    .status = span_of(result->status),
	    .text = span_of(result->text),
	};

	ipc_send(channel, IPC_MAILBOX_DONE, task->call, &done);
	buf_free(&task->letter.content);
	io_close(&task->letter.fd);
	free(task->texts);
	free(task);
}

/* Copies text into *at and moves it on. */
static struct span
keep(char **at, struct span text)
{
	struct span kept = {*at, text.len};

	if (text.len > 0)
		memcpy(*at, text.ptr, text.len);
	*at += text.len;
	return kept;
}

int
letters_in_open(struct letters_in *in, const struct ipc_frame *frame, struct error *err)
{
	const struct msg_mailbox_open *m = &frame->mailbox_open;
	struct task *task = mem_alloc(sizeof(*task));
	char *at;

	(void)err;
	at = task->texts = mem_alloc(m->sender.len + m->recipient.len + m->orig_to.len + m->header_name.len +
				     m->delivered_to.len + m->way.len + 1);
	task->call = frame->call;
	task->letter = (struct letter){
	    .sender = keep(&at, m->sender),
	    .recipient = keep(&at, m->recipient),
	    .orig_to = keep(&at, m->orig_to),
	    .header_name = keep(&at, m->header_name),
	    .delivered_to = keep(&at, m->delivered_to),
	    .way = keep(&at, m->way),
	    .flags = m->flags,
	    .content_len = m->content_len,
	    .header_len = m->header_len,
	    .fd = -1,
	};
	buf_init(&task->letter.content, WRITER_CONTENT_MAX);
	TAILQ_INSERT_TAIL(&in->coming, task, link);
	return 0;
}

int
letters_in_data(struct letters_in *in, const struct ipc_frame *frame, struct error *err)
{
	struct task *task = letters_in_find(in, frame->call);

	if (!task || buf_append_span(&task->letter.content, frame->mailbox_data.bytes) < 0)
		return error_set(err, "content out of place");
	return 0;
}

int
letters_in_file(struct letters_in *in, const struct ipc_frame *frame, struct error *err)
{
	struct task *task = letters_in_find(in, frame->call);
	int fd = frame->mailbox_file.fd;

	if (!task || fd < 0 || task->letter.fd >= 0) {
		io_close(&fd);
		return error_set(err, "a file out of place");
	}
	task->letter.fd = fd;
	task->letter.offset = frame->mailbox_file.offset;
	return 0;
}

int
letters_in_go(struct letters_in *in, const struct ipc_frame *frame, struct error *err)
{
	struct task *task = letters_in_find(in, frame->call);

	if (!task || (task->letter.fd < 0 && task->letter.content.len != task->letter.content_len))
		return error_set(err, "a letter that is not whole");
	TAILQ_REMOVE(&in->coming, task, link);
	TAILQ_INSERT_TAIL(&in->ready, task, link);
	return 0;
}
