#include "common/mail/outcome.h"

#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "common/base/text.h"

const char *outcome_word(enum outcome_class class)
{
	switch (class) {
	case OUTCOME_DELIVERED:
	case OUTCOME_RELAYED:
	case OUTCOME_EXPANDED:
		return "sent";
	case OUTCOME_DEFERRED:
		return "deferred";
	case OUTCOME_BOUNCED:
		return "bounced";
	}
	return "deferred";
}

/* The length of "D.D[D[D]].D[D[D]]" at the start of text, 0 if there is none. */
static size_t
code_length(struct span text)
{
	size_t i = 1;

	if (text.len < 5 || (text.ptr[0] != '2' && text.ptr[0] != '4' && text.ptr[0] != '5'))
		return 0;
	for (int part = 0; part < 2; part++) {
		size_t digits = 0;
		if (i >= text.len || text.ptr[i++] != '.')
			return 0;
		while (digits < 3 && i < text.len && ascii_is_digit(text.ptr[i])) {
			digits++;
			i++;
		}
		if (digits == 0)
			return 0;
	}
	return i;
}

bool
enhanced_code_valid(struct span code)
{
	return code.len > 0 && code_length(code) == code.len;
}

void
enhanced_code_of_reply(unsigned reply_code, struct span reply_text, char code[12])
{
	char class = reply_code >= 200 && reply_code < 600 ? (char)('0' + reply_code / 100) : '5';
	size_t len;

	while (reply_text.len > 0 && reply_text.ptr[0] == ' ')
		reply_text = span_from(reply_text, 1);
	len = code_length(reply_text);

	/* Nothing may follow the code but a blank: "5.1.1234" and "4.2.2x" are words of some peer's own. */
	if (len > 0 && reply_text.ptr[0] == class &&
	    (len == reply_text.len || reply_text.ptr[len] == ' ' || reply_text.ptr[len] == '\t'))
		snprintf(code, 12, "%.*s", (int)len, reply_text.ptr);
	else
		snprintf(code, 12, "%c.0.0", class);
}

/* What the statuses of sysexits(3) mean for mail, with the codes that Postfix gives them (sys_exits(3)). */
static const struct exit_row {
	int status;
	enum outcome_class class;
	const char *code;
	const char *text;
} exits[] = {
    {EX_OK, OUTCOME_DELIVERED, "2.0.0", "ok"},
    {EX_USAGE, OUTCOME_BOUNCED, "5.3.0", "command line usage error"},
    {EX_DATAERR, OUTCOME_BOUNCED, "5.6.0", "data format error"},
    {EX_NOINPUT, OUTCOME_BOUNCED, "5.3.0", "cannot open input"},
    {EX_NOUSER, OUTCOME_BOUNCED, "5.1.1", "user unknown"},
    {EX_NOHOST, OUTCOME_BOUNCED, "5.1.2", "host name unknown"},
    {EX_UNAVAILABLE, OUTCOME_BOUNCED, "5.3.0", "service unavailable"},
    {EX_SOFTWARE, OUTCOME_BOUNCED, "5.3.0", "internal software error"},
    {EX_OSERR, OUTCOME_DEFERRED, "4.3.0", "system resource problem"},
    {EX_OSFILE, OUTCOME_BOUNCED, "5.3.0", "critical OS file missing"},
    {EX_CANTCREAT, OUTCOME_BOUNCED, "5.2.0", "can't create user output file"},
    {EX_IOERR, OUTCOME_BOUNCED, "5.3.0", "input/output error"},
    {EX_TEMPFAIL, OUTCOME_DEFERRED, "4.3.0", "temporary failure"},
    {EX_PROTOCOL, OUTCOME_BOUNCED, "5.5.0", "remote error in protocol"},
    {EX_NOPERM, OUTCOME_BOUNCED, "5.7.0", "permission denied"},
    {EX_CONFIG, OUTCOME_BOUNCED, "5.3.5", "local configuration error"},
};

enum outcome_class
outcome_of_exit(int exit_status, char code[12])
{
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
		if (exits[i].status == exit_status) {
			snprintf(code, 12, "%s", exits[i].code);
			return exits[i].class;
		}
	}
	snprintf(code, 12, "5.3.0");
	return OUTCOME_BOUNCED;
}

const char *
outcome_exit_text(int exit_status)
{
	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (exits[i].status == exit_status)
			return exits[i].text;
	return NULL;
}
