#include "common/sasl/dovecot.h"

#include <string.h>

#include "common/base/text.h"
#include "common/sasl/mechanism.h"

/* ---- what the server says ---- */

/* The next word, which may be empty. Returns false at the end of the line. */
static bool
take_word(struct span *rest, struct span *word)
{
	ptrdiff_t tab;

	if (rest->ptr == NULL)
		return false;
	tab = span_find(*rest, '\t');
	*word = tab < 0 ? *rest : span_sub(*rest, 0, (size_t)tab);
	*rest = tab < 0 ? span_make(NULL, 0) : span_from(*rest, (size_t)tab + 1);
	return true;
}

/* \001 and a letter stand for what may not be in a line. Advances *room behind the result. */
static int
unescape(struct span word, char **room, struct span *plain)
{
	static const char letters[] = "01tnr", octets[] = "\0\1\t\n\r";
	char *start = *room, *out = start;

	for (size_t i = 0; i < word.len; i++) {
		const char *letter;
		char c = word.ptr[i];

		if (c == '\1') {
			if (++i == word.len || word.ptr[i] == '\0')
				return -1;
			letter = strchr(letters, word.ptr[i]);
			if (letter == NULL)
				return -1;
			c = octets[letter - letters];
		}
		if (c == '\0')
			return -1;
		*out++ = c;
	}
	*room = out;
	*plain = span_make(start, (size_t)(out - start));
	return 0;
}

static int
take_id(struct span *rest, uint32_t *id)
{
	struct span word;
	uint64_t number;

	if (!take_word(rest, &word) || number_parse(word, 0, UINT32_MAX, &number) < 0)
		return -1;
	*id = (uint32_t)number;
	return 0;
}

static int
parse_version(struct span rest, struct dovecot_reply *reply, char *room)
{
	uint32_t major;

	(void)room;
	if (take_id(&rest, &major) < 0)
		return -1;
	reply->major = major;
	return 0;
}

static int
parse_mechanism(struct span rest, struct dovecot_reply *reply, char *room)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = {{"anonymous", SASL_ANONYMOUS}, {"plaintext", SASL_PLAINTEXT},
	    {"dictionary", SASL_DICTIONARY}, {"active", SASL_ACTIVE},
	    {"forward-secrecy", SASL_FORWARD_SECRECY}, {"mutual-auth", SASL_MUTUAL_AUTH}};
	struct span word;

	(void)room;
	if (!take_word(&rest, &reply->mechanism) || !sasl_mechanism_name_valid(reply->mechanism))
		return -1;
	while (take_word(&rest, &word)) {
		/* Not to be offered at all: for programs of Dovecot's own. */
		if (span_is(word, "private"))
			reply->kind = DOVECOT_OTHER;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (span_is(word, words[i].word))
				reply->properties |= words[i].bit;
	}
	return 0;
}

static int
parse_challenge(struct span rest, struct dovecot_reply *reply, char *room)
{
	(void)room;
	if (take_id(&rest, &reply->id) < 0)
		return -1;
	if (take_word(&rest, &reply->challenge))
		for (size_t i = 0; i < reply->challenge.len; i++) {
			char c = reply->challenge.ptr[i];

			if (!ascii_is_alnum(c) && c != '+' && c != '/' && c != '=')
				return -1;
		}
	return 0;
}

/* What may go into a header line and a log line. */
static bool
is_name(struct span user)
{
	for (size_t i = 0; i < user.len; i++)
		if ((unsigned char)user.ptr[i] < ' ' || user.ptr[i] == 127)
			return false;
	return user.len <= SASL_USER_MAX && utf8_valid(user);
}

/* OK and FAIL: "name=value" and flags, in any order; the last of a name counts. */
static int
parse_end(struct span rest, struct dovecot_reply *reply, char *room)
{
	struct span word, value;

	if (take_id(&rest, &reply->id) < 0)
		return -1;
	while (take_word(&rest, &word)) {
		if (unescape(word, &room, &value) < 0)
			return -1;
		if (span_starts(value, "user="))
			reply->user = span_from(value, 5);
		else if (span_starts(value, "reason="))
			reply->reason = span_from(value, 7);
		else if (span_is(value, "temp") || span_is(value, "code=temp_fail"))
			reply->temporary = true;
	}
	if (is_name(reply->user))
		return 0;
	/* FAIL repeats whatever the client has said; that alone is not Dovecot's fault. */
	reply->user.len = 0;
	return reply->kind == DOVECOT_FAIL ? 0 : -1;
}

