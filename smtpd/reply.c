#include "smtpd/reply.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "smtpd/session.h"
#include "smtpd/session_errors.h"
#include "smtpd/transaction.h"

/* RFC 5321, 4.5.3.1.5. */
enum { REPLY_LINE_MAX = 510 };

/* True if replies are to be slowed down: the client makes errors and delivers nothing, or guesses passwords. */
static bool
tarpit(const struct session *s)
{
	const struct conf_values *v = s->settings->values;

	if (s->ending)
		return false;
	return s->delay_us > 0 || (v->smtpd_error_sleep_time > 0 && s->errors >= v->smtpd_soft_error_limit);
}

static void
send_line(struct session *s, struct span line)
{
	if (s->waiting == WAIT_TARPIT || tarpit(s)) {
		(void)buf_append_span(&s->held, line);
		(void)buf_append_text(&s->held, "\r\n");
		return;
	}
	stream_write(s->stream, line.ptr, line.len);
	stream_write(s->stream, "\r\n", 2);
}

/* Holds the session until the sleep is over, if its reply was held back. */
static void
begin_sleep(struct session *s)
{
	int64_t sleep = s->settings->values->smtpd_error_sleep_time;

	if (s->held.len == 0 || s->waiting == WAIT_TARPIT)
		return;
	if (s->errors < s->settings->values->smtpd_soft_error_limit || sleep < s->delay_us)
		sleep = s->delay_us;
	s->delay_us = 0;
	session_wait(s, WAIT_TARPIT);
	stream_set_deadline(s->stream, clock_mono_us() + sleep);
}

void
reply_release(struct session *s)
{
	if (s->held.len)
		stream_write(s->stream, buf_ptr(&s->held), s->held.len);
	buf_free(&s->held);
}

static void
put_reply(
    struct session *s, unsigned code, char separator, const char *enhanced, const char *format, va_list args)
{
	char text[REPLY_TEXT_MAX], line[REPLY_TEXT_MAX + 32];
	struct buf clean;
	char class = code >= 500 && s->settings->values->soft_bounce ? '4' : (char)('0' + code / 100);

	(void)vsnprintf(text, sizeof(text), format, args);
	(void)snprintf(line, sizeof(line), "%c%02u%c%s%s%s", class, code % 100, separator, enhanced,
	    *enhanced ? " " : "", text);
	if (*enhanced && (enhanced[0] == '4' || enhanced[0] == '5'))
		line[4] = class;
	buf_init(&clean, REPLY_LINE_MAX);
	text_append_printable(&clean, span_of(line), REPLY_LINE_MAX);
	session_errors_said(s, code, enhanced, buf_span(&clean));
	send_line(s, buf_span(&clean));
	buf_free(&clean);
}

static void
count(struct session *s, unsigned code)
{
	s->answered = true;
	if (code >= 400 && s->errors < UINT16_MAX)
		s->errors++;
	else if (code < 400 && s->command < COMMAND_COUNT)
		s->good[s->command]++;
}

void
reply(struct session *s, unsigned code, const char *enhanced, const char *format, ...)
{
	va_list args;

	if (s->ending)
		return;
	count(s, code);
	va_start(args, format);
	put_reply(s, code, ' ', enhanced, format, args);
	va_end(args);
	begin_sleep(s);
}

void
reply_more(struct session *s, unsigned code, const char *enhanced, const char *format, ...)
{
	va_list args;

	if (s->ending)
		return;
	va_start(args, format);
	put_reply(s, code, '-', enhanced, format, args);
	va_end(args);
}

void
reply_lines(struct session *s, unsigned code, struct span lines)
{
	struct span line;
	struct buf out;

	if (s->ending)
		return;
	count(s, code);
	while (span_next_line(&lines, &line)) {
		buf_init(&out, REPLY_LINE_MAX);
		(void)buf_printf(&out, "%u%c", code, lines.len ? '-' : ' ');
		text_append_printable(&out, line, REPLY_LINE_MAX - out.len);
		session_errors_said(s, code, "", buf_span(&out));
		send_line(s, buf_span(&out));
		buf_free(&out);
	}
	begin_sleep(s);
}

