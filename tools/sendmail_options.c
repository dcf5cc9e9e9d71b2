#include "tools/sendmail_options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/span.h"
#include "common/ipc/protocol.h"

static int
wrong(const char *format, ...)
{
	va_list args;

	fputs("sendmail: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EX_USAGE;
}

static const struct {
	const char *name;
	enum sendmail_mode mode;
} names[] = {
    {"mailq", SENDMAIL_LIST},
    {"newaliases", SENDMAIL_ALIASES},
    {"hoststat", SENDMAIL_HOSTS},
    {"purgestat", SENDMAIL_HOSTS},
    {"smtpd", SENDMAIL_DAEMON},
    {"rsmtp", SENDMAIL_BATCH},
    {"runq", SENDMAIL_QUEUE},
};

static int
take_mode(struct sendmail_options *o, const char *value)
{
	static const struct {
		const char *value;
		enum sendmail_mode mode;
	} modes[] = {
	    {"m", SENDMAIL_DELIVER},
	    {"s", SENDMAIL_SMTP},
	    {"S", SENDMAIL_BATCH},
	    {"p", SENDMAIL_LIST},
	    {"pc", SENDMAIL_COUNT},
	    {"P", SENDMAIL_COUNT},
	    {"i", SENDMAIL_ALIASES},
	    {"v", SENDMAIL_VERIFY},
	    {"t", SENDMAIL_TEST},
	    {"d", SENDMAIL_DAEMON},
	    {"D", SENDMAIL_DAEMON},
	    {"l", SENDMAIL_DAEMON},
	    {"V", SENDMAIL_VERSION},
	    {"h", SENDMAIL_HOSTS},
	    {"H", SENDMAIL_HOSTS},
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(modes[i].value, value) != 0)
			continue;
		o->mode = modes[i].mode;
		o->foreground = value[0] == 'D';
		o->trial = value[0] == 'h';
		return 0;
	}
	return wrong("unsupported mode -b%s", value);
}

/* -N: RFC 3461, 4.1. */
static int
take_notify(struct sendmail_options *o, const char *value)
{
	struct span rest = span_of(value), word;

	o->notify = 0;
	while (span_next_word(&rest, ", ", &word)) {
		if (span_is_nocase(word, "never"))
			o->notify |= DSN_NOTIFY_NEVER;
		else if (span_is_nocase(word, "success"))
			o->notify |= DSN_NOTIFY_SUCCESS;
		else if (span_is_nocase(word, "failure"))
			o->notify |= DSN_NOTIFY_FAILURE;
		else if (span_is_nocase(word, "delay"))
			o->notify |= DSN_NOTIFY_DELAY;
		else
			return wrong("-N: never, or a list of success, failure and delay");
	}
	if (o->notify == 0 || ((o->notify & DSN_NOTIFY_NEVER) && o->notify != DSN_NOTIFY_NEVER))
		return wrong("-N: never, or a list of success, failure and delay");
	return 0;
}

static int
take_envid(struct sendmail_options *o, const char *value)
{
	for (const char *c = value; *c; c++)
		if (*c < 32 || *c == 127)
			return wrong("-V: an envelope id is printable");
	if (strlen(value) > 100) /* RFC 3461, 4.4 */
		return wrong("-V: an envelope id has at most 100 characters");
	o->envid = value;
	return 0;
}

/* -R full|hdrs asks for what a notification returns; anything else is Exim's "run the queue for these". */
static int
take_return(struct sendmail_options *o, const char *value)
{
	if (strcasecmp(value, "full") == 0)
		o->flags = (o->flags & ~(uint32_t)MAIL_RET_HDRS) | MAIL_RET_FULL;
	else if (strcasecmp(value, "hdrs") == 0)
		o->flags = (o->flags & ~(uint32_t)MAIL_RET_FULL) | MAIL_RET_HDRS;
	else {
		o->mode = SENDMAIL_QUEUE;
		o->queue_verb = "retry";
		o->queue_filter = "--to";
		o->queue_value = value;
	}
	return 0;
}

/* -qRexample.com is a site's mail, as in Postfix; <> and addresses are what they are. */
static const char *
site_or_address(const char *value)
{
	static char site[300];

	if (strchr(value, '@') != NULL || strcmp(value, "<>") == 0 ||
	    (size_t)snprintf(site, sizeof(site), "@%s", value) >= sizeof(site))
		return value;
	return site;
}

/* -q, -q15m, -qf, -qIid, -qRsite, -qRaddress, -qSsite, -qSaddress: like flush, whoever may do that may do these. */
static int
take_queue(struct sendmail_options *o, const char *value)
{
	o->mode = SENDMAIL_QUEUE;
	o->queue_verb = "retry";
	if (value == NULL || strchr("fpi0123456789", value[0]) != NULL) {
		if (value != NULL && value[0] >= '0' && value[0] <= '9')
			fputs("sendmail: the interval of -q is left to queue_run_delay\n", stderr);
		return 0;
	}
	if (value[1] == '\0')
		return wrong("-q%s wants a value", value);
	o->queue_value = value[0] == 'I' ? value + 1 : site_or_address(value + 1);
	switch (value[0]) {
	case 'I':
		o->queue_filter = NULL;
		return 0;
	case 'R':
		o->queue_filter = "--to";
		return 0;
	case 'S':
		o->queue_filter = "--from";
		return 0;
	default:
		return wrong("unsupported option -q%s", value);
	}
}

