/*
 * sendmail -bs: SMTP on standard input and output, for programs that prefer it to arguments (nmh, pine).
 * sendmail -bS: the same in a batch, as Exim and UUCP know it: nobody reads replies; the first error ends it.
 *
 * A session of the caller with itself: nobody is asked for rights, and each message goes the way of all that this
 * command submits. Works with the daemon stopped.
 */
#include <errno.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/address.h"
#include "common/mail/outcome.h"
#include "smtpd/parameters.h"
#include "tools/sendmail.h"
#include "tools/sendmail_input.h"
#include "tools/traffic_log.h"

enum { LINE_LIMIT = 12288, ERRORS_MAX = 20, ARENA_BYTES = DROP_ENVELOPE_MAX };

struct smtp {
	struct sendmail *sendmail;
	struct buf in;
	size_t used; /* octets of in that the last line took */
	bool batch, ended, greeted, quit;
	struct arena *arena; /* of the transaction, NULL without one */
	struct drop_envelope envelope;
	unsigned errors, accepted;
};

enum { BATCH_SOME_ACCEPTED = 1, BATCH_NONE_ACCEPTED = 2 };

static void
reply(struct smtp *s, const char *text)
{
	bool refused = text[0] == '4' || text[0] == '5';

	traffic_log_out(span_of(text));
	s->errors += s->batch ? refused : text[0] == '5';
	if (!s->batch)
		printf("%s\r\n", text);
	else if (refused)
		fprintf(stderr, "sendmail: %s\n", text);
	s->ended = s->ended || (s->batch && refused);
}

/* The next line without its end, at most LINE_LIMIT octets of it. Returns false at the end of the input. */
static bool
next_line(struct smtp *s, struct span *line)
{
	buf_consume(&s->in, s->used);
	s->used = 0;
	for (;;) {
		ptrdiff_t lf = span_find(buf_span(&s->in), '\n');
		char *room;
		ssize_t n;
		if (lf >= 0 || s->in.len >= LINE_LIMIT) {
			s->used = lf >= 0 ? (size_t)lf + 1 : s->in.len;
			*line = span_sub(buf_span(&s->in), 0, lf >= 0 ? (size_t)lf : s->in.len);
			if (line->len > 0 && line->ptr[line->len - 1] == '\r')
				line->len--;
			return true;
		}
		fflush(stdout);
		room = buf_reserve(&s->in, 4096);
		n = room ? read(STDIN_FILENO, room, 4096) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		traffic_log_in(span_make(room, (size_t)n));
		buf_added(&s->in, (size_t)n);
	}
}

static void
reset(struct smtp *s)
{
	arena_free(&s->arena);
}

static void
cmd_helo(struct smtp *s, struct span args)
{
	const struct conf_values *v = s->sendmail->conf->values;

	(void)args;
	reset(s);
	s->greeted = true;
	if (!s->batch)
		printf("250 %s\r\n", v->myhostname);
}

static void
cmd_ehlo(struct smtp *s, struct span args)
{
	const struct conf_values *v = s->sendmail->conf->values;

	(void)args;
	reset(s);
	s->greeted = true;
	if (s->batch)
		return;
	printf("250-%s\r\n250-PIPELINING\r\n250-SIZE %lld\r\n250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-"
	       "DSN\r\n250 SMTPUTF8\r\n",
	    v->myhostname, (long long)v->message_size_limit);
}

/* Parses "FROM:<path> parameters". */
static enum address_fault
take_path(struct smtp *s, struct span args, const char *keyword, unsigned flags, struct span *address,
    struct span *parameters)
{
	if (!span_starts_nocase(args, keyword))
		return ADDRESS_SYNTAX;
	return address_parse_path(s->arena, span_from(args, strlen(keyword)),
	    flags | ADDRESS_UTF8 | ADDRESS_NO_DOMAIN_OK, address, parameters);
}

static const char *
refusal_of(struct smtp *s, const struct parameter_fault *fault)
{
	return arena_printf(
	    s->arena, "%u %s %s%.*s", fault->code, fault->enhanced, fault->text, SPAN_ARG(fault->what));
}

