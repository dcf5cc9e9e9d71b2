/*
 * The child's side of the control connection (descriptor 3): configuration, peers, listeners and files come over it,
 * then START; later heartbeats, reloads and the end.
 */
#include "common/server/process.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"

enum { ORPHAN_GRACE_MS = 5000 };

static int
handle_conf_value(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_conf_value *m = &frame->conf_value;
	struct server *s = context;

	(void)channel;
	if (s->builder == NULL)
		s->builder = conf_builder_new();
	return conf_builder_set(s->builder, m->section, m->name, m->value, err);
}

static int
handle_conf_end(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct server *s = context;

	(void)channel;
	if (s->builder == NULL)
		s->builder = conf_builder_new();
	if (s->next_conf)
		conf_unref(&s->next_conf);
	s->next_conf = conf_builder_finish(&s->builder, frame->conf_end.generation, err);
	return s->next_conf ? 0 : -1;
}

static int
handle_peer(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_peer *m = &frame->peer;

	(void)channel;
	if (m->fd < 0 || m->role >= ROLE_COUNT)
		return error_set(err, "PEER without a descriptor or role");
	return peers_add(context, (enum role)m->role, m->index, m->fd, err);
}

static int
handle_listener(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_listener *m = &frame->listener;

	(void)channel;
	if (m->fd < 0)
		return error_set(err, "LISTENER without a descriptor");
	return listeners_add(context, m->section, m->address, m->fd, err);
}

static int
handle_listeners_end(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct server *s = context;

	(void)channel;
	if (s->next_conf == NULL || s->next_conf->generation != frame->listeners_end.generation)
		return error_set(err, "LISTENERS_END without its configuration");
	listeners_end(s);
	return 0;
}

static struct watched *
find_file(struct server *s, struct span path)
{
	for (size_t i = 0; i < s->file_count; i++) {
		if (span_is(path, s->files[i].path))
			return &s->files[i];
	}
	if (s->file_count == MOST_FILES)
		return NULL;
	s->files[s->file_count] = (struct watched){mem_strndup(path.ptr, path.len), -1, 0};
	return &s->files[s->file_count++];
}

static int
handle_file(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	const struct msg_watched_file *m = &frame->watched_file;
	struct server *s = context;
	struct watched *file = find_file(s, m->path);
	int fd = m->fd;

	(void)channel;
	if (file == NULL) {
		io_close(&fd);
		return error_set(err, "too many watched files");
	}
	if (s->started && s->program->file_changed) {
		s->program->file_changed(s, file->path, fd);
		return 0;
	}
	io_close(&file->fd);
	file->fd = fd;
	file->error = (int)m->error;
	return 0;
}

static int
handle_files_end(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct server *s = context;

	(void)channel;
	(void)frame;
	(void)err;
	if (s->started && s->program->files_changed)
		s->program->files_changed(s);
	return 0;
}

static int
handle_start(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct server *s = context;

	(void)channel;
	if (s->have_start || s->conf == NULL)
		return error_set(err, "START before the configuration, or twice");
	s->incarnation = frame->start.incarnation;
	s->have_start = true;
	return 0;
}

static int
handle_ping(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct msg_pong pong = {.number = frame->ping.number};

	const struct server *s = context;

	(void)err;
	if (!s->renewing)
		ipc_send(channel, IPC_PONG, 0, &pong);
	return 0;
}

static int
handle_stop(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)err;
	server_stop(context, frame->stop.grace_ms);
	return 0;
}

/* master has gone: whoever starts it again starts its processes anew. */
static void
on_control_down(struct ipc_channel *channel, void *context)
{
	struct server *s = context;

	(void)channel;
	s->control = NULL;
	wanted_fail_all();
	if (!s->started)
		s->stop_now = true;
	server_stop(s, ORPHAN_GRACE_MS);
}

void
control_open(struct server *s)
{
	static const struct ipc_permit permits[] = {
	    {IPC_CONF_VALUE, ROLE_BIT(ROLE_MASTER), handle_conf_value},
	    {IPC_CONF_END, ROLE_BIT(ROLE_MASTER), handle_conf_end},
	    {IPC_PEER, ROLE_BIT(ROLE_MASTER), handle_peer},
	    {IPC_LISTENER, ROLE_BIT(ROLE_MASTER), handle_listener},
	    {IPC_LISTENERS_END, ROLE_BIT(ROLE_MASTER), handle_listeners_end},
	    {IPC_WATCHED_FILE, ROLE_BIT(ROLE_MASTER), handle_file},
	    {IPC_WATCHED_END, ROLE_BIT(ROLE_MASTER), handle_files_end},
	    {IPC_START, ROLE_BIT(ROLE_MASTER), handle_start},
	    {IPC_PING, ROLE_BIT(ROLE_MASTER), handle_ping},
	    {IPC_STOP, ROLE_BIT(ROLE_MASTER), handle_stop},
	    {IPC_SOCKET_GIVEN, ROLE_BIT(ROLE_MASTER), wanted_given},
	};
	const struct ipc_callbacks callbacks = {
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(*permits),
	    .down = on_control_down,
	    .context = s,
	};

	s->control =
	    ipc_channel_new(s->base, CONTROL_FD, s->program->role, s->index, ROLE_MASTER, 0, &callbacks);
}

void
control_failed(struct server *s, const char *text)
{
	struct msg_failed m = {.text = span_of(text)};

	ipc_send(s->control, IPC_FAILED, 0, &m);
	ipc_flush_all();
}
