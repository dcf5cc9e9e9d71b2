/*
 * sendmail: the command that programs call to send mail; also mailq and newaliases.
 *
 * Runs as   whoever calls it, never with more rights.
 * Talks to  pickup's socket; the drop program; postern(8) for the queue, aliases and routes.
 * Reads     its arguments, postern.conf, a message on standard input.
 * If taken  the caller was taken before: there is nothing here that the caller has not.
 */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/inherited.h"
#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/address.h"
#include "common/mail/verp.h"
#include "tools/sendmail.h"
#include "tools/sendmail_input.h"
#include "tools/sendmail_recipients.h"
#include "tools/submit.h"
#include "tools/traffic_log.h"

enum { ARENA_BYTES = DROP_ENVELOPE_MAX };

int
sendmail_fail(const struct sendmail *s, int status, const char *text)
{
	traffic_log_out(span_of(text));
	if (s->failure != NULL)
		snprintf(s->failure, SENDMAIL_FAILURE_SIZE, "%s", text);
	else if (s->options.errors != SENDMAIL_ERRORS_QUIET)
		fprintf(stderr, "sendmail: %s\n", text);
	return status;
}

/* The caller's name. One that the system does not know (a container) still has a number. */
static struct span
login_name(struct arena *a)
{
	const struct passwd *pw = getpwuid(getuid());

	if (pw != NULL)
		return span_of(arena_strdup(a, pw->pw_name));
	return span_of(arena_printf(a, "uid-%u", (unsigned)getuid()));
}

/* passwd(5): up to the first comma, '&' is the login name with a capital. */
static struct span
gecos_name(struct arena *a)
{
	const struct passwd *pw = getpwuid(getuid());
	struct buf name;
	struct span result;

	if (pw == NULL || pw->pw_gecos == NULL)
		return span_make(NULL, 0);
	buf_init(&name, 300);
	for (const char *c = pw->pw_gecos; *c && *c != ','; c++) {
		if (*c != '&') {
			buf_append(&name, c, 1);
			continue;
		}
		buf_printf(&name, "%c%s",
		    pw->pw_name[0] >= 'a' && pw->pw_name[0] <= 'z' ? pw->pw_name[0] - 32 : pw->pw_name[0],
		    pw->pw_name[0] ? pw->pw_name + 1 : "");
	}
	result = arena_copy_span(a, buf_span(&name));
	buf_free(&name);
	return result;
}

static struct span
full_name(struct arena *a, const struct sendmail_options *o)
{
	const char *given = o->full_name ? o->full_name : getenv("NAME");
	struct span name = given != NULL && (o->full_name || given[0]) ? span_of(given) : gecos_name(a);
	char *text = arena_copy(a, span_sub(name, 0, 300));

	/* It becomes part of one line, whatever stands in the environment. */
	for (char *c = text; c != NULL && *c; c++)
		if ((unsigned char)*c < 32 || *c == 127)
			*c = ' ';
	return span_of(text);
}

struct one_address {
	struct span address;
	unsigned count;
};

static bool
keep_address(struct span address, void *context)
{
	struct one_address *one = context;

	if (one->count++ == 0)
		one->address = address;
	return true;
}

/*
 * What is no address: the first of several ("a@x, b@y", "a b"), or with quotes around what is in front of the domain
 * ("a@@b"). False where that makes none, either. Of a line break nothing is made: whoever gives one wants another's header.
 */
static bool
mend_sender(struct sendmail *s, struct arena *a, struct span text, struct one_address *one)
{
	struct one_address found = {.count = 0};
	struct span local, domain, quoted;
	struct error err;
	struct buf shown;

	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] < ' ' && text.ptr[i] != '\t')
			return false;
	(void)address_words_parse(a, text, keep_address, &found, &err);
	if (found.count == 0) {
		address_split(text, &local, &domain);
		quoted = address_join(a, local, domain);
		if (quoted.ptr == NULL || address_list_parse(a, quoted, keep_address, &found, &err) < 0 ||
		    found.count != 1)
			return false;
	}
	*one = found;
	buf_init(&shown, ADDRESS_MAX);
	text_append_printable(&shown, text, ADDRESS_MAX / 4);
	if (s->options.errors != SENDMAIL_ERRORS_QUIET)
		fprintf(stderr, "sendmail: warning: -f option specified malformed sender: %s\n",
		    buf_text(&shown));
	buf_free(&shown);
	return true;
}