/* Those of what EHLO announces; a batch may hold others, which mean nothing here. Returns the reply to a bad one, or NULL. */
static const char *
take_parameters(struct smtp *s, struct span text,
    struct parameter_fault (*parse)(struct arena *a, struct span text, struct parameters *p),
    struct parameters *p)
{
	struct parameter_fault fault;
	char *copy = arena_copy(s->arena, text);

	if (copy == NULL)
		return "452 4.3.1 Insufficient system storage";
	while ((fault = parse(s->arena, span_make(copy, text.len), p)).code == 555 && s->batch)
		memset(copy + (fault.what.ptr - copy), ' ', fault.what.len);
	if (fault.code)
		return refusal_of(s, &fault);
	if (!s->batch && (p->auth_given || p->verp_given))
		return "555 5.5.4 Unsupported option";
	return NULL;
}

static const char *
take_mail_parameters(struct smtp *s, struct span text)
{
	int64_t limit = s->sendmail->conf->values->message_size_limit;
	struct parameters p;
	const char *refusal = take_parameters(s, text, parameters_of_mail, &p);

	if (refusal != NULL)
		return refusal;
	if (limit > 0 && p.size > (uint64_t)limit) /* RFC 1870, 6.1 */
		return "552 5.3.4 Message size exceeds fixed limit";
	s->envelope.flags |=
	    p.ret | (p.smtputf8 ? MAIL_SMTPUTF8 : 0) | (p.body_8bit ? MAIL_BODY_8BITMIME : 0);
	if (p.envid.len > 0)
		s->envelope.envid = p.envid;
	return NULL;
}

static void
cmd_mail(struct smtp *s, struct span args)
{
	struct span parameters;
	const char *refusal;

	if (s->arena != NULL) {
		reply(s, "503 5.5.1 Error: nested MAIL command");
		return;
	}
	s->arena = arena_new(ARENA_BYTES);
	drop_envelope_init(&s->envelope, s->arena);
	if (take_path(s, args, "FROM:", ADDRESS_NULL_OK, &s->envelope.sender, &parameters) != ADDRESS_OK)
		refusal = "501 5.1.7 Bad sender address syntax";
	else
		refusal = take_mail_parameters(s, parameters);
	if (refusal != NULL) {
		reply(s, refusal); /* which may lie in the arena */
		reset(s);
		return;
	}
	if (s->envelope.sender.len == 0) {
		s->envelope.flags |= DROP_NULL_SENDER;
		s->envelope.sender = SPAN_LIT("");
	}
	reply(s, "250 2.1.0 Ok");
}

static void
cmd_rcpt(struct smtp *s, struct span args)
{
	struct span address, rest;
	struct parameters p;
	const char *refusal;
	struct error err;

	if (s->arena == NULL)
		reply(s, "503 5.5.1 Error: need MAIL command");
	else if (take_path(s, args, "TO:", 0, &address, &rest) != ADDRESS_OK)
		reply(s, "501 5.1.3 Bad recipient address syntax");
	else if ((refusal = take_parameters(s, rest, parameters_of_rcpt, &p)) != NULL)
		reply(s, refusal);
	else if (drop_envelope_add(&s->envelope, address, &err) < 0 ||
		 drop_envelope_dsn(&s->envelope, p.notify, p.orcpt, &err) < 0)
		reply(s, "452 4.5.3 Error: too many recipients");
	else
		reply(s, "250 2.1.5 Ok");
}

/* Returns false at the end of the input: the message is not whole and is forgotten. */
static bool
read_content(struct smtp *s, struct spooled *message, struct error *err)
{
	struct span line;
	bool failed = false, first = true;

	while (next_line(s, &line)) {
		bool whole = s->used > 0 && s->in.mem[s->in.start + s->used - 1] == '\n';
		if (span_is(line, ".") && whole)
			return true;
		if (line.len > 1 && line.ptr[0] == '.') /* RFC 5321, 4.5.2 */
			line = span_from(line, 1);
		/* As smtpd keeps it. */
		first = first && whole && sendmail_is_from_line(line);
		if (first && !failed)
			failed = spooled_add(message, SPAN_LIT("X-Mailbox-Line: "), err) < 0;
		if (!failed)
			failed = spooled_add(message, line, err) < 0 ||
				 (whole && spooled_add(message, SPAN_LIT("\n"), err) < 0);
	}
	return false;
}