void
reply_text(struct session *s, struct span text)
{
	uint64_t code = 451;
	char enhanced[16] = "";
	struct span word = span_sub(text, 0, 3), rest = span_trim(span_from(text, 3));

	if (number_parse(word, 200, 599, &code) < 0)
		rest = text;
	if (rest.len > 5 && rest.ptr[1] == '.' && (unsigned char)(rest.ptr[0] - '0') == code / 100) {
		(void)span_next_word(&rest, " ", &word);
		(void)span_copy(word, enhanced, sizeof(enhanced));
		rest = span_trim(rest);
	}
	if (code == 421 || code == 521)
		reply_goodbye(s, NULL, (unsigned)code, enhanced, "%.*s", SPAN_ARG(rest));
	else
		reply(s, (unsigned)code, enhanced, "%.*s", SPAN_ARG(rest));
}

void
reply_go_ahead(struct session *s)
{
	struct span line = SPAN_LIT("354 End data with <CR><LF>.<CR><LF>");

	session_errors_said(s, 354, "", line);
	send_line(s, line);
	begin_sleep(s);
}

void
reply_challenge(struct session *s, struct span base64)
{
	struct buf line;

	buf_init(&line, base64.len + 8);
	(void)buf_printf(&line, "334 %.*s", SPAN_ARG(base64));
	send_line(s, buf_span(&line));
	buf_free(&line);
	begin_sleep(s);
}

void
reply_goodbye(
    struct session *s, const char *how, unsigned code, const char *enhanced, const char *format, ...)
{
	va_list args;

	if (s->ending)
		return;
	reply_release(s);
	s->ending = true; /* from now on nothing is held back */
	va_start(args, format);
	put_reply(s, code, ' ', enhanced, format, args);
	va_end(args);
	s->ending = false;
	session_end(s, how);
}

/* With soft_bounce the log tells what the client was told. */
static void
append_refusal(struct buf *line, const struct session *s, struct span text)
{
	if (!s->settings->values->soft_bounce || text.len < 5 || text.ptr[0] != '5' || text.ptr[3] != ' ') {
		(void)buf_append_span(line, text);
		return;
	}
	(void)buf_printf(line, "4%.3s", text.ptr + 1);
	if (text.len > 6 && text.ptr[4] == '5' && text.ptr[5] == '.') {
		(void)buf_append_text(line, "4");
		text = span_from(text, 1);
	}
	(void)buf_append_span(line, span_from(text, 4));
}

void
log_action(struct session *s, const char *action, const char *where, struct span recipient, struct span text)
{
	char label[CLIENT_LABEL_SIZE];
	struct log log = session_log(s);
	const struct transaction *t = s->transaction;
	struct buf line;

	buf_init(&line, 4000);
	(void)buf_printf(&line, "%s%s: %s from %s: ", log.queue_id ? "" : "NOQUEUE: ", action, where,
	    session_label(s, label));
	append_refusal(&line, s, text);
	(void)buf_append_text(&line, ";");
	if (t)
		(void)buf_printf(&line, " from=<%.*s>", SPAN_ARG(t->sender));
	if (recipient.len)
		(void)buf_printf(&line, " to=<%.*s>", SPAN_ARG(recipient));
	(void)buf_printf(&line, " proto=%s", s->esmtp ? "ESMTP" : "SMTP");
	if (s->helo)
		(void)buf_printf(&line, " helo=<%s>", s->helo);
	if (s->sasl_username)
		(void)buf_printf(&line, " sasl_username=<%s>", s->sasl_username);
	log_info(&log, "%s", buf_text(&line));
	buf_free(&line);
}
