/*
 * Every command in every state, and every second command after it: what the session does is compared with a model that
 * knows nothing of the code. What counts: one reply for each command, the state after it, and that no message comes
 * about that the model does not know of.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "smtpd/transaction.h"
#include "tests/unit/smtpd/fakes.h"

/* What the model knows of a session. */
struct model {
	bool helo, sender, chunking;
	unsigned good, bad; /* recipients */
	unsigned messages;
};

enum effect {
	NONE,
	HELLO,
	SENDER,
	GOOD_RECIPIENT,
	BAD_RECIPIENT,
	RESET,
	DATA, /* and a whole message, if it is let in */
	DATA_REFUSED_AT_END,
	BAD_DATA,
	CHUNK,
	LAST_CHUNK,
	ETRN
};

static const struct {
	const char *bytes;
	enum effect effect;
} commands[] = {
    {"HELO h.test\r\n", HELLO},
    {"EHLO h.test\r\n", HELLO},
    {"EHLO\r\n", NONE},
    {"MAIL FROM:<a@b.test>\r\n", SENDER},
    {"MAIL FROM:<a@b.test\r\n", NONE},
    {"MAIL FROM:<a@b.test> SIZE=99999999999\r\n", NONE},
    {"MAIL FROM:<\xc3\xa4@b.test>\r\n", NONE},
    {"RCPT TO:<alice@here.test>\r\n", GOOD_RECIPIENT},
    {"RCPT TO:<r@far.test>\r\n", BAD_RECIPIENT},
    {"RCPT TO:<nobody@here.test>\r\n", BAD_RECIPIENT},
    {"RCPT TO:<temp@here.test>\r\n", BAD_RECIPIENT},
    {"RCPT TO:<\r\n", BAD_RECIPIENT},
    {"RCPT TO:<alice@here.test> NOTIFY=x\r\n", BAD_RECIPIENT},
    {"RCPT TO:<\xc3\xa4@here.test>\r\n", BAD_RECIPIENT},
    {"DATA\r\n", DATA},
    {"DATA x\r\n", BAD_DATA},
    {"BDAT 4\r\nx: y", CHUNK},
    {"BDAT 0\r\n", CHUNK},
    {"BDAT 4 LAST\r\nx: y", LAST_CHUNK},
    {"BDAT 0 LAST\r\n", LAST_CHUNK},
    {"RSET\r\n", RESET},
    {"RSET x\r\n", NONE},
    {"NOOP\r\n", NONE},
    {"VRFY alice@here.test\r\n", NONE},
    {"VRFY \xc3\xa4@here.test\r\n", NONE},
    {"VRFY \xc3\xa4@here.test SMTPUTF8\r\n", NONE},
    {"VRFY r@far.test\r\n", NONE},
    {"EXPN list\r\n", NONE},
    {"ETRN here.test\r\n", NONE},
    {"HELP\r\n", NONE},
    {"AUTH\r\n", NONE},
    {"AUTH PLAIN AGEAYg==\r\n", NONE},
    {"AUTH PLAIN AGEAY\r\n", NONE},
    {"FROB\r\n", NONE},
    {"\r\n", NONE},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void
end_transaction(struct model *m)
{
	m->sender = m->chunking = false;
	m->good = m->bad = 0;
}

/* Returns false if DATA is answered with 354: then a message follows. */
static void
apply(struct model *m, enum effect effect, bool *go_ahead)
{
	*go_ahead = false;
	switch (effect) {
	case HELLO:
		m->helo = true;
		end_transaction(m);
		break;
	case SENDER:
		m->sender = true;
		break;
	case GOOD_RECIPIENT:
		if (m->sender && !m->chunking)
			m->good++;
		break;
	case BAD_RECIPIENT:
		if (m->sender && !m->chunking)
			m->bad++;
		break;
	case RESET:
		end_transaction(m);
		break;
	case DATA:
		*go_ahead = m->good && !m->chunking;
		if (*go_ahead) {
			m->messages++;
			end_transaction(m);
		}
		break;
	case BAD_DATA:
		if (m->good && !m->chunking)
			end_transaction(m);
		break;
	case CHUNK:
		if (m->good)
			m->chunking = true;
		else
			end_transaction(m);
		break;
	case LAST_CHUNK:
		m->messages += m->good > 0;
		end_transaction(m);
		break;
	default:
		break;
	}
}

static enum session_state
state_of(const struct model *m)
{
	if (!m->sender)
		return m->helo ? STATE_GREETED : STATE_CONNECTED;
	if (m->chunking)
		return STATE_CHUNKS;
	return m->good ? STATE_RECIPIENTS : m->bad ? STATE_REFUSED : STATE_SENDER;
}

/* Final lines of replies in text. */
static unsigned
count_replies(const char *text)
{
	struct span rest = span_of(text), line;
	unsigned n = 0;

	while (span_next_line(&rest, &line))
		n += line.len > 3 && line.ptr[3] == ' ';
	return n;
}

static void
step(struct fakes *f, struct model *m, size_t command, const char *history)
{
	static const char message[] = "Subject: x\r\n\r\nRCPT TO:<evil@here.test>\r\n..\r\n.\r\n";
	enum session_state before = state_of(m);
	bool go_ahead;
	const char *replies;
	unsigned wanted = 1;

	fakes_send(f, commands[command].bytes, strlen(commands[command].bytes));
	/* A nested MAIL changes nothing. */
	apply(m, commands[command].effect, &go_ahead);
	if (go_ahead) {
		fakes_send(f, message, sizeof(message) - 1);
		wanted++;
	}
	replies = fakes_replies(f);
	if (fakes_session(f) == NULL)
		fail_msg("%s > %s: the session has ended: %s", history, commands[command].bytes, replies);
	if (count_replies(replies) != wanted)
		fail_msg("%s > %s: %s", history, commands[command].bytes, replies);
	if (session_state(fakes_session(f)) != state_of(m))
		fail_msg("%s > %s in %d: state %d, not %d: %s", history, commands[command].bytes, (int)before,
		    (int)session_state(fakes_session(f)), (int)state_of(m), replies);
}

/* The six states, and how to get there. */
static const size_t ways[STATE_COUNT][5] = {
    [STATE_CONNECTED] = {COMMANDS},
    [STATE_GREETED] = {1, COMMANDS},
    [STATE_SENDER] = {1, 3, COMMANDS},
    [STATE_REFUSED] = {1, 3, 8, COMMANDS},
    [STATE_RECIPIENTS] = {1, 3, 7, COMMANDS},
    [STATE_CHUNKS] = {1, 3, 7, 16, COMMANDS},
};

static void
walk(struct fakes *f, size_t state, size_t first, size_t second)
{
	struct model m = {0};
	char history[300];
	unsigned before = f->smtpd.ids.last_us != 0 ? 0 : 0;
	struct fake_message *last;

	(void)before;
	(void)snprintf(history, sizeof(history), "state %zu", state);
	fakes_connect(f, "192.0.2.99");
	(void)fakes_replies(f);
	for (size_t i = 0; ways[state][i] != COMMANDS; i++)
		step(f, &m, ways[state][i], history);
	assert_int_equal(state_of(&m), state);
	step(f, &m, first, history);
	(void)snprintf(history, sizeof(history), "state %zu > %s", state, commands[first].bytes);
	step(f, &m, second, history);
	last = fakes_last_message(f);
	if (m.messages && (!last || !last->closed || last->recipients == 0))
		fail_msg("%s > %s: an accepted message is not there", history, commands[second].bytes);
	if (last && last->last_recipient)
		assert_null(strstr(last->last_recipient, "evil"));
}

static void
test_every_pair(void **state)
{
	struct fakes f;

	(void)state;
	fakes_init(&f,
	    "myhostname = mx.here.test\nmynetworks = 192.0.2.1/32\nsmtpd_soft_error_limit = 1000\n"
	    "smtpd_hard_error_limit = 1000\nsmtpd_client_connection_count_limit = "
	    "0\nsmtpd_forbid_unauth_pipelining = no\nsmtpd_sasl_auth_enable = yes\n"
	    "smtpd_sasl_type = table\nsmtpd_tls_auth_only = no\n",
	    "192.0.2.99");
	for (size_t s = 0; s < STATE_COUNT; s++)
		for (size_t first = 0; first < COMMANDS; first++)
			for (size_t second = 0; second < COMMANDS; second++) {
				walk(&f, s, first, second);
				buf_clear(&f.log);
			}
	fakes_fini(&f);
}

/* The commands of a message come as often as all others. */
static size_t
pick(uint32_t *seed)
{
	static const size_t usual[] = {1, 3, 3, 7, 7, 14, 16, 18};

	*seed = *seed * 1664525 + 1013904223;
	uint32_t number = *seed >> 8;
	return number & 1 ? usual[(number >> 1) % 8] : (number >> 1) % COMMANDS;
}

static const struct fake_message *
newest_closed(const struct fakes *f)
{
	for (size_t i = f->message_count; i-- > 0;)
		if (f->messages[i].closed)
			return &f->messages[i];
	return NULL;
}

/* Long sessions: nothing of a message, accepted or refused, is left for those that follow. */
static void
test_long_walks(void **state)
{
	enum { WALKS = 150, STEPS = 60 };
	struct fakes f;
	uint32_t seed = 1;

	(void)state;
	fakes_init(&f,
	    "myhostname = mx.here.test\nsmtpd_soft_error_limit = 1000\nsmtpd_hard_error_limit = 1000\n"
	    "smtpd_client_connection_count_limit = 0\nsmtpd_forbid_unauth_pipelining = no\n",
	    "192.0.2.99");
	for (unsigned w = 0; w < WALKS; w++) {
		struct model m = {0};

		fakes_connect(&f, "192.0.2.99");
		(void)fakes_replies(&f);
		for (unsigned i = 0; i < STEPS; i++) {
			const struct fake_message *newest = newest_closed(&f);
			uint64_t id = newest ? newest->id : 0;
			unsigned messages = m.messages;
			char history[100];

			(void)snprintf(history, sizeof(history), "walk %u, step %u", w, i);
			step(&f, &m, pick(&seed), history);
			newest = newest_closed(&f);
			if ((newest && newest->id != id) != (m.messages > messages))
				fail_msg("%s: %u messages, by the model", history, m.messages - messages);
			if (m.messages > messages &&
			    (newest->recipients != 1 || strcmp(newest->sender, "a@b.test") != 0))
				fail_msg("%s: from %s to %u", history, newest->sender, newest->recipients);
		}
		buf_clear(&f.log);
	}
	fakes_fini(&f);
}

/* The same with refusals at DATA and at the end: the transaction is gone after each. */
static void
test_after_refusals(void **state)
{
	static const char *const confs[] = {"smtpd_data_restrictions = reject\n",
	    "smtpd_end_of_data_restrictions = reject\n", "message_size_limit = 10\n", "hopcount_limit = 1\n"};
	static const char *const contents[] = {"DATA\r\n", "BDAT 100 LAST\r\n", "BDAT 100\r\n"};

	(void)state;
	for (size_t c = 0; c < sizeof(confs) / sizeof(confs[0]); c++)
		for (size_t k = 0; k < sizeof(contents) / sizeof(contents[0]); k++)
			for (size_t next = 0; next < COMMANDS; next++) {
				struct fakes f;
				struct model m = {.helo = true};
				char conf[500], body[200], history[100];
				bool is_last = strstr(contents[k], "LAST") || k == 0;

				(void)snprintf(conf, sizeof(conf), "myhostname = mx.here.test\n%s", confs[c]);
				(void)snprintf(body, sizeof(body), "Received: x\r\n\r\n%084d", 0);
				memcpy(body + 98, "\r\n", 3);
				(void)snprintf(history, sizeof(history), "%s %s", confs[c], contents[k]);
				fakes_init(&f, conf, "192.0.2.99");
				fakes_send(&f, "EHLO x\r\n", 8);
				fakes_send(&f, "MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@here.test>\r\n", 49);
				(void)fakes_replies(&f);
				fakes_send(&f, contents[k], strlen(contents[k]));
				if (k > 0 || strstr(fakes_replies(&f), "354"))
					fakes_send(&f, body, 100);
				if (k == 0 && c > 0)
					fakes_send(&f, ".\r\n", 3);
				if (is_last || strstr(buf_text(&f.log), "reject")) {
					assert_null(fakes_session(&f)->transaction);
					assert_int_equal(fakes_committed(&f), 0);
					(void)fakes_replies(&f);
					f.answer_with = SUBMIT_OK;
					step(&f, &m, next, history);
				}
				fakes_fini(&f);
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_pair),
	    cmocka_unit_test(test_long_walks),
	    cmocka_unit_test(test_after_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
