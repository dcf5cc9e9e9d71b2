/*
 * smtpd: what all sessions of the process share.
 *
 * One process serves thousands of sessions in one event loop. It holds no file and no message: what a session has
 * of one goes on to queue as it comes.
 */
#ifndef POSTERN_SMTPD_SMTPD_H
#define POSTERN_SMTPD_SMTPD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/table.h"
#include "common/ipc/ipc.h"
#include "common/mail/queue_id.h"

struct check;
struct conf;
struct dovecot_list;
struct event_base;
struct session;
struct settings;
struct tls_keys;

TAILQ_HEAD(session_list, session);

struct smtpd {
	struct event_base *base;
	struct ipc_channel *peers[ROLE_COUNT]; /* NULL while that one is away */
	struct queue_id_giver ids;
	struct session_list sessions;
	struct session_list ended; /* freed when the turn is over */
	struct session_list stalled; /* wait until queue has taken what waits in our channel to it */
	size_t session_count;
	size_t session_max; /* accepting stops there */
	uint64_t last_session;
	struct table *resolutions; /* recent answers of lookup: resolution.h */
	struct table *scram_tables; /* auth_scram.c */
	struct dovecot_list *dovecots; /* auth_dovecot.c */
	/* A connection to that UNIX socket, by master: as server_want_socket(). NULL: there is no master. */
	int (*want_socket)(struct smtpd *d, const char *path,
	    void (*given)(void *context, int fd, const char *why), void *context);
	/* Told of each restriction's verdict (enum verdict), for sessions on trial; NULL: nobody wants to know. */
	void (*explain)(const struct check *c, int verdict);
	struct table *names; /* of clients that connected just now: peername.c */
	struct tls_keys *keys; /* certificates, as keys tells them; NULL: this process has none */
	uint64_t identities; /* the generation of the configuration that keys has told certificates of */
	uint64_t generation; /* of lookup's tables, as far as told */
	bool has_floor; /* queue told which ids were used: until then nobody is let in */
	bool queue_full;
	bool stopping;
};

void smtpd_init(struct smtpd *d, struct event_base *base, uint8_t index);
void smtpd_fini(struct smtpd *d);

/* Frees the sessions that ended in this turn. */
void smtpd_reap(struct smtpd *d);

/* Nearly full: deadlines are shorter and errors end a session at once. */
bool smtpd_stressed(const struct smtpd *d);

/* The rows of the permit table; context is the struct smtpd. */
int smtpd_on_id_floor(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err);
int smtpd_on_queue_full(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err);
int smtpd_on_lookup_changed(
    struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err);

/* queue took something: sessions that waited for room in its channel go on. */
void smtpd_queue_progress(struct smtpd *d);

#endif