/* -M id, and Exim's -Mrm, -Mf, -Mt, -Mvh, -Mvb, -Mvl: what to do with a message; the ids are the arguments. */
static int
take_message(struct sendmail_options *o, const char *value)
{
	static const struct {
		const char *value, *verb;
	} verbs[] = {{"rm", "delete"}, {"f", "hold"}, {"t", "release"}, {"vh", "--headers"}, {"vb", "--body"},
	    {"vl", "explain"}};

	o->mode = SENDMAIL_QUEUE;
	o->queue_verb = "retry";
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].value, value) == 0) {
			o->queue_verb = verbs[i].verb;
			return 0;
		}
	}
	/* Queue ids are longer than Exim's other verbs. */
	if (strlen(value) < 4)
		return wrong("unsupported option -M%s", value);
	o->queue_value = value;
	return 0;
}

static void
take_error_mode(struct sendmail_options *o, const char *value)
{
	o->errors = value[0] == 'q' ? SENDMAIL_ERRORS_QUIET : SENDMAIL_ERRORS_PRINT;
}

static void
take_delivery_mode(struct sendmail_options *o, const char *value)
{
	o->flags &= ~(uint32_t)DROP_WAIT;
	if (value[0] == 'i')
		o->flags |= DROP_WAIT;
}

/* -o x: sendmail's one-letter options. */
static void
take_short_option(struct sendmail_options *o, const char *value)
{
	switch (value[0]) {
	case 'i':
		o->ignore_dots = true;
		break;
	case 'v':
		o->verbose = true;
		break;
	case 'e':
		take_error_mode(o, value + 1);
		break;
	case 'd':
		take_delivery_mode(o, value + 1);
		break;
	case 'A':
		if (value[1])
			o->alias_file = value + 1;
		break;
	default:
		break;
	}
}

static int
take_long_option(struct sendmail_options *o, const char *value)
{
	struct span text = span_of(value);

	if (span_starts_nocase(text, "DeliveryMode="))
		take_delivery_mode(o, value + strlen("DeliveryMode="));
	else if (span_starts_nocase(text, "ErrorMode="))
		take_error_mode(o, value + strlen("ErrorMode="));
	else if (span_starts_nocase(text, "QueueDirectory="))
		return wrong("-O QueueDirectory: only the configuration names it");
	else if (span_is_nocase(text, "requiretls=yes"))
		return wrong("-O requiretls: nobody here would see to that");
	else if (span_is_nocase(text, "smtputf8=yes"))
		o->flags |= MAIL_SMTPUTF8;
	return 0;
}

static int
take_body_type(struct sendmail_options *o, const char *value)
{
	if (strcasecmp(value, "8BITMIME") == 0)
		o->flags |= MAIL_BODY_8BITMIME;
	else if (strcasecmp(value, "7BIT") == 0)
		o->flags &= ~(uint32_t)MAIL_BODY_8BITMIME;
	else
		return wrong("-B: 7BIT or 8BITMIME");
	return 0;
}

static int
take_option(struct sendmail_options *o, int letter, const char *value)
{
	switch (letter) {
	case 'b':
		return take_mode(o, value);
	case 'B':
		return take_body_type(o, value);
	case 'C':
		o->confdir = value;
		return 0;
	case 'd':
		if (value != NULL && strcmp(value, "0") == 0)
			o->mode = SENDMAIL_VERSION;
		return 0;
	case 'e':
		take_error_mode(o, value);
		return 0;
	case 'f':
	case 'r':
		o->sender = value;
		return 0;
	case 'F':
		o->full_name = value;
		return 0;
	case 'G':
		o->flags |= DROP_GATEWAY;
		return 0;
	case 'i':
		o->ignore_dots = true;
		return 0;
	case 'I':
		o->mode = SENDMAIL_ALIASES;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'M':
		return take_message(o, value);
	case 'N':
		return take_notify(o, value);
	case 'o':
		take_short_option(o, value);
		return 0;
	case 'O':
		return take_long_option(o, value);
	case 'q':
		return take_queue(o, value);
	case 'Q':
		o->quarantine = value ? value : "";
		return 0;
	case 'R':
		return take_return(o, value);
	case 't':
		o->from_header = true;
		return 0;
	case 'v':
		o->verbose = true;
		return 0;
	case 'V':
		return take_envid(o, value);
	case 'X':
		if (value[0] == 'V')
			return wrong("-XV: addresses for each recipient (VERP) are not made here");
		return 0;
	case '?':
		return wrong("unknown option or missing argument: -%c", optopt);
	default:
		return 0; /* A c D E h J L m n p s S T U x: harmless */
	}
}

int
sendmail_options_parse(struct sendmail_options *o, const char *program, int argc, char **argv)
{
	/* Options end at the first argument that is none ('+'), as everywhere but with GNU. */
	static const char letters[] = "+A:b:B:C:cD:d::e:E::f:F:Gh:IijJ::L:mM:nN:o:O:p:q::Q::r:R:sS:tTUvV:xX:";
	int letter, status;

	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].name, program) == 0)
			o->mode = names[i].mode;
	if (o->mode == SENDMAIL_QUEUE)
		o->queue_verb = "retry";
	opterr = 0;
	optind = 1;
	while ((letter = getopt(argc, argv, letters)) != -1) {
		status = take_option(o, letter, optarg);
		if (status != 0)
			return status;
	}
	o->first_argument = optind;
	if (o->trial && optind < argc)
		return wrong(
		    "-bh %s: no sessions are tried out here; -bv and -bt show what becomes of an address",
		    argv[optind]);
	/* -Qreason -q...: quarantine what matches; -Q -q...: no longer. */
	if (o->quarantine != NULL && o->mode == SENDMAIL_QUEUE && strcmp(o->queue_verb, "retry") == 0) {
		if (o->queue_value == NULL && o->first_argument == argc)
			return wrong("-Q wants -qI, -qR or -qS: which messages");
		o->queue_verb = o->quarantine[0] ? "hold" : "release";
	}
	if (o->verbose)
		o->flags |= DROP_VERBOSE | DROP_WAIT;
	return 0;
}
