/*
 * BDAT (RFC 3030). Its octets come whatever is answered, so a refused one swallows them; a chunk whose size cannot be
 * told ends the session, for nothing behind it could be told from commands.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "smtpd/content_flow.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/tls.h"
#include "smtpd/transaction.h"

/* A refused chunk is swallowed if it is not absurdly large; else the session ends. */
enum { SWALLOW_FACTOR = 2, SWALLOW_MIN = 1024 * 1024, SHOWN_MAX = 100 };

static bool
parse(struct span arguments, uint64_t *size, bool *last)
{
	struct span word;

	*last = false;
	if (!span_next_word(&arguments, " \t", &word) || number_parse(word, 0, INT64_MAX, size) < 0)
		return false;
	if (!span_next_word(&arguments, " \t", &word))
		return true;
	*last = true;
	return span_is_nocase(word, "LAST") && span_trim(arguments).len == 0;
}

void
bdat_swallowed(struct session *s)
{
	char *text = s->swallow_reply;

	s->swallow_reply = NULL;
	s->input = INPUT_COMMANDS;
	reply_text(s, span_of(text));
	free(text);
	session_continue(s);
}

/* Answers text once the chunk is through. */
static void
swallow(struct session *s, const char *text)
{
	s->swallow_reply = mem_strdup(text);
	s->input = INPUT_SWALLOW;
	if (s->chunk_left == 0)
		bdat_swallowed(s);
}

static void
log_framing(const struct session *s, struct span arguments, const char *what)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);

	arguments = span_sub(arguments, 0, SHOWN_MAX);
	log_warning(&log, "%s%s from %s: BDAT %.*s", log.queue_id ? "" : "NOQUEUE: ", what,
	    session_label(s, label), SPAN_ARG(arguments));
}

static bool
begin_chunk(struct session *s, struct span arguments)
{
	uint64_t limit = (uint64_t)s->settings->values->message_size_limit;

	if (!parse(arguments, &s->chunk_size, &s->last_chunk)) {
		log_framing(s, arguments, "malformed BDAT command syntax");
		reply_goodbye(s, NULL, 501, "5.5.4", "Syntax: BDAT count [LAST]");
		return false;
	}
	s->chunk_left = s->chunk_size;
	s->chunk_since_us = clock_mono_us();
	if (limit && s->chunk_size > limit * SWALLOW_FACTOR + SWALLOW_MIN) {
		log_framing(s, arguments, "BDAT request exceeds message size limit");
		reply_goodbye(s, NULL, 552, "5.3.4", "Chunk exceeds message size limit");
		return false;
	}
	return true;
}

void
cmd_bdat_refused(struct session *s, struct span arguments)
{
	const char *text = session_state(s) == STATE_REFUSED ? "554 5.5.1 no valid recipients"
							     : "503 5.5.1 Error: need RCPT command";

	if (!begin_chunk(s, arguments))
		return;
	transaction_free(s);
	swallow(s, tls_is_missing(s) ? "530 5.7.0 Must issue a STARTTLS command first" : text);
}

static void
chunk_done(struct session *s)
{
	s->input = INPUT_COMMANDS;
	if (s->transaction->content.fault != CONTENT_FINE)
		flow_refuse(s);
	else if (s->last_chunk)
		flow_finish(s);
	else
		reply(s, 250, "2.0.0", "Ok: %llu bytes", (unsigned long long)s->chunk_size);
}

static void
take_chunk(struct session *s)
{
	if (!s->transaction->content_begun)
		flow_begin(s, false);
	s->transaction->chunking = true;
	s->input = INPUT_CHUNK;
	if (s->chunk_left == 0)
		chunk_done(s);
}

static void
prepared(struct session *s, const char *refusal)
{
	if (refusal) {
		swallow(s, refusal);
		transaction_free(s);
	} else
		take_chunk(s);
	session_continue(s);
}

void
cmd_bdat(struct session *s, struct span arguments)
{
	if (!begin_chunk(s, arguments))
		return;
	if (keyword_is_hidden(s, "CHUNKING")) {
		swallow(s, "502 5.5.1 Error: command not implemented");
		transaction_free(s);
	} else if (s->transaction->content_begun)
		take_chunk(s);
	else
		flow_prepare(s, prepared);
}

size_t
bdat_input(struct session *s, struct span bytes)
{
	size_t n =
	    flow_feed(s, span_sub(bytes, 0, s->chunk_left < bytes.len ? (size_t)s->chunk_left : bytes.len));

	s->chunk_left -= n;
	if (s->ending || s->chunk_left > 0)
		return n;
	chunk_done(s);
	session_continue(s);
	return n;
}