/* -f takes what a header field would: "joe", "<joe@x>", "Joe <joe@x>", "<>" or "". */
static int
take_sender(struct sendmail *s, struct drop_envelope *e)
{
	struct span text = span_of(s->options.sender);
	struct one_address one = {.count = 0};
	struct error err;

	if (s->options.sender == NULL) {
		e->sender = login_name(e->arena);
		return 0;
	}
	text = span_trim(text);
	if (text.len == 0 || span_is(text, "<>")) {
		e->flags |= DROP_NULL_SENDER;
		e->sender = SPAN_LIT("");
		return 0;
	}
	if ((address_list_parse(e->arena, text, keep_address, &one, &err) < 0 || one.count != 1) &&
	    !mend_sender(s, e->arena, text, &one))
		return sendmail_fail(s, EX_USAGE, "-f: not an address");
	e->sender = one.address;
	return 0;
}

/* Nobody would wait for a report if the only recipient is none: whoever calls hears of it at once. */
static int
take_arguments(struct sendmail *s, struct sendmail_recipients *r, int argc, char **argv)
{
	const struct drop_envelope *e = r->envelope;
	char text[200];

	for (int i = s->options.first_argument; i < argc; i++) {
		/* A program that was handed a line break for an address is being used by somebody. */
		if (!strpbrk(argv[i], "\r\n"))
			sendmail_recipients_argument(r, span_of(argv[i]));
		else
			r->passed_over++;
		if (r->passed_over == 0)
			continue;
		snprintf(text, sizeof(text), "%.100s: not an address", argv[i]);
		return sendmail_fail(s, EX_USAGE, text);
	}
	if (s->options.from_header || e->recipients > r->unusable)
		return 0;
	if (e->recipients == 0)
		return sendmail_fail(s, EX_USAGE, "no recipients: name them, or use -t");
	snprintf(text, sizeof(text), "%.*s: not an address", SPAN_ARG(span_sub(e->first->address, 0, 100)));
	return sendmail_fail(s, EX_USAGE, text);
}

static bool
has_8bit(const struct drop_envelope *e)
{
	bool found = text_is_8bit(e->sender);

	for (const struct drop_recipient *r = e->first; r && !found; r = r->next)
		found = text_is_8bit(r->address);
	return found;
}

static int
may_wait(const struct drop_envelope *e, void *context, struct error *err)
{
	return sendmail_may_submit(context, e, err);
}

int
sendmail_submit(struct sendmail *s, struct drop_envelope *e, const struct spooled *message,
    char id[QUEUE_ID_SIZE], struct error *err)
{
	int status;
	struct submit submit = {
	    .queue_directory = s->conf->values->queue_directory,
	    .daemon_directory = s->conf->values->daemon_directory,
	    .confdir = s->confdir,
	    .explicit_confdir = s->explicit_confdir,
	    .may_wait = may_wait,
	    .context = s,
	};

	if (has_8bit(e))
		e->flags |= MAIL_SMTPUTF8;
	status = submit_message(&submit, e, message, err);
	if (id != NULL)
		memcpy(id, submit.id, QUEUE_ID_SIZE);
	return status;
}

/* "From user date remote from host", as UUCP writes it, names the sender; host!user and user@host stay as they are. */
static void
take_uucp_sender(struct sendmail *s, struct drop_envelope *e, struct span line)
{
	struct span rest = line, word, user = span_make("", 0), host = span_make("", 0);

	if (s->options.sender != NULL || !span_next_word(&rest, " \t", &word) ||
	    !span_next_word(&rest, " \t", &user))
		return;
	while (span_next_word(&rest, " \t", &word))
		host = word; /* the last one */
	if (span_find(user, '@') < 0 && span_find(user, '!') < 0 && host.len > 0)
		user = span_of(arena_printf(e->arena, "%.*s@%.*s", SPAN_ARG(user), SPAN_ARG(host)));
	e->flags = (e->flags & ~(uint32_t)DROP_NULL_SENDER) | DROP_GATEWAY;
	e->sender = arena_copy_span(e->arena, user);
}