static void
submit(struct smtp *s, struct spooled *message, struct error *err)
{
	char id[QUEUE_ID_SIZE] = "", text[700];
	int status = sendmail_submit(s->sendmail, &s->envelope, message, id, err);

	s->accepted += status == 0;
	if (status == 0) {
		/* In the drop directory it has no id yet. */
		snprintf(text, sizeof(text), "250 2.0.0 Ok: queued%s%s", id[0] ? " as " : "", id);
		reply(s, text);
	} else if (status == EX_TEMPFAIL)
		reply(s, "451 4.3.0 Error: queue file write error");
	else {
		struct span said = span_of(err->text);
		ptrdiff_t blank = span_find(said, ' ');
		bool has_code = blank > 0 && enhanced_code_valid(span_sub(said, 0, (size_t)blank));

		snprintf(text, sizeof(text), "554 %s%s", has_code ? "" : "5.6.0 ", err->text);
		reply(s, text);
	}
}

static void
cmd_data(struct smtp *s, struct span args)
{
	struct spooled message;
	struct error err = {.number = 0};

	(void)args;
	if (s->arena == NULL || s->envelope.recipients == 0) {
		reply(s,
		    s->arena ? "554 5.5.1 Error: no valid recipients" : "503 5.5.1 Error: need RCPT command");
		return;
	}
	reply(s, "354 End data with <CR><LF>.<CR><LF>");
	spooled_init(&message, (uint64_t)s->sendmail->conf->values->message_size_limit);
	if (!read_content(s, &message, &err)) {
		if (s->batch)
			reply(s, "451 4.4.2 Error: the input ends within a message");
		s->ended = true;
	} else if (message.over)
		reply(s, "552 5.3.4 Error: message too large");
	else if (err.text[0])
		reply(s, "451 4.3.0 Error: queue file write error");
	else
		submit(s, &message, &err);
	spooled_free(&message);
	reset(s);
}

static void
cmd_rset(struct smtp *s, struct span args)
{
	(void)args;
	reset(s);
	reply(s, "250 2.0.0 Ok");
}

static void
cmd_noop(struct smtp *s, struct span args)
{
	(void)args;
	reply(s, "250 2.0.0 Ok");
}

static void
cmd_vrfy(struct smtp *s, struct span args)
{
	(void)args;
	reply(s, "252 2.0.0 Try it and see");
}

static void
cmd_quit(struct smtp *s, struct span args)
{
	(void)args;
	reply(s, "221 2.0.0 Bye");
	s->quit = true;
}

static const struct {
	const char *verb;
	void (*run)(struct smtp *s, struct span args);
} commands[] = {
    {"HELO", cmd_helo},
    {"EHLO", cmd_ehlo},
    {"MAIL", cmd_mail},
    {"RCPT", cmd_rcpt},
    {"DATA", cmd_data},
    {"RSET", cmd_rset},
    {"NOOP", cmd_noop},
    {"VRFY", cmd_vrfy},
    {"QUIT", cmd_quit},
};

static void
run_line(struct smtp *s, struct span line)
{
	struct span rest = line, verb;

	if (!span_next_word(&rest, " \t", &verb)) {
		reply(s, "500 5.5.2 Error: bad syntax");
		return;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (span_is_nocase(verb, commands[i].verb)) {
			commands[i].run(s, span_trim(rest));
			return;
		}
	}
	reply(s, "502 5.5.2 Error: command not recognized");
}

int
sendmail_smtp(struct sendmail *sendmail)
{
	struct smtp s = {.sendmail = sendmail, .batch = sendmail->options.mode == SENDMAIL_BATCH};
	struct span line;

	buf_init(&s.in, LINE_LIMIT + 4096);
	if (!s.batch)
		printf("220 %s ESMTP\r\n", sendmail->conf->values->myhostname);
	while (!s.quit && !s.ended && s.errors < ERRORS_MAX && next_line(&s, &line))
		run_line(&s, line);
	if (s.errors >= ERRORS_MAX)
		printf("421 4.7.0 %s Error: too many errors\r\n", sendmail->conf->values->myhostname);
	reset(&s);
	buf_free(&s.in);
	if (s.batch && s.errors > 0)
		return s.accepted > 0 ? BATCH_SOME_ACCEPTED : BATCH_NONE_ACCEPTED;
	return fflush(stdout) == 0 ? 0 : EX_IOERR;
}
