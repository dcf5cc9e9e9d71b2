#include "smtpd/tls.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/tls/session.h"
#include "smtpd/limits.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/tls_level.h"
#include "smtpd/transaction.h"

enum { STRESS_TIMEOUT_US = 10 * US_PER_SECOND, SUMMARY_MAX = 1000 };

bool
tls_is_offered(const struct session *s)
{
	return !s->tls && s->settings->tls &&
	       tls_keys_has(s->smtpd->keys, s->settings->section->name, IDENTITY_SERVER);
}

bool
tls_is_possible(const struct session *s)
{
	return tls_is_offered(s) && s->smtpd->peers[ROLE_KEYS];
}

/* ---- the handshake ---- */

/* RFC 3207, 4.2: as if nothing had been said before. */
static void
forget(struct session *s)
{
	transaction_free(s);
	free(s->helo);
	s->helo = NULL;
	s->esmtp = false;
	free(s->sasl_method);
	free(s->sasl_username);
	s->sasl_method = s->sasl_username = NULL;
}

static void
log_summary(struct session *s)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);
	struct buf summary;

	if (s->settings->values->smtpd_tls_loglevel < 1)
		return;
	buf_init(&summary, SUMMARY_MAX);
	tls_facts_summary(s->tls, &summary);
	/* "to NAME", where the client asked for a name that has a certificate of its own, as Postfix has it. */
	log_info(&log, "%s TLS connection established from %s%s%s: %s", tls_standing_name(s->tls->standing),
	    session_label(s, label), *s->tls->name ? " to " : "", s->tls->name, buf_text(&summary));
	buf_free(&summary);
}

/* What smtpd_tls_loglevel = 2 adds: who the client is and, if it is not believed, why. */
static void
log_certificate(struct session *s)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);
	const struct tls_facts *f = s->tls;

	if (s->settings->values->smtpd_tls_loglevel < 2 || f->standing == TLS_ANONYMOUS)
		return;
	log_info(&log, "%s: subject_CN=%s, issuer=%s, fingerprint=%s, pkey_fingerprint=%s",
	    session_label(s, label), f->subject_common_name, f->issuer_common_name,
	    f->certificate_fingerprint, f->key_fingerprint);
	if (!f->trusted)
		log_info(&log, "certificate verification failed for %s: %s", label, f->why_untrusted);
}

static void
ended(struct session *s)
{
	void (*done)(struct session * s) = s->handshake_done;

	s->handshake_done = NULL;
	done(s);
}

/* smtpd_tls_req_ccert: whoever is not known by his certificate is told so in answer to his next command. */
static void
judge_certificate(struct session *s)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);
	const char *text = s->tls->standing == TLS_ANONYMOUS ? "No client certificate presented"
							     : "Client certificate not trusted";

	if (!tls_level_requires_certificate(s->settings->values) || s->tls->trusted)
		return;
	log_info(&log, "NOQUEUE: abort: TLS from %s: %s", session_label(s, label), text);
	s->tls_refusal = text;
}

bool
tls_refuses(struct session *s)
{
	if (!s->tls_refusal)
		return false;
	reply_goodbye(s, NULL, 421, "4.7.1", "%s Error: %s", s->settings->values->myhostname, s->tls_refusal);
	return true;
}

static void
counted(struct session *s, bool within)
{
	char label[CLIENT_LABEL_SIZE];

	if (!within) {
		reply_goodbye(s, NULL, 421, "4.7.0", "%s Error: too many new TLS sessions from %s",
		    s->settings->values->myhostname, session_label(s, label));
		return;
	}
	judge_certificate(s);
	ended(s);
}

static void
fail(struct session *s, const char *reason)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	log_info(&log, "SSL_accept error from %s: %s", session_label(s, label), reason);
	/* It had its 220, but came to nothing: "starttls=0/1". */
	if (s->command == COMMAND_STARTTLS)
		s->good[COMMAND_STARTTLS]--;
	session_end(s, "lost connection");
}

static void
on_handshake(void *context, bool ok, const char *reason)
{
	struct session *s = context;

	s->waiting = WAIT_NONE;
	if (!ok) {
		fail(s, reason);
		return;
	}
	s->tls = tls_facts(s->stream);
	log_summary(s);
	log_certificate(s);
	/* Whoever resumes an earlier session costs little (smtpd_client_new_tls_session_rate_limit). */
	if (s->tls->resumed)
		counted(s, true);
	else
		limits_count(s, POLICY_NEWTLS, counted);
}

void
tls_timed_out(struct session *s)
{
	fail(s, "Connection timed out");
}

void
tls_begin(struct session *s, void (*done)(struct session *s))
{
	const struct tls_plan plan = {.context = s->settings->tls};
	int64_t timeout = s->settings->values->smtpd_starttls_timeout;

	if (smtpd_stressed(s->smtpd) && timeout > STRESS_TIMEOUT_US)
		timeout = STRESS_TIMEOUT_US;
	forget(s);
	s->handshake_done = done;
	s->waiting = WAIT_HANDSHAKE; /* the stream is not paused: it reads for the handshake */
	stream_set_deadline(s->stream, clock_mono_us() + timeout);
	tls_start(s->stream, &plan, on_handshake, s);
}
