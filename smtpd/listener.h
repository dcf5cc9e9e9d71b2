/*
 * listener: accepts clients in batches, up to what this process may hold, and hands them to sessions.
 */
#ifndef POSTERN_SMTPD_LISTENER_H
#define POSTERN_SMTPD_LISTENER_H

#include "smtpd/smtpd.h"

struct settings;
struct listener;

/* fd stays its owner's. */
struct listener *listener_new(struct smtpd *d, int fd, struct settings *settings);
void listener_free(struct listener **l);

/* Accept no more, or again, as there is room for sessions. Cheap: for the end of each turn. */
void listener_adjust(struct listener *l);

#endif