static int
read_message(struct sendmail *s, struct drop_envelope *e, struct spooled *message)
{
	char from[SENDMAIL_FROM_LINE_SIZE] = "";
	struct error err;

	if (sendmail_input_read(message, STDIN_FILENO, s->options.ignore_dots, from, &err) < 0)
		return sendmail_fail(s, message->over ? EX_DATAERR : EX_IOERR, err.text);
	if (s->options.mode == SENDMAIL_RMAIL)
		take_uucp_sender(s, e, span_of(from));
	return 0;
}

static int
take_recipients(struct sendmail *s, struct sendmail_recipients *r, struct spooled *message)
{
	struct error err;

	if (s->options.from_header && sendmail_recipients_header(r, message, &err) < 0)
		return sendmail_fail(s, EX_DATAERR, err.text);
	if (r->envelope->recipients == r->unusable)
		return sendmail_fail(s, EX_DATAERR, "the message names no recipient");
	return 0;
}

static void
complete(const struct sendmail *s, struct drop_envelope *e)
{
	const struct sendmail_options *o = &s->options;

	e->full_name = full_name(e->arena, o);
	e->hops = o->hops;
	if (o->envid)
		e->envid = span_of(o->envid);
	if (o->tag)
		e->tag = span_of(o->tag);
	if (o->verp)
		e->verp = span_of(o->verp[0] ? o->verp : s->conf->values->default_verp_delimiters);
	if (o->protocol)
		e->protocol = span_of(o->protocol);
}

/* -XV, -XV+=: VERP_README. */
static int
check_verp(const struct sendmail *s, const struct drop_envelope *e)
{
	const struct conf_values *v = s->conf->values;
	const char *given = s->options.verp;
	char text[200];

	if (given == NULL)
		return 0;
	if (!verp_delimiters_valid(
		span_of(given[0] ? given : v->default_verp_delimiters), v->verp_delimiter_filter)) {
		snprintf(
		    text, sizeof(text), "-XV requires two characters from %.100s", v->verp_delimiter_filter);
		return sendmail_fail(s, EX_USAGE, text);
	}
	if (e->flags & DROP_NULL_SENDER)
		return sendmail_fail(s, EX_USAGE, "-XV requires a sender other than <>");
	return 0;
}

static int
deliver(struct sendmail *s, struct drop_envelope *e, struct spooled *message, int argc, char **argv)
{
	struct error err;
	struct sendmail_recipients recipients = {.envelope = e};
	int status = take_sender(s, e), read_status = 0;

	if (status == 0)
		status = check_verp(s, e);
	if (status == 0)
		status = take_arguments(s, &recipients, argc, argv);
	/* What goes back to its sender must be read for that. */
	if (status == 0 || s->failure != NULL)
		read_status = read_message(s, e, message);
	status = status ? status : read_status;
	if (status == 0)
		status = take_recipients(s, &recipients, message);
	if (status != 0)
		return status;
	complete(s, e);
	status = sendmail_submit(s, e, message, NULL, &err);
	return status == 0 ? 0 : sendmail_fail(s, status, err.text);
}

int
sendmail_deliver(struct sendmail *s, int argc, char **argv)
{
	struct arena *a = arena_new(ARENA_BYTES);
	char failure[SENDMAIL_FAILURE_SIZE] = "";
	struct drop_envelope envelope;
	struct spooled message;
	int status;

	drop_envelope_init(&envelope, a);
	envelope.flags = s->options.flags;
	envelope.notify = s->options.notify;
	spooled_init(&message, (uint64_t)s->conf->values->message_size_limit);
	s->failure = s->options.errors == SENDMAIL_ERRORS_MAIL ? failure : NULL;
	status = deliver(s, &envelope, &message, argc, argv);
	s->failure = NULL;
	/* What cannot be queued now stays with the caller. */
	if (failure[0] != '\0' &&
	    (status == EX_TEMPFAIL || !sendmail_return(s, envelope.sender, &message, failure)))
		sendmail_fail(s, status, failure);
	spooled_free(&message);
	arena_free(&a);
	return status;
}

