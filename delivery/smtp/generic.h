/*
 * generic: addresses of mail that leaves, in envelope and header, become what smtp_generic_maps (lmtp_generic_maps)
 * make of them (generic(5)). Lookup has the tables; log lines keep the addresses as they were.
 */
#ifndef POSTERN_DELIVERY_SMTP_GENERIC_H
#define POSTERN_DELIVERY_SMTP_GENERIC_H

#include "delivery/smtp/job.h"

/* Rewrites what there is to rewrite, then attempt_start(). The job may be finished, and gone, when it returns. */
void generic_start(struct job *job);

/* Nobody waits for the job, whose rewriting is under way: ends it. */
void generic_forsake(struct job *job);

#endif
