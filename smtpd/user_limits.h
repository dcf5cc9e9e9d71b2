/*
 * user_limits: what one user may send in an hour and in a day (smtpd_user_message_limit_hour and its kin). Beyond a limit
 * mail is taken and put on hold, and once a day postmaster is told; beyond twice the limit it is refused for now. policy
 * counts; if it is away, nothing is held or refused for want of its numbers.
 */
#ifndef POSTERN_SMTPD_USER_LIMITS_H
#define POSTERN_SMTPD_USER_LIMITS_H

struct session;

/* Counts the session's transaction. done is called once, perhaps before this returns; refusal: a whole reply, or NULL. */
void user_limits_count(struct session *s, void (*done)(struct session *s, const char *refusal));

/* Mail of which postmaster is told was accepted. */
void user_limits_told(struct session *s);

#endif
