#include "smtpd/parameters.h"

#include "common/base/text.h"
#include "common/ipc/protocol.h"
#include "common/mail/xtext.h"

enum { ENVID_MAX = 100, ORCPT_MAX = 1000, AUTH_MAX = 500 /* RFC 4954, 3 */ };

static const struct parameter_fault fine;

typedef struct parameter_fault parameter_function(struct arena *a, struct span value, struct parameters *p);

static struct parameter_fault
syntax(const char *text)
{
	return (struct parameter_fault){501, "5.5.4", text, {NULL, 0}};
}

/* RFC 1870, 3: up to 20 digits. */
static struct parameter_fault
take_size(struct arena *a, struct span value, struct parameters *p)
{
	(void)a;
	for (size_t i = 0; i < value.len; i++)
		if (!ascii_is_digit(value.ptr[i]))
			return syntax("Bad message size syntax");
	if (value.len == 0 || value.len > 20)
		return syntax("Bad message size syntax");
	if (number_parse(value, 0, UINT64_MAX, &p->size) < 0)
		p->size = UINT64_MAX;
	return fine;
}

static struct parameter_fault
take_body(struct arena *a, struct span value, struct parameters *p)
{
	(void)a;
	if (span_is_nocase(value, "8BITMIME"))
		p->body_8bit = true;
	else if (!span_is_nocase(value, "7BIT"))
		return syntax("Bad BODY parameter syntax");
	return fine;
}

static struct parameter_fault
take_smtputf8(struct arena *a, struct span value, struct parameters *p)
{
	(void)a;
	if (value.ptr)
		return syntax("Bad SMTPUTF8 parameter syntax");
	p->smtputf8 = true;
	return fine;
}

static struct parameter_fault
take_ret(struct arena *a, struct span value, struct parameters *p)
{
	(void)a;
	if (p->ret)
		return syntax("Bad RET parameter syntax");
	if (span_is_nocase(value, "FULL"))
		p->ret = MAIL_RET_FULL;
	else if (span_is_nocase(value, "HDRS"))
		p->ret = MAIL_RET_HDRS;
	else
		return syntax("Bad RET parameter syntax");
	return fine;
}

/* RFC 4954, 5: a mailbox in xtext, or "<>". */
static struct parameter_fault
take_auth(struct arena *a, struct span value, struct parameters *p)
{
	struct span plain;

	if (p->auth_given || value.len > AUTH_MAX || xtext_decode(a, value, &plain) < 0)
		return syntax("Bad AUTH parameter syntax");
	p->auth_given = true;
	if (span_is(plain, "<>"))
		return fine;
	if (plain.len > 2 && plain.ptr[0] == '<' && plain.ptr[plain.len - 1] == '>')
		plain = span_sub(plain, 1, plain.len - 2);
	if (plain.len == 0 || !utf8_valid(plain))
		return syntax("Bad AUTH parameter syntax");
	for (size_t i = 0; i < plain.len; i++)
		if ((unsigned char)plain.ptr[i] <= ' ' || plain.ptr[i] == 127 || plain.ptr[i] == '<' ||
		    plain.ptr[i] == '>')
			return syntax("Bad AUTH parameter syntax");
	p->auth = plain;
	return fine;
}

/* RFC 3461, 4.4: printable once decoded. */
static struct parameter_fault
take_envid(struct arena *a, struct span value, struct parameters *p)
{
	struct span plain;

	if (p->envid.len || value.len == 0 || value.len > ENVID_MAX || xtext_decode(a, value, &plain) < 0)
		return syntax("Bad ENVID parameter syntax");
	for (size_t i = 0; i < plain.len; i++)
		if (plain.ptr[i] < ' ' || plain.ptr[i] > '~')
			return syntax("Bad ENVID parameter syntax");
	p->envid = plain;
	return fine;
}

static struct parameter_fault
take_notify(struct arena *a, struct span value, struct parameters *p)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} words[] = {{"NEVER", DSN_NOTIFY_NEVER}, {"SUCCESS", DSN_NOTIFY_SUCCESS},
	    {"FAILURE", DSN_NOTIFY_FAILURE}, {"DELAY", DSN_NOTIFY_DELAY}};
	struct span word;
	uint8_t bits = 0, bit;

	(void)a;
	while (span_next_word(&value, ",", &word)) {
		bit = 0;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (span_is_nocase(word, words[i].word))
				bit = words[i].bit;
		if (bit == 0)
			return syntax("Bad NOTIFY parameter syntax");
		bits |= bit;
	}
	if (bits == 0 || p->notify || ((bits & DSN_NOTIFY_NEVER) && bits != DSN_NOTIFY_NEVER))
		return syntax("Bad NOTIFY parameter syntax");
	p->notify = bits;
	return fine;
}

