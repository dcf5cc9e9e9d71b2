#include "smtpd/peername.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "smtpd/limits.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

static void
greet(struct session *s)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	s->greeted = true;
	/* RFC 5321, 4.3.1: the client waits for the greeting. */
	if (s->settings->values->smtpd_forbid_unauth_pipelining && stream_input_pending(s->stream)) {
		log_info(&log, "improper command pipelining after CONNECT from %s", session_label(s, label));
		reply_goodbye(s, NULL, 554, "5.5.0", "Error: SMTP protocol synchronization");
		return;
	}
	reply(s, 220, "", "%s", s->settings->banner);
	session_continue(s);
}

static void
checked(struct session *s, bool permitted)
{
	if (permitted) {
		greet(s);
		return;
	}
	reply_text(s, span_of(s->check->text));
	session_end(s, NULL);
}

static void
counted(struct session *s, enum limits_verdict verdict)
{
	const char *name = s->settings->values->myhostname;
	struct check *c;

	if (verdict != LIMITS_WITHIN) {
		reply_goodbye(
		    s, NULL, 421, "4.7.0", "%s Error: too many connections from %s", name, s->client_address);
		return;
	}
	if (s->settings->values->smtpd_delay_reject) {
		greet(s);
		return;
	}
	c = check_new(s, "CONNECT", checked);
	check_add_stage(c, RESTRICT_CLIENT);
	check_start(c);
}

static void
named(struct session *s)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	if (s->name_status == NAME_FORGED)
		log_warning(
		    &log, "hostname %s does not resolve to address %s", s->reverse_name, s->client_address);
	log_info(&log, "connect from %s", session_label(s, label));
	limits_connect(s, counted);
}

static int
on_name(void *context, const struct ipc_frame *frame, struct error *err)
{
	struct session *s = context;
	const struct msg_name_answer *answer = frame ? &frame->name_answer : NULL;

	(void)err;
	session_answered(s);
	s->name_status = answer && answer->status <= NAME_TEMPORARY ? answer->status : NAME_TEMPORARY;
	if (s->name_status == NAME_CONFIRMED && answer->name.len) {
		free(s->client_name);
		s->client_name = mem_strndup(answer->name.ptr, answer->name.len);
	}
	if (answer && answer->reverse_name.len) {
		free(s->reverse_name);
		s->reverse_name = mem_strndup(answer->reverse_name.ptr, answer->reverse_name.len);
	}
	named(s);
	return 0;
}

void
peername_find(struct session *s)
{
	struct msg_name_ask ask = {.address = span_of(s->client_address), .asker = s->number};

	if (!s->settings->values->smtpd_peername_lookup || s->client.family == AF_UNIX) {
		named(s);
		return;
	}
	if (session_ask(s, ROLE_RESOLVER, IPC_NAME_ASK, &ask, on_name, s) < 0) {
		s->name_status = NAME_TEMPORARY;
		named(s);
	}
}
