/*
 * out_checks: smtp_header_checks, smtp_body_checks and their kin (lmtp_... for LMTP) on mail that leaves. They change
 * content and nothing else; what is stored stays as it is.
 */
#ifndef POSTERN_DELIVERY_SMTP_OUT_CHECKS_H
#define POSTERN_DELIVERY_SMTP_OUT_CHECKS_H

#include "delivery/smtp/job.h"

/* Does what is configured, then generic_start(). The job may be finished, and gone, when it returns. */
void out_checks_start(struct job *job);

/* Nobody waits for the job, whose checks are under way: ends it. */
void out_checks_forsake(struct job *job);

#endif
