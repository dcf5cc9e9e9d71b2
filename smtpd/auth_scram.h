/*
 * auth_scram: whether a table of passwords has keys for SCRAM.
 *
 * SCRAM is of no use to users whose password is stored in another form, and many mail programs take it first wherever it is
 * offered. So it is offered where lookup finds such keys in the table (smtpd_sasl_scram = auto). What it found is kept, and asked
 * again every few seconds while clients come: nobody waits for it.
 */
#ifndef POSTERN_SMTPD_AUTH_SCRAM_H
#define POSTERN_SMTPD_AUTH_SCRAM_H

#include <stdbool.h>

#include "common/ipc/protocol.h"

struct settings;
struct smtpd;

/* The listener has AUTH by a table. May ask, which changes the answer to the next one. */
bool auth_scram_has(struct smtpd *d, const struct settings *settings, enum scram_hash hash);

/* The configuration changed: nothing is known any more. */
void auth_scram_forget(struct smtpd *d);

#endif
