/*
 * pickup: takes in what this host itself writes: mail of local programs, and notifications.
 *
 * Runs as   postern-drop, chrooted to the drop directory; no network.
 * Talks to  sendmail(1) of any local user (public/pickup); lookup (addresses); queue (messages, notifications).
 * Reads     messages of local users, from the socket and from files that they wrote; returned mail of strangers, of
 *           which it copies the first part and reads the header only to find its end.
 * If taken  an attacker can send mail as any local user, read and remove what waits in the drop directory, and
 *           suppress notifications. Stored mail, mailboxes and keys are out of reach.
 */
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/mail/date.h"
#include "services/pickup/drop_dir.h"
#include "services/pickup/drop_socket.h"
#include "services/pickup/notice.h"
#include "services/pickup/template.h"

enum { CREDIT = 4, MAX_FILES = 1024 };

static void
on_bad_template(unsigned line, const char *text, void *context)
{
	const struct pickup *p = context;
	const char *path = pickup_values(p)->bounce_template_file;

	if (line == 0)
		log_warning(NULL, "bounce_template_file %s: %s; using built-in texts", path, text);
	else
		log_warning(
		    NULL, "bounce_template_file %s, line %u: %s; using the built-in text", path, line, text);
}

static int
on_open(struct server *s, struct error *err)
{
	struct pickup *p = mem_alloc(sizeof(*p));

	p->server = s;
	p->ids.giver = QUEUE_ID_GIVER_PICKUP;
	mail_date_init();
	server_set_data(s, p);
	p->templates = template_set_load(pickup_values(p)->bounce_template_file, on_bad_template, p);
	p->templates_of_file = pickup_values(p)->bounce_template_file[0] != '\0';
	p->socket = drop_socket_new(p);
	p->directory = drop_dir_open(p, err);
	return p->directory ? 0 : -1;
}

static int
on_start(struct server *s, struct error *err)
{
	struct pickup *p = server_data(s);

	(void)err;
	drop_socket_listen(p->socket);
	drop_dir_scan(p->directory);
	return 0;
}

/* The words of notifications are read while files may be opened. */
static void
on_configured(struct server *s)
{
	const struct pickup *p = server_data(s);

	if (p->templates_of_file || pickup_values(p)->bounce_template_file[0] != '\0')
		server_renew(s);
}

static void
on_listeners(struct server *s)
{
	struct pickup *p = server_data(s);

	if (!server_is_stopping(s))
		drop_socket_listen(p->socket);
}

static void
on_peer_up(struct server *s, struct ipc_channel *peer)
{
	struct pickup *p = server_data(s);

	if (ipc_peer_role(peer) == ROLE_LOOKUP && p->ids_known)
		drop_dir_scan(p->directory);
}

static int
on_id_floor(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct pickup *p = server_data(context);

	(void)channel;
	(void)err;
	queue_id_raise_floor(&p->ids, frame->id_floor.id);
	p->ids_known = true;
	drop_dir_scan(p->directory);
	return 0;
}

/* A new state of lookup or of the disk is no matter here: each message asks afresh. */
static int
on_news(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	(void)channel;
	(void)frame;
	(void)context;
	(void)err;
	return 0;
}

static int
on_trace_line(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct pickup *p = server_data(context);

	(void)channel;
	(void)err;
	drop_socket_trace(p->socket, frame->trace_line.id, &frame->trace_line.line);
	return 0;
}

static int
on_trace_end(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct pickup *p = server_data(context);

	(void)channel;
	(void)err;
	drop_socket_trace(p->socket, frame->trace_end.id, NULL);
	return 0;
}

static void
on_peer_down(struct server *s, struct ipc_channel *peer)
{
	struct pickup *p = server_data(s);

	if (ipc_peer_role(peer) != ROLE_QUEUE)
		return;
	notice_peer_down(s, peer);
	drop_socket_release(p->socket);
}

static void
on_stopping(struct server *s)
{
	struct pickup *p = server_data(s);

	drop_socket_stop(p->socket);
	drop_socket_release(p->socket);
	drop_dir_stop(p->directory);
}

static bool
is_idle(struct server *s)
{
	const struct pickup *p = server_data(s);

	return p->active == 0;
}

int
main(int argc, char **argv)
{
	const struct ipc_permit permits[] = {
	    {IPC_ID_FLOOR, ROLE_BIT(ROLE_QUEUE), on_id_floor},
	    {IPC_QUEUE_FULL, ROLE_BIT(ROLE_QUEUE), on_news},
	    {IPC_LOOKUP_CHANGED, ROLE_BIT(ROLE_LOOKUP), on_news},
	    {IPC_NOTIFY_OPEN, ROLE_BIT(ROLE_QUEUE), notice_open},
	    {IPC_NOTIFY_RCPT, ROLE_BIT(ROLE_QUEUE), notice_recipient},
	    {IPC_NOTIFY_DATA, ROLE_BIT(ROLE_QUEUE), notice_data},
	    {IPC_NOTIFY_GO, ROLE_BIT(ROLE_QUEUE), notice_go},
	    {IPC_TRACE_LINE, ROLE_BIT(ROLE_QUEUE), on_trace_line},
	    {IPC_TRACE_END, ROLE_BIT(ROLE_QUEUE), on_trace_end},
	};
	const struct sandbox_path paths[] = {{"$queue_directory/maildrop", "rwc"}, {NULL, NULL}};
	const struct server_program program = {
	    .role = ROLE_PICKUP,
	    .ident = "pickup",
	    .sandbox = {.user = "drop",
		.root = SANDBOX_ROOT_PATH,
		.root_path = "$queue_directory/maildrop",
		.needs = SANDBOX_ACCEPT | SANDBOX_FILES | SANDBOX_FILES_WRITE,
		.paths = paths,
		.max_files = MAX_FILES},
	    .permits = permits,
	    .permit_count = sizeof(permits) / sizeof(permits[0]),
	    .credit = CREDIT,
	    .open = on_open,
	    .start = on_start,
	    .peer_up = on_peer_up,
	    .peer_down = on_peer_down,
	    .configured = on_configured,
	    .listeners_changed = on_listeners,
	    .stopping = on_stopping,
	    .idle = is_idle,
	};
	return server_main(argc, argv, &program);
}
