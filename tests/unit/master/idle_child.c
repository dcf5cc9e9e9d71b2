/*
 * A process of any role that does nothing but live, for tests of master: the name that it was started by says which
 * role it plays. Lines in the log tell what happened to it.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/server/server.h"

static int
idle_start(struct server *s, struct error *err)
{
	(void)err;
	log_info(NULL, "start index=%u incarnation=%u listeners=%zu", server_index(s), server_incarnation(s),
	    server_listener_count(s));
	return 0;
}

static void
idle_configured(struct server *s)
{
	log_info(NULL, "configured generation=%llu myhostname=%s",
	    (unsigned long long)server_conf(s)->generation, server_conf(s)->values->myhostname);
}

static void
idle_peer_up(struct server *s, struct ipc_channel *peer)
{
	(void)s;
	log_info(NULL, "peer up %s %u", role_name(ipc_peer_role(peer)), ipc_peer_index(peer));
}

static void
idle_peer_down(struct server *s, struct ipc_channel *peer)
{
	(void)s;
	log_info(NULL, "peer down %s %u", role_name(ipc_peer_role(peer)), ipc_peer_index(peer));
}

static void
idle_listeners_changed(struct server *s)
{
	log_info(NULL, "listeners=%zu", server_listener_count(s));
	for (size_t i = 0; i < server_listener_count(s); i++) {
		const struct server_listener *l = server_listener_at(s, i);

		log_info(NULL, "listener %s %s", l->section ? l->section->name : "-", l->address);
	}
}

static void
idle_file_changed(struct server *s, const char *path, int fd)
{
	(void)s;
	log_info(NULL, "file %s %s", path, fd >= 0 ? "there" : "gone");
	if (fd >= 0)
		close(fd);
}

static void
idle_stopping(struct server *s)
{
	(void)s;
	log_info(NULL, "stopping");
}

int
main(int argc, char **argv)
{
	static const struct sandbox_path paths[] = {{NULL, NULL}};
	struct server_program program = {
	    .role = ROLE_TOOL,
	    .sandbox = {.root = SANDBOX_ROOT_EMPTY, .paths = paths, .user = "queue"},
	    .start = idle_start,
	    .configured = idle_configured,
	    .peer_up = idle_peer_up,
	    .peer_down = idle_peer_down,
	    .listeners_changed = idle_listeners_changed,
	    .file_changed = idle_file_changed,
	    .stopping = idle_stopping,
	};

	for (enum role role = 0; role < ROLE_COUNT; role++) {
		if (strcmp(argv[0], role_name(role)) == 0)
			program.role = role;
	}
	program.ident = role_name(program.role);
	return server_main(argc, argv, &program);
}