static int
parse_nothing(struct span rest, struct dovecot_reply *reply, char *room)
{
	(void)rest;
	(void)reply;
	(void)room;
	return 0;
}

int
dovecot_parse(struct span line, struct dovecot_reply *reply, char *room)
{
	static const struct {
		const char *word;
		enum dovecot_kind kind;
		int (*parse)(struct span rest, struct dovecot_reply *reply, char *room);
	} kinds[] = {{"VERSION", DOVECOT_VERSION, parse_version},
	    {"MECH", DOVECOT_MECHANISM, parse_mechanism}, {"DONE", DOVECOT_READY, parse_nothing},
	    {"OK", DOVECOT_OK, parse_end}, {"CONT", DOVECOT_CONTINUE, parse_challenge},
	    {"FAIL", DOVECOT_FAIL, parse_end}};
	struct span rest = line, word;

	*reply = (struct dovecot_reply){.kind = DOVECOT_OTHER};
	if (line.len == 0 || line.len > DOVECOT_LINE_MAX || !take_word(&rest, &word) || word.len == 0)
		return -1;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (span_is(word, kinds[i].word)) {
			reply->kind = kinds[i].kind;
			return kinds[i].parse(rest, reply, room);
		}
	return 0;
}

/* ---- what we say ---- */

static void
append_escaped(struct buf *out, const char *text)
{
	for (; *text; text++) {
		const char *code = *text == '\1'   ? "\1"
						     "1"
				   : *text == '\t' ? "\1t"
				   : *text == '\n' ? "\1n"
				   : *text == '\r' ? "\1r"
						   : NULL;

		if (code)
			(void)buf_append_text(out, code);
		else
			(void)buf_append(out, text, 1);
	}
}

static void
append_parameter(struct buf *out, const char *name, const char *value)
{
	if (value == NULL)
		return;
	(void)buf_printf(out, "\t%s=", name);
	append_escaped(out, value);
}

static int
end_line(struct buf *out, size_t before)
{
	if (buf_append(out, "\n", 1) == 0 && !out->full && out->len - before <= DOVECOT_LINE_MAX)
		return 0;
	explicit_bzero(buf_ptr(out) + before, out->len - before);
	out->len = before;
	return -1;
}

int
dovecot_append_auth(struct buf *out, uint32_t id, struct span mechanism, const struct dovecot_client *client,
    struct span initial)
{
	size_t before = out->len;

	(void)buf_printf(out, "AUTH\t%u\t%.*s", id, SPAN_ARG(mechanism));
	append_parameter(out, "service", client->service);
	(void)buf_append_text(out, "\tnologin");
	append_parameter(out, "lip", client->local_address);
	append_parameter(out, "rip", client->remote_address);
	if (client->local_address && client->local_port)
		(void)buf_printf(out, "\tlport=%u", client->local_port);
	if (client->remote_address && client->remote_port)
		(void)buf_printf(out, "\trport=%u", client->remote_port);
	if (client->secured)
		(void)buf_append_text(out, "\tsecured");
	if (client->certificate_user) {
		(void)buf_append_text(out, "\tvalid-client-cert");
		append_parameter(out, "cert_username", client->certificate_user);
	}
	append_parameter(out, "local_name", client->server_name);
	/* Must be the last one. */
	if (initial.ptr)
		(void)buf_printf(out, "\tresp=%.*s", SPAN_ARG(initial));
	return end_line(out, before);
}

int
dovecot_append_response(struct buf *out, uint32_t id, struct span response)
{
	size_t before = out->len;

	(void)buf_printf(out, "CONT\t%u\t%.*s", id, SPAN_ARG(response));
	return end_line(out, before);
}
