/*
 * content_flow: content on its way from the client to queue: begun, fed within queue's window, ended. DATA and BDAT
 * share it.
 */
#ifndef POSTERN_SMTPD_CONTENT_FLOW_H
#define POSTERN_SMTPD_CONTENT_FLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"

struct session;

/* Opens the submission and sends our own header lines. */
void flow_begin(struct session *s, bool dots);

/* The header is as it will be: what it must have and lacks is added, and the log is told of it. */
void flow_complete_header(struct session *s);
/* Once. */
void flow_log_message_id(struct session *s);

/* Feeds octets. Returns how many were taken: 0 when the session now waits for queue. */
size_t flow_feed(struct session *s, struct span bytes);

/* The content has come whole: commits it, or says why not. The session waits or has its reply. */
void flow_finish(struct session *s);

/* What header_flow.c or check_flow.c waited for has come, or does not come: the session goes on where it stood. */
void flow_resume(struct session *s);

/* flow_finish(), once what was to be done to the content is done. */
void flow_finished(struct session *s);

/* Replies why the content was refused and ends the transaction. */
void flow_refuse(struct session *s);

/*
 * Before DATA or the first BDAT is taken: smtpd_data_restrictions, a redirection, and whether queue is there. refusal
 * is a whole reply, or NULL; done is called once, perhaps before this returns.
 */
void flow_prepare(struct session *s, void (*done)(struct session *s, const char *refusal));

#endif
