#include "tools/sendmail_options.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/span.h"
#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/drop_format.h"

int
sendmail_wrong(const char *format, ...)
{
	va_list args;

	fputs("sendmail: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EX_USAGE;
}

/* What has no meaning beyond this option is no reason to lose the mail, as with Postfix. */
static int
ignore_value(char letter)
{
	fprintf(stderr, "sendmail: warning: bad -%c option value -- ignored\n", letter);
	return 0;
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
    {"rmail", SENDMAIL_RMAIL},
    {"runq", SENDMAIL_QUEUE},
    {"makemap", SENDMAIL_MAKEMAP},
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
	    {"pa", SENDMAIL_LIST}, /* Exim's orders and choices of a listing */
	    {"pr", SENDMAIL_LIST},
	    {"pra", SENDMAIL_LIST},
	    {"pru", SENDMAIL_LIST},
	    {"pu", SENDMAIL_LIST},
	    {"pi", SENDMAIL_IDS},
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
	return sendmail_wrong("unsupported mode -b%s", value);
}

/* -N: RFC 3461, 4.1. */
static int
take_notify(struct sendmail_options *o, const char *value)
{
	struct span rest = span_of(value), word;
	uint32_t notify = 0;

	while (span_next_word(&rest, ", ", &word)) {
		if (span_is_nocase(word, "never"))
			notify |= DSN_NOTIFY_NEVER;
		else if (span_is_nocase(word, "success"))
			notify |= DSN_NOTIFY_SUCCESS;
		else if (span_is_nocase(word, "failure"))
			notify |= DSN_NOTIFY_FAILURE;
		else if (span_is_nocase(word, "delay"))
			notify |= DSN_NOTIFY_DELAY;
		else
			return ignore_value('N');
	}
	if (notify == 0 || ((notify & DSN_NOTIFY_NEVER) && notify != DSN_NOTIFY_NEVER))
		return ignore_value('N');
	o->notify = notify;
	return 0;
}

static int
take_envid(struct sendmail_options *o, const char *value)
{
	for (const char *c = value; *c; c++)
		if (*c < 32 || *c == 127)
			return sendmail_wrong("-V: an envelope id is printable");
	if (strlen(value) > 100) /* RFC 3461, 4.4 */
		return ignore_value('V');
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
	else
		return sendmail_queue_site(o, value);
	return 0;
}

static void
take_error_mode(struct sendmail_options *o, const char *value)
{
	/* BerkNet's and write(1)'s ways have gone: by mail. */
	o->errors = value[0] == 'q'                       ? SENDMAIL_ERRORS_QUIET
		    : value[0] && strchr("mew", value[0]) ? SENDMAIL_ERRORS_MAIL
							  : SENDMAIL_ERRORS_PRINT;
}

static void
take_delivery_mode(struct sendmail_options *o, const char *value)
{
	o->flags &= ~(uint32_t)(DROP_WAIT | DROP_NO_ATTEMPT);
	if (value[0] == 'i')
		o->flags |= DROP_WAIT;
	else if (value[0] == 'q' || value[0] == 'd')
		o->flags |= DROP_NO_ATTEMPT;
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
		return sendmail_wrong("-O QueueDirectory: only the configuration names it");
	else if (span_is_nocase(text, "requiretls=yes"))
		return sendmail_wrong("-O requiretls: nobody here would see to that");
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
		return sendmail_wrong("-B: 7BIT or 8BITMIME");
	return 0;
}

static int
take_hops(struct sendmail_options *o, const char *value)
{
	uint64_t hops;

	if (number_parse(span_of(value), 0, DROP_HOPS_MAX, &hops) < 0)
		return sendmail_wrong("-h: a number of hops");
	o->hops = (uint32_t)hops;
	return 0;
}

static int
take_tag(struct sendmail_options *o, const char *value)
{
	if (!drop_tag_valid(span_of(value)))
		return sendmail_wrong("-L: up to %d letters and digits", DROP_TAG_MAX);
	o->tag = value;
	return 0;
}

static int
take_protocol(struct sendmail_options *o, const char *value)
{
	if (!drop_protocol_valid(span_of(value)))
		return sendmail_wrong("-p: PROTOCOL or PROTOCOL:HOST");
	o->protocol = value;
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
		/* -d0.1 -bt < /dev/null: as one asks sendmail for its version. */
		o->version = o->version ||
			     (value != NULL && (strcmp(value, "0") == 0 || strncmp(value, "0.", 2) == 0));
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
	case 'h':
		return take_hops(o, value);
	case 'i':
		o->ignore_dots = true;
		return 0;
	case 'I':
		o->mode = SENDMAIL_ALIASES;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'L':
		return take_tag(o, value);
	case 'M':
		return sendmail_queue_message(o, value);
	case 'N':
		return take_notify(o, value);
	case 'o':
		take_short_option(o, value);
		return 0;
	case 'O':
		return take_long_option(o, value);
	case 'p':
		return take_protocol(o, value);
	case 'q':
		return sendmail_queue_run(o, value);
	case 'Q':
		o->queue.quarantine = value ? value : "";
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
		if (value[0] == 'V') {
			o->verp = value + 1;
			return 0;
		}
		o->traffic_log = value;
		return 0;
	case '?':
		return sendmail_wrong("unknown option or missing argument: -%c", optopt);
	default:
		return 0; /* A c D E J m n s S T U x: harmless */
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
	if (o->mode == SENDMAIL_MAKEMAP)
		return 0;
	o->ignore_dots = o->mode == SENDMAIL_RMAIL;
	opterr = 0;
	optind = 1;
	while ((letter = getopt(argc, argv, letters)) != -1) {
		status = take_option(o, letter, optarg);
		if (status != 0)
			return status;
	}
	o->first_argument = optind;
	if (o->trial && optind < argc)
		o->mode = SENDMAIL_TRIAL;
	if (sendmail_queue_settle(o, argc) != 0)
		return EX_USAGE;
	/* With recipients there is a message, too: 0 for having looked at the version would lose it. */
	if (o->version && o->mode == SENDMAIL_DELIVER && optind == argc && !o->from_header)
		o->mode = SENDMAIL_VERSION;
	if (o->verbose)
		o->flags |= DROP_VERBOSE | DROP_WAIT;
	return 0;
}
