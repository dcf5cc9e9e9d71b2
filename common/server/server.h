/*
 * server: the skeleton of every process that master starts.
 *
 * A program declares itself as a struct server_program and its main() is one call of server_main(). The skeleton:
 *   1. takes the control connection (descriptor 3) and reads configuration, peers, listeners and files from master;
 *   2. calls open(): the only time when files may be opened freely;
 *   3. closes the sandbox: chroot, user and groups (checked to be irrevocable), no_new_privs, rlimits, Landlock,
 *      seccomp allow-list, undumpable; started by an ordinary user, all but user and chroot;
 *   4. calls start(), says READY, and turns the event loop until it is told to stop and nothing is in flight.
 * It answers heartbeats, sends log lines to the log process, flushes channels after each turn, swaps the
 * configuration at a reload and replaces connections to peers that were restarted.
 */
#ifndef POSTERN_SERVER_SERVER_H
#define POSTERN_SERVER_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/conf/conf.h"
#include "common/ipc/ipc.h"

struct event_base;

/*
 * A directory (or file) that Landlock leaves open: paths as seen before the chroot; "$name" is a parameter's
 * value, and a last "/.." cuts off what stands before it. */
struct sandbox_path {
	const char *path;
	const char
	    *rights; /* of "r" read, "w" write and truncate, "c" create, remove and rename, "x" execute */
};

/* What a role needs beyond the common allow-list (memory, clock, reads and writes on open descriptors, epoll). */
enum sandbox_need {
	SANDBOX_ACCEPT = 1 << 0, /* accept4, getpeername, socket options */
	SANDBOX_CONNECT = 1 << 1, /* socket and connect over IPv4 and IPv6 */
	SANDBOX_FILES = 1 << 2, /* openat, stat, read directories, below Landlock's paths */
	SANDBOX_FILES_WRITE = 1 << 3, /* also rename, link, unlink, truncate, fsync, fallocate */
	SANDBOX_THREADS = 1 << 4, /* clone for threads, futex */
	SANDBOX_UNIX_CONNECT = 1 << 5, /* connect to UNIX sockets */
	SANDBOX_FORK_AS_USER =
	    1 << 6, /* local: fork, setresuid, exec of commands in the child; keeps CAP_SETUID/SETGID/... */
	SANDBOX_UDP = 1 << 7, /* sendto, recvfrom on datagram sockets */
	SANDBOX_PAM =
	    1
	    << 8, /* auth: fork, exec, files; keeps some capabilities. No network, which its children inherit */
	SANDBOX_SYNC_MANY = 1 << 9 /* io_submit and its kin, which work on descriptors that are open */
};

enum sandbox_root {
	SANDBOX_ROOT_EMPTY, /* chroot to an empty directory */
	SANDBOX_ROOT_PATH, /* chroot to root_path */
	SANDBOX_ROOT_NONE /* stays in / ; Landlock alone */
};

struct sandbox_spec {
	const char *user; /* "smtpd": the user is postern-smtpd; NULL: stays what master is (local, auth) */
	enum sandbox_root root;
	const char *root_path; /* "$queue_directory/spool" */
	unsigned needs;
	const struct sandbox_path *paths; /* ends with a NULL path; may be NULL */
	bool dumpable; /* only for roles that never hold mail or keys */
	uint64_t max_files; /* RLIMIT_NOFILE; 0: as inherited */
};

struct server;

struct server_listener {
	const struct conf_section *section; /* of the present configuration; NULL for "inet:"-less sockets */
	const char *address;
	int fd; /* listening, non-blocking, owned by the skeleton */
};

struct server_program {
	enum role role;
	const char *ident; /* what Postfix calls it in the log: "smtpd", "qmgr", "smtp" */
	struct sandbox_spec sandbox;
	const struct ipc_permit *permits;
	size_t permit_count;
	uint32_t credit; /* conversations that each peer may have open with us */

	/* Any of these may be NULL. context is what open() put in with server_set_data(). */
	int (*open)(struct server *s, struct error *err);
	int (*start)(struct server *s, struct error *err);
	void (*configured)(struct server *s); /* a reload: server_conf() is the new one */
	void (*peer_up)(struct server *s, struct ipc_channel *peer);
	void (*peer_down)(struct server *s, struct ipc_channel *peer);
	void (*file_changed)(
	    struct server *s, const char *path, int fd); /* fd is the program's now; -1: gone */
	/* Instead of file_changed: all files have come anew, and are there for server_file(). */
	void (*files_changed)(struct server *s);
	/* A connection to a peer was made, which has not said HELLO yet: what is sent now it reads first. */
	void (*peer_made)(struct server *s, struct ipc_channel *peer);
	void (*listeners_changed)(struct server *s);
	void (*stopping)(struct server *s); /* take nothing new */
	bool (*idle)(struct server *s); /* nothing in flight; NULL: always */
};

int server_main(int argc, char **argv, const struct server_program *program);

struct event_base *server_base(struct server *s);

/* The present configuration: conf_ref() it to keep it longer than this turn. */
const struct conf *server_conf(struct server *s);
void server_set_data(struct server *s, void *data);
void *server_data(struct server *s);

/* Number of this process among those of its role, from 0; incarnation: how often master started that one before. */
uint32_t server_index(struct server *s);
uint32_t server_incarnation(struct server *s);
bool server_is_stopping(struct server *s);

/* NULL while that peer is not there. Handlers get the server as ipc context. */
struct ipc_channel *server_peer(struct server *s, enum role role, uint32_t index);

/* Those of a role that are connected now: returns how many were put into list. */
size_t server_peers(struct server *s, enum role role, struct ipc_channel **list, size_t max);

/* The listening sockets master gave. */
size_t server_listener_count(struct server *s);
const struct server_listener *server_listener_at(struct server *s, size_t i);

/* A descriptor of a watched file as master sent it before START (e.g. "/etc/resolv.conf"): -1 if none. Not given away. */
int server_file(struct server *s, const char *path);

/* Why there is none: errno, ENOENT if master sent nothing of that name. */
int server_file_error(struct server *s, const char *path);

/* Closes all of them. */
void server_forget_files(struct server *s);

/* During a long open() or start(): keeps master from taking it for a hang. */
void server_progress(struct server *s, const char *state);

/*
 * What "postern status" tells of this process, beside that it runs; "": nothing. refuses: no mail is accepted while that
 * is so, which "postern start" tells if it is said before READY.
 */
void server_notice(struct server *s, const char *text, bool refuses);

/* hook runs after each turn of the loop, before channels are flushed: for libraries that gather output (stream_flush_all). */
void server_on_turn(void (*hook)(void));

/* Ends the process in order, once nothing is in flight: master starts it anew, with the present configuration. */
void server_renew(struct server *s);

/*
 * The same for a worker, whose work may take long: its successor is started at once, under another index, and it has two hours for what
 * is in flight.
 */
void server_hand_over(struct server *s);

/*
 * A connection to a UNIX socket that the configuration names, made by master. given gets the descriptor, or -1 with the
 * reason; never before this returns. -1: master is not there.
 */
typedef void server_socket(void *context, int fd, const char *why);
int server_want_socket(struct server *s, const char *path, server_socket *given, void *context);
void server_unwant_socket(const void *context);

/* Ends the process with an error line at the end of this turn; master starts it anew. */
void server_fail(struct server *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
