/*
 * Connections to UNIX sockets, which master makes for a process that cannot: its root directory is empty.
 */
#include <stdlib.h>
#include <sys/queue.h>

#include "common/base/io.h"
#include "common/base/mem.h"
#include "common/server/process.h"

struct wanted {
	TAILQ_ENTRY(wanted) link;
	uint32_t number;
	server_socket *given;
	void *context;
};

static TAILQ_HEAD(, wanted) waiting = TAILQ_HEAD_INITIALIZER(waiting);
static uint32_t last_number;

static void
give(struct wanted *w, int fd, const char *why)
{
	server_socket *given = w->given;
	void *context = w->context;

	TAILQ_REMOVE(&waiting, w, link);
	free(w);
	given(context, fd, why);
}

int
server_want_socket(struct server *s, const char *path, server_socket *given, void *context)
{
	struct msg_socket_wanted m = {.number = ++last_number, .path = span_of(path)};
	struct wanted *w;

	if (ipc_send(s->control, IPC_SOCKET_WANTED, 0, &m) < 0)
		return -1;
	w = mem_alloc(sizeof(*w));
	w->number = m.number;
	w->given = given;
	w->context = context;
	TAILQ_INSERT_TAIL(&waiting, w, link);
	return 0;
}

void
server_unwant_socket(const void *context)
{
	struct wanted *w;

	TAILQ_FOREACH (w, &waiting, link) {
		if (w->context == context) {
			TAILQ_REMOVE(&waiting, w, link);
			free(w);
			return;
		}
	}
}

int
wanted_given(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_socket_given *m = &frame->socket_given;
	struct wanted *w;
	char why[601];
	int fd = m->fd;

	(void)channel;
	(void)context;
	(void)err;
	span_copy(m->text, why, sizeof(why));
	TAILQ_FOREACH (w, &waiting, link) {
		if (w->number == m->number) {
			give(w, fd, why);
			return 0;
		}
	}
	io_close(&fd); /* nobody wants it any more */
	return 0;
}

void
wanted_fail_all(void)
{
	struct wanted *w;

	while ((w = TAILQ_FIRST(&waiting)) != NULL)
		give(w, -1, "master is not there");
}
