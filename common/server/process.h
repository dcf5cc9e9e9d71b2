/*
 * process: what the files of the skeleton share of a running process.
 */
#ifndef POSTERN_SERVER_PROCESS_H
#define POSTERN_SERVER_PROCESS_H

#include <sys/types.h>

#include "common/server/logsink.h"
#include "common/server/server.h"

/* LOCK_FD: the lock of the instance; it is held until the last of its processes has gone. */
enum { CONTROL_FD = 3, LOCK_FD = 4, MOST_PEERS = 256, MOST_LISTENERS = 1024, MOST_FILES = 2048 };

/* A peer: a descriptor until the program has started, a channel from then on. */
struct peer {
	enum role role;
	uint32_t index;
	int fd;
	struct ipc_channel *channel;
	bool up;
	bool replaced; /* master has sent a new connection: the end of the old one is no news to it */
};

struct listener {
	struct server_listener shown;
	char *section_name;
	char *address;
	ino_t inode; /* the same socket sent again has the same */
	bool named; /* by the configuration that is being received */
	bool fresh; /* not yet shown to the program */
};

struct watched {
	char *path;
	int fd;
	int error;
};

struct server {
	const struct server_program *program;
	struct event_base *base;
	void *data;
	uint32_t index, incarnation;

	struct ipc_channel *control;
	struct conf *conf;
	struct conf *next_conf; /* received, not yet in force: waits for its listeners */
	struct conf_builder *builder;
	bool have_start, started, stopping, stop_now, failed;
	bool
	    renewing; /* ends for a new configuration, which is in force when its successor is ready: no PONG */
	int64_t stop_deadline_us;

	struct peer peers[MOST_PEERS];
	size_t peer_count;
	struct listener *listeners[MOST_LISTENERS];
	size_t listener_count;
	struct watched files[MOST_FILES];
	size_t file_count;

	struct logsink sink;
};

/* control.c: the connection to master. */
void control_open(struct server *s);
void control_failed(struct server *s, const char *text);

/* wanted.c: SOCKET_GIVEN has come; master has gone. */
int wanted_given(
    struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err);
void wanted_fail_all(void);

/* Finish what is in flight, for at most grace_ms; said again, the earlier end counts. */
void server_stop(struct server *s, uint32_t grace_ms);

/* peers.c. Takes fd over. */
int peers_add(struct server *s, enum role role, uint32_t index, int fd, struct error *err);

/* Makes channels of those that came before the start. only_log: just the one to log. */
void peers_connect(struct server *s, bool only_log);

/* Each connection that master gave has heard its peer's HELLO. */
bool peers_all_up(const struct server *s);

/* listeners.c. All descriptors are taken over. */
int listeners_add(struct server *s, struct span section, struct span address, int fd, struct error *err);

/* Puts the received configuration in force, with its listeners. */
void listeners_end(struct server *s);

#endif
