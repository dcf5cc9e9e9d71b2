/*
 * session_errors: the latest lines of a session, for postmaster, who is told at its end if something in it was wrong that is
 * in notify_classes. Without a class that is about sessions nothing is kept.
 */
#ifndef POSTERN_SMTPD_SESSION_ERRORS_H
#define POSTERN_SMTPD_SESSION_ERRORS_H

#include "common/base/span.h"
#include "smtpd/session.h"

/* The present command, once it is known which it is: what may be a password is left out. */
void session_errors_heard(struct session *s, struct span line);

/* A reply; code 400 and above is an error, of the class that its numbers tell. */
void session_errors_said(struct session *s, unsigned code, const char *enhanced, struct span line);

/* A message was accepted: what was wrong before is forgiven, as by Postfix. */
void session_errors_forgive(struct session *s);

/* At the end of the session. how: see session_end(). */
void session_errors_tell(struct session *s, const char *how);

#endif