static void
print_version(const struct sendmail *s)
{
	printf("Postern %s\n", s->conf->values->mail_version);
}

static int
run(struct sendmail *s, int argc, char **argv)
{
	switch (s->options.mode) {
	case SENDMAIL_DELIVER:
	case SENDMAIL_RMAIL:
		return sendmail_deliver(s, argc, argv);
	case SENDMAIL_SMTP:
	case SENDMAIL_BATCH:
		return sendmail_smtp(s);
	case SENDMAIL_VERIFY:
	case SENDMAIL_TEST:
		return sendmail_verify(s, argc, argv);
	case SENDMAIL_VERSION:
		if (!s->options.version)
			print_version(s);
		return s->complaints > 0 ? EX_CONFIG : 0;
	case SENDMAIL_TRIAL:
		return sendmail_trial(s, argc, argv);
	case SENDMAIL_MAKEMAP:
		return sendmail_makemap(s, argc, argv);
	default:
		return sendmail_postern(s, argc, argv);
	}
}

/* -bV: what a start would complain of. */
static void
print_complaints(struct sendmail *s, const struct conf_report *report)
{
	const struct conf_complaint *c;

	for (size_t i = 0; (c = conf_report_at(report, i)) != NULL; i++) {
		char text[1000];

		snprintf(text, sizeof(text), "%s:%u: %s", c->file, c->line, c->text);
		sendmail_fail(s, 0, text);
		s->complaints += c->severity != 'w';
	}
}

/*
 * Who looks at the queue or acts on it needs no more than to find it, as postern(8) does. A message stays with the
 * caller, for now, while the configuration cannot be relied on: the queue that it names may be another's.
 */
static int
read_configuration(struct sendmail *s)
{
	struct conf_report *report = conf_report_new();
	bool submits = s->options.mode <= SENDMAIL_RMAIL, checks = s->options.mode == SENDMAIL_VERSION;
	struct error err;

	s->confdir = s->options.confdir ? s->options.confdir : getenv("MAIL_CONFIG");
	s->explicit_confdir = s->confdir != NULL && s->confdir[0] != '\0';
	if (!s->explicit_confdir)
		s->confdir = POSTERN_SYSCONFDIR "/postern";
	s->conf = submits || checks ? conf_load(s->confdir, report, &err)
				    : conf_load_anyway(s->confdir, report, &err);
	if (checks && s->conf != NULL && !s->options.version)
		print_complaints(s, report);
	conf_report_free(&report);
	if (s->conf == NULL)
		return sendmail_fail(s, submits ? EX_TEMPFAIL : EX_CONFIG, err.text);
	return 0;
}

/* Whoever calls may write there anyway; root does not follow another's wish. */
static int
open_traffic_log(struct sendmail *s)
{
	struct error err;

	if (geteuid() == 0 || getuid() != geteuid() || getgid() != getegid()) {
		fputs("sendmail: -X: no log of the traffic is written with privileges\n", stderr);
		return 0;
	}
	return traffic_log_open(s->options.traffic_log, &err) < 0 ? sendmail_fail(s, EX_CANTCREAT, err.text)
								  : 0;
}

int
main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *program = slash ? slash + 1 : argc > 0 ? argv[0] : "sendmail";
	struct sendmail s = {.conf = NULL};
	int status;

	inherited_reset();
	signal(SIGPIPE, SIG_IGN);
	status = sendmail_options_parse(&s.options, program, argc, argv);
	if (status == 0)
		status = read_configuration(&s);
	if (status == 0 && s.options.version)
		print_version(&s);
	if (status == 0 && s.options.traffic_log != NULL)
		status = open_traffic_log(&s);
	if (status == 0)
		status = run(&s, argc, argv);
	traffic_log_close();
	/* Of a message that was taken nothing may be said but that: it would be sent twice. */
	if (status == 0 && s.options.mode >= SENDMAIL_VERIFY && (fflush(stdout) != 0 || ferror(stdout)) &&
	    errno != EPIPE)
		status = sendmail_fail(&s, EX_IOERR, "standard output cannot be written");
	conf_unref(&s.conf);
	return status;
}
