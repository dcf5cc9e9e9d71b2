#include "smtpd/user_limits.h"

#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

enum { USER_SHOWN_MAX = 100 };

/* "user alice: more than 100 messages in an hour" */
static struct span
reason(struct session *s, enum user_limit limit, uint32_t most)
{
	static const char *const things[] = {
	    [USER_MESSAGES_HOUR] = "messages in an hour",
	    [USER_MESSAGES_DAY] = "messages in a day",
	    [USER_RECIPIENTS_HOUR] = "recipients in an hour",
	    [USER_RECIPIENTS_DAY] = "recipients in a day",
	};
	struct span text;
	struct buf out;

	buf_init(&out, 500);
	(void)buf_append_text(&out, "user ");
	text_append_printable(&out, span_of(s->sasl_username), USER_SHOWN_MAX);
	(void)buf_printf(&out, ": more than %u %s", most, things[limit]);
	text = arena_copy_span(s->transaction->arena, buf_span(&out));
	buf_free(&out);
	return text;
}

static uint32_t
most_of(const struct conf_values *v, enum user_limit limit)
{
	const int64_t limits[USER_LIMIT_COUNT] = {
	    [USER_MESSAGES_HOUR] = v->smtpd_user_message_limit_hour,
	    [USER_MESSAGES_DAY] = v->smtpd_user_message_limit_day,
	    [USER_RECIPIENTS_HOUR] = v->smtpd_user_recipient_limit_hour,
	    [USER_RECIPIENTS_DAY] = v->smtpd_user_recipient_limit_day,
	};

	return (uint32_t)limits[limit];
}

static void
hold(struct session *s, struct span why, bool tell)
{
	struct transaction *t = s->transaction;
	char text[400];

	t->flags |= MAIL_HOLD | (tell ? (unsigned)MAIL_TELL_HELD : 0);
	if (t->hold_reason.len == 0)
		t->hold_reason = why;
	(void)span_copy(why, text, sizeof(text));
	log_action(s, "hold", command_name(s->command), SPAN_LIT(""), span_of(text));
}

static const char *
refusal(struct session *s, struct span why)
{
	const char *text = arena_printf(s->transaction->arena, "452 4.7.1 Error: %.*s", SPAN_ARG(why));

	if (text == NULL)
		text = "452 4.7.1 Error: too much mail";
	log_action(s, "reject", command_name(s->command), SPAN_LIT(""), span_of(text));
	return text;
}

static int
on_answer(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;
	const char *refused = NULL;
	struct span why;
	int status = 0;

	session_answered(s);
	if (frame && (frame->policy_user_answer.standing > USER_FAR_BEYOND ||
			 frame->policy_user_answer.limit >= USER_LIMIT_COUNT))
		status = error_set(err, "no such limit of a user");
	else if (frame && frame->policy_user_answer.standing != USER_WITHIN) {
		enum user_limit limit = (enum user_limit)frame->policy_user_answer.limit;

		why = reason(s, limit, most_of(s->settings->values, limit));
		if (frame->policy_user_answer.standing == USER_FAR_BEYOND)
			refused = refusal(s, why);
		else
			hold(s, why, frame->policy_user_answer.tell);
	}
	s->transaction->user_counted(s, refused);
	return status;
}

void
user_limits_count(struct session *s, void (*done)(struct session *s, const char *refusal))
{
	const struct conf_values *v = s->settings->values;
	struct msg_policy_user ask = {
	    .user = span_of(s->sasl_username),
	    .recipients = s->transaction->accepted,
	    .messages_hour = most_of(v, USER_MESSAGES_HOUR),
	    .messages_day = most_of(v, USER_MESSAGES_DAY),
	    .recipients_hour = most_of(v, USER_RECIPIENTS_HOUR),
	    .recipients_day = most_of(v, USER_RECIPIENTS_DAY),
	};

	s->transaction->user_counted = done;
	if (!s->sasl_username ||
	    !(ask.messages_hour | ask.messages_day | ask.recipients_hour | ask.recipients_day) ||
	    session_ask(s, ROLE_POLICY, IPC_POLICY_USER, &ask, on_answer, s) < 0)
		done(s, NULL);
}

void
user_limits_told(struct session *s)
{
	struct msg_policy_told note = {.user = span_of(s->sasl_username)};

	if (s->sasl_username)
		(void)ipc_send(s->smtpd->peers[ROLE_POLICY], IPC_POLICY_TOLD, 0, &note);
}
