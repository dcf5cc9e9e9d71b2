/*
 * envelope_change: REDIRECT, BCC and FILTER of access(5) and header_checks(5), which take effect on the message as a whole:
 * before its content is taken for what was said up to DATA, and behind it for what checks of content and
 * smtpd_end_of_data_restrictions say.
 */
#ifndef POSTERN_SMTPD_ENVELOPE_CHANGE_H
#define POSTERN_SMTPD_ENVELOPE_CHANGE_H

struct session;

/*
 * Does what is due of these, and tells queue if it has the recipients already; then done is called, perhaps at once. refusal:
 * NULL, or the reply to the whole message.
 */
void envelope_change(struct session *s, void (*done)(struct session *s, const char *refusal));

#endif