/* "rfc822;xtext" (RFC 3461, 4.2) or "utf-8;..." (RFC 6533, 3). */
static struct parameter_fault
take_orcpt(struct arena *a, struct span value, struct parameters *p)
{
	ptrdiff_t semicolon = span_find(value, ';');
	struct span plain, type;
	char *text;

	if (p->orcpt.len || semicolon <= 0 || value.len > ORCPT_MAX)
		return syntax("Bad ORCPT parameter syntax");
	type = span_sub(value, 0, (size_t)semicolon);
	for (size_t i = 0; i < type.len; i++)
		if (!ascii_is_alnum(type.ptr[i]) && type.ptr[i] != '-')
			return syntax("Bad ORCPT parameter syntax");
	if (xtext_decode(a, span_from(value, (size_t)semicolon + 1), &plain) < 0 || plain.len == 0)
		return syntax("Bad ORCPT parameter syntax");
	for (size_t i = 0; i < plain.len; i++)
		if ((unsigned char)plain.ptr[i] < ' ' || plain.ptr[i] == 127)
			return syntax("Bad ORCPT parameter syntax");
	text = arena_printf(a, "%.*s;%.*s", SPAN_ARG(type), SPAN_ARG(plain));
	if (text == NULL)
		return syntax("Bad ORCPT parameter syntax");
	p->orcpt = span_of(text);
	return fine;
}

/* XVERP, XVERP=xy: Postfix's VERP_README. Whether that may be asked for is not known here. */
static struct parameter_fault
take_verp(struct arena *a, struct span value, struct parameters *p)
{
	(void)a;
	if (p->verp_given)
		return syntax("Bad XVERP parameter syntax");
	p->verp_given = true;
	p->verp = value;
	return fine;
}

struct parameter_row {
	const char *name;
	bool needs_value;
	parameter_function *take;
};

static const struct parameter_row mail_rows[] = {
    {"SIZE", true, take_size},
    {"BODY", true, take_body},
    {"SMTPUTF8", false, take_smtputf8},
    {"RET", true, take_ret},
    {"ENVID", true, take_envid},
    {"AUTH", true, take_auth},
    {"XVERP", false, take_verp},
};

static const struct parameter_row rcpt_rows[] = {
    {"NOTIFY", true, take_notify},
    {"ORCPT", true, take_orcpt},
};

/* esmtp-param (RFC 5321, 4.1.2): a keyword, and perhaps '=' with a value that has no '=' or control character. */
static bool
well_formed(struct span word, struct span *name, struct span *value)
{
	ptrdiff_t equals = span_find(word, '=');

	*name = equals < 0 ? word : span_sub(word, 0, (size_t)equals);
	*value = equals < 0 ? span_make(NULL, 0) : span_from(word, (size_t)equals + 1);
	if (name->len == 0 || !ascii_is_alnum(name->ptr[0]))
		return false;
	for (size_t i = 0; i < name->len; i++)
		if (!ascii_is_alnum(name->ptr[i]) && name->ptr[i] != '-')
			return false;
	for (size_t i = 0; i < value->len; i++)
		if ((unsigned char)value->ptr[i] <= ' ' || value->ptr[i] == 127)
			return false;
	return equals < 0 || value->len > 0;
}

static struct parameter_fault
parse(struct arena *a, struct span text, const struct parameter_row *rows, size_t count, struct parameters *p)
{
	struct span word, name, value;
	struct parameter_fault fault;
	bool known;

	while (span_next_word(&text, " \t", &word)) {
		if (!well_formed(word, &name, &value))
			return syntax("Error: parameter syntax");
		known = false;
		for (size_t i = 0; i < count; i++) {
			if (!span_is_nocase(name, rows[i].name))
				continue;
			known = true;
			if (rows[i].needs_value && value.len == 0)
				return syntax("Error: parameter needs a value");
			fault = rows[i].take(a, value, p);
			if (fault.code)
				return fault;
		}
		if (!known)
			return (struct parameter_fault){555, "5.5.4", "Unsupported option: ", word};
	}
	return fine;
}

struct parameter_fault
parameters_of_mail(struct arena *a, struct span text, struct parameters *p)
{
	*p = (struct parameters){0};
	return parse(a, text, mail_rows, sizeof(mail_rows) / sizeof(mail_rows[0]), p);
}

struct parameter_fault
parameters_of_rcpt(struct arena *a, struct span text, struct parameters *p)
{
	*p = (struct parameters){0};
	return parse(a, text, rcpt_rows, sizeof(rcpt_rows) / sizeof(rcpt_rows[0]), p);
}
