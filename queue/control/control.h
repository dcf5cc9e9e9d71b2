/*
 * control: what the admin tools ask of queue, on the socket "unix:queue".
 *
 * Any user may connect; who may ask what is decided by the uid that the kernel tells of the other end.
 */
#ifndef POSTERN_QUEUE_CONTROL_H
#define POSTERN_QUEUE_CONTROL_H

#include "queue/control/walk.h"
#include "queue/filter.h"
#include "queue/queue.h"

int control_start(struct queue *q, struct error *err);

/* Resolves the names of authorized_*_users, while the user database can be read. */
void control_read_users(struct queue *q);

/* The same after a reload, when only lookup can read it. */
void control_users_configured(struct queue *q);

/* Whether authorized_flush_users (authorized_mailq_users) lets that user. */
bool control_is_listed(unsigned uid, bool flush);

/* Takes up and drops sockets as master gives them. */
void control_listen(struct queue *q);

/* ---- row.c ---- */

/* postqueue -j's object, and ours, and a newline; in pieces, for the row of a long list is long. */
typedef void control_piece(void *context, struct span piece);
void control_row(const struct message *m, control_piece *put, void *context);

/* ---- answers ---- */

/* "root (uid 0)": the operator at the other end, as the kernel tells. */
enum { CONTROL_WHO_SIZE = 100 };
void control_who(const struct ipc_channel *channel, char who[CONTROL_WHO_SIZE]);

void control_done(
    struct ipc_channel *channel, uint32_t call, uint8_t status, uint64_t count, const char *text);

/* ---- act.c, show.c ---- */
void control_show_gone(struct ipc_channel *channel);
bool act_list(struct walk *w, struct message *m);
bool act_count(struct walk *w, struct message *m);
bool act_hold(struct walk *w, struct message *m);
bool act_release(struct walk *w, struct message *m);
bool act_delete(struct walk *w, struct message *m);
bool act_retry(struct walk *w, struct message *m);
bool act_requeue(struct walk *w, struct message *m);
void control_show(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f);

/* ---- export.c, import.c ---- */
bool act_export(struct walk *w, struct message *m);
bool act_seal(struct walk *w, struct message *m);
bool act_exported(struct walk *w, struct message *m);
bool act_stay(struct walk *w, struct message *m);
bool act_imported(struct walk *w, struct message *m);
bool act_importing(struct walk *w, struct message *m);
void control_export(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f);
void control_export_taken(struct ipc_channel *channel, uint32_t call, uint32_t frames);
void control_export_gone(struct ipc_channel *channel);
void control_import(struct queue *q, struct ipc_channel *channel, uint32_t call, struct filter *f);
void control_import_data(struct ipc_channel *channel, uint32_t call, struct span bytes);
void control_import_gone(struct ipc_channel *channel);

/* ---- explain.c, edit.c: args as the tool sent them ---- */
void control_explain(struct queue *q, struct ipc_channel *channel, uint32_t call, struct span args);
void control_explain_gone(struct ipc_channel *channel);

/* A worker has said what it does for that message, or will not any more. */
void control_explain_told(struct queue *q, uint64_t id);
void control_edit(struct queue *q, struct ipc_channel *channel, uint32_t call, struct span args);
void control_edit_gone(struct ipc_channel *channel);

#endif
