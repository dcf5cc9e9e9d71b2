/*
 * trial_peers: those whom smtpd asks, within one process: names and DNS by resolver's engine, tables and addresses at a
 * desk of lookup's, and a queue that takes every message and keeps none. Nobody counts, and nobody knows certificates or
 * passwords.
 */
#ifndef POSTERN_TOOLS_TRIAL_PEERS_H
#define POSTERN_TOOLS_TRIAL_PEERS_H

#include "smtpd/smtpd.h"

struct trial_peers;

/* What they have to tell beside their answers; a line without its end. */
typedef void trial_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Connects them to d, which must have a base. conf is held. NULL with err. */
struct trial_peers *trial_peers_new(
    struct smtpd *d, const struct conf *conf, trial_say *say, struct error *err);
void trial_peers_free(struct trial_peers **p);

#endif
