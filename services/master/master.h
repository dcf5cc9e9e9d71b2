/*
 * master: what its files share.
 */
#ifndef POSTERN_MASTER_MASTER_H
#define POSTERN_MASTER_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/error.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"
#include "common/server/logsink.h"

struct event;
struct event_base;
struct master;

enum { MOST_CHILDREN = 192, MOST_SOCKETS = 1024, STATE_SIZE = 200 };

enum child_state {
	CHILD_WAITING, /* not running; the timer starts it */
	CHILD_STARTING,
	CHILD_READY,
	CHILD_STOPPING,
	CHILD_GONE /* ended, and is not to be started again */
};

struct child {
	struct master *master;
	enum role role;
	uint32_t index;
	enum child_state state;
	pid_t pid; /* 0: none */
	pid_t dead_pid; /* what it was */
	struct ipc_channel *control;
	int64_t started_us;
	uint32_t incarnation;
	unsigned failures, unanswered;
	bool dismissed; /* the configuration has no need for it any more */
	bool leaving; /* its successor was started; it is not started again */
	bool renewed; /* it ended by itself to take a reload's configuration, and is being started */
	uint64_t awaited; /* the PING of a reload that it has not answered; 0: none */
	bool reaped; /* its status is known; what it last said may still be in the socket */
	int status;
	struct event *timer; /* until the next start, or the end of waiting for last words */
	char progress[STATE_SIZE];
	char notice[601]; /* what it wants to be told of it */
	bool refuses; /* no mail is accepted while notice says so */
	char obituary[300]; /* of its predecessor, not yet told */
};

struct socket_row {
	char *section; /* "" for UNIX sockets */
	char *address; /* as it is given to the children */
	char *path; /* of a UNIX socket, NULL otherwise */
	int fd;
	unsigned roles; /* who gets it */
	bool named; /* by the configuration that is being applied */
	bool moved; /* another section of it has the address */
	bool lent; /* its port, to a new listener */
};

enum master_phase { MASTER_STARTING, MASTER_RUNNING, MASTER_STOPPING };

struct master {
	struct event_base *base;
	const char *confdir;
	char libexec[4096];
	struct conf *conf;
	enum master_phase phase;
	bool root, foreground, done;
	bool alone; /* queue alone works, for one tool: the instance is stopped */
	bool alone_long; /* -l */
	int alone_fd; /* where it listens then, -1 otherwise */
	int pid_fd; /* the lock of this instance, which its children hold too */
	int queue_fd; /* queue_directory, locked */
	int notify_fd; /* -1 once the outcome of the start was told */
	int exit_status;
	int64_t started_us;

	struct child *children[MOST_CHILDREN];
	size_t child_count;
	struct socket_row sockets[MOST_SOCKETS];
	size_t socket_count;

	unsigned stop_step;
	int64_t stop_deadline_us;
	struct event *tick, *stop_timer;

	struct ipc_channel *log;
	struct logsink sink;
};

/* ---- main.c ---- */

/* Tells whoever waits at notify_fd. text NULL: all is well. */
void master_notify(struct master *m, const char *text);

/* ---- reload.c ---- */

struct conf *configuration_load(const struct master *m, struct error *err);

/* Reads the configuration anew and sends it to all. Returns -1 with err, and the old one goes on. */
int master_reload(struct master *m, struct error *err);

/* A child has answered, or has gone. */
void reload_check(struct master *m);

/* The tool gets MASTER_DONE when all have put the configuration in force. -1: they have. */
int reload_when_done(struct ipc_channel *tool, uint32_t call);
void reload_tool_gone(const struct ipc_channel *tool);

/* ---- children.c: processes, started, watched and replaced ---- */

void child_new(struct master *m, enum role role, uint32_t index);

/* It is told to end, and not started again unless the configuration wants it then. */
void child_dismiss(struct child *c);
int children_start(struct master *m, struct error *err);

/* A child has ended (SIGCHLD). */
void children_reap(struct master *m);

/* Sends configuration, listeners and files to all. */
void children_configure(struct master *m);

/* A PING to all, whose answers are awaited (child.awaited). */
void children_ask(struct master *m);
void children_kill(struct master *m);
bool children_any_left(const struct master *m);

/* Each HEARTBEAT_SECONDS. */
void children_ping(struct master *m);

/* ---- plan.c: which processes there are ---- */

/* Makes those that the configuration wants and that are not there, and dismisses those that it has no need for. */
void plan_children(struct master *m);
bool plan_wants(const struct master *m, enum role role);

/* ---- connect.c: what is sent over control connections, and who talks to whom ---- */

void connect_child(struct master *m, struct child *c);

/* c lost its connection to that peer: if both live on, they get a new one after a moment. */
void connect_again(struct master *m, struct child *c, enum role role, uint32_t index);
void ship_configuration(struct master *m, struct child *c);
int spawn(struct master *m, struct child *c, struct error *err);

/* ---- stop.c ---- */

void stop_begin(struct master *m);

/* Goes on with the next step when a child has ended or the time is over. */
void stop_check(struct master *m);

/* ---- sockets.c: listening sockets ---- */

/* Opens what conf wants, keeps what is open already, closes the rest. With err nothing has changed. */
int sockets_apply(struct master *m, const struct conf *conf, struct error *err);
void sockets_close(struct master *m);

/* The one of a queue that works alone. fd is taken over. */
void sockets_take(struct master *m, int fd);
int control_socket_open(const struct conf *conf, struct error *err);

/* ---- control.c: postern(8) at private/master ---- */

int control_listen(struct master *m, struct error *err);
void control_unlink(const struct master *m);

/* ---- watch.c: files that change after start ---- */

int watch_open(struct master *m, struct error *err);

/* fd, which is taken over, writes to that log file: it is what log is to have. */
void watch_logfile(const char *path, int fd);

/* If the log file was rotated away, log gets a new one; if files of keys changed, keys gets them. */
void watch_look(struct master *m);

/* Sends a child the files it is to have. */
void watch_ship(struct master *m, struct child *c);

/* ---- directories.c ---- */

/*
 * Makes what is missing below queue_directory, locks pid/master.pid and writes it, and locks the directory itself. Both
 * descriptors (pid_fd, queue_fd) stay open as long as master lives. Where queue is to work alone the file does not say
 * that an instance runs, and need not be writable.
 */
int directories_open(struct master *m, struct error *err);

#endif
