#include "smtpd/peername.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "smtpd/limits.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/tls.h"

/*
 * Who connected within the last second is not asked for again: a client that opens a connection for each message spends
 * more on its name than on its greeting. What failed for the moment is not kept.
 */
enum { KNOWN_MAX = 256, KNOWN_US = US_PER_SECOND };

struct known_name {
	int64_t until_us;
	enum name_status status;
	char *name, *reverse;
};

static void
known_free(void *what)
{
	struct known_name *k = what;

	free(k->name);
	free(k->reverse);
	free(k);
}

static void
remember(const struct session *s)
{
	struct smtpd *d = s->smtpd;
	struct known_name *k;

	if (s->name_status == NAME_TEMPORARY)
		return;
	if (!d->names || table_count(d->names) >= KNOWN_MAX) {
		table_free(&d->names);
		d->names = table_new(KNOWN_MAX, known_free);
	}
	k = mem_alloc(sizeof(*k));
	k->until_us = clock_mono_us() + KNOWN_US;
	k->status = s->name_status;
	k->name = mem_strdup(s->client_name);
	k->reverse = mem_strdup(s->reverse_name);
	if (table_put(d->names, span_of(s->client_address), k) < 0)
		known_free(k);
}

static void
set_names(struct session *s, struct span name, struct span reverse)
{
	if (s->name_status == NAME_CONFIRMED && name.len) {
		free(s->client_name);
		s->client_name = mem_strndup(name.ptr, name.len);
	}
	if (reverse.len) {
		free(s->reverse_name);
		s->reverse_name = mem_strndup(reverse.ptr, reverse.len);
	}
}

static bool
recall(struct session *s)
{
	const struct known_name *k =
	    s->smtpd->names ? table_get(s->smtpd->names, span_of(s->client_address)) : NULL;

	if (!k || k->until_us < clock_mono_us())
		return false;
	s->name_status = k->status;
	set_names(s, span_of(k->name), span_of(k->reverse));
	return true;
}

static void
greet(struct session *s)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	s->greeted = true;
	if (s->tls_refusal && tls_refuses(s))
		return;
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
	/* RFC 5321, 3.1: the client is waited for to say QUIT. */
	s->greeted = true;
	s->denied = true;
	session_continue(s);
}

static void
check_client(struct session *s)
{
	struct check *c;

	if (s->settings->values->smtpd_delay_reject) {
		greet(s);
		return;
	}
	c = check_new(s, "CONNECT", checked);
	c->until_rcpt = &s->client_deferral;
	check_add_stage(c, RESTRICT_CLIENT);
	check_start(c);
}

/*
 * smtpd_tls_wrappermode: TLS before the first word. Where there is none nothing can be said, and whoever is one too many
 * costs no handshake.
 */
static void
wrap(struct session *s, enum limits_verdict verdict)
{
	char label[CLIENT_LABEL_SIZE];

	if (verdict == LIMITS_WITHIN && tls_is_possible(s)) {
		tls_begin(s, check_client);
		return;
	}
	if (verdict == LIMITS_WITHIN)
		log_warning(
		    NULL, "no TLS for %s: the certificate or its key is not there", session_label(s, label));
	session_end(s, NULL);
}

static void
counted(struct session *s, enum limits_verdict verdict)
{
	if (s->settings->values->smtpd_tls_wrappermode)
		wrap(s, verdict);
	else if (verdict == LIMITS_WITHIN)
		check_client(s);
	else
		reply_goodbye(s, NULL, 421, "4.7.0", "%s Error: too many connections from %s",
		    s->settings->values->myhostname, s->client_address);
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
	if (answer)
		set_names(s, answer->name, answer->reverse_name);
	remember(s);
	named(s);
	return 0;
}

void
peername_find(struct session *s)
{
	struct msg_name_ask ask = {.address = span_of(s->client_address), .asker = s->number};

	if (!s->settings->values->smtpd_peername_lookup || s->client.family == AF_UNIX || recall(s)) {
		named(s);
		return;
	}
	if (session_ask(s, ROLE_RESOLVER, IPC_NAME_ASK, &ask, on_name, s) < 0) {
		s->name_status = NAME_TEMPORARY;
		named(s);
	}
}
