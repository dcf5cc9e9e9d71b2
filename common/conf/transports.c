#include "common/conf/transports.h"

#include "common/base/text.h"
#include "common/conf/macro.h"

enum { COLUMNS = 6 };

static const struct {
	const char *name;
	enum transport_kind kind;
} kinds[] = {
    {"smtp", TRANSPORT_SMTP},
    {"relay", TRANSPORT_SMTP},
    {"lmtp", TRANSPORT_LMTP},
    {"local", TRANSPORT_LOCAL},
    {"virtual", TRANSPORT_VIRTUAL},
    {"error", TRANSPORT_ERROR},
    {"retry", TRANSPORT_RETRY},
    {"discard", TRANSPORT_DISCARD},
    {"pipe", TRANSPORT_PIPE},
};

static bool
kind_find(struct span name, enum transport_kind *kind)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (span_is(name, kinds[i].name)) {
			*kind = kinds[i].kind;
			return true;
		}
	}
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool
transport_argument_next(struct span *rest, struct span *word)
{
	size_t i = 0;

	*rest = span_trim(*rest);
	if (rest->len == 0)
		return false;
	if (rest->ptr[0] == '{') {
		if (macro_take_bracketed(rest, word)) {
			*word = span_trim(*word);
		} else {
			*word = span_trim(span_from(*rest, 1));
			*rest = span_from(*rest, rest->len);
		}
		return true;
	}
	while (i < rest->len && !is_blank(rest->ptr[i]))
		i++;
	*word = span_sub(*rest, 0, i);
	*rest = span_from(*rest, i);
	return true;
}

/* Skips the columns of master.cf where they are there. */
static int
skip_columns(struct span *rest, struct transport_service *s, struct error *err)
{
	struct span word, ahead = *rest;
	uint64_t number;

	if (!transport_argument_next(&ahead, &word) || !(span_is(word, "unix") || span_is(word, "fifo") ||
							   span_is(word, "inet") || span_is(word, "pass")))
		return 0;
	for (unsigned i = 0; i < COLUMNS; i++) {
		if (!transport_argument_next(rest, &word))
			return error_set(
			    err, "transport %.*s: columns are missing before the program", SPAN_ARG(s->name));
	}
	if (number_parse(word, 0, 10000, &number) == 0)
		s->processes = (unsigned)number;
	return 0;
}

static bool
name_is_good(struct span name)
{
	if (name.len == 0 || name.len > 32)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '_' &&
		    name.ptr[i] != '.')
			return false;
	return true;
}

static int
take_service(struct span text, struct transport_service *s, struct error *err)
{
	struct span program;

	/* Nobody's mail goes out by SMTP for a mistake: it waits, as that of a pipe without a command. */
	*s = (struct transport_service){.name = {"", 0}, .kind = TRANSPORT_PIPE};
	if (!transport_argument_next(&text, &s->name) || !name_is_good(s->name))
		return error_set(
		    err, "a transport's name is made of up to 32 letters, digits, '-', '_' and '.'");
	if (skip_columns(&text, s, err) < 0)
		return -1;
	if (!transport_argument_next(&text, &program) || !kind_find(program, &s->kind))
		return error_set(err,
		    "transport %.*s: its program is none of pipe, smtp, lmtp, error, retry, discard",
		    SPAN_ARG(s->name));
	if ((s->kind == TRANSPORT_LOCAL || s->kind == TRANSPORT_VIRTUAL) && !span_equal(s->name, program)) {
		s->kind = TRANSPORT_PIPE;
		return error_set(
		    err, "transport %.*s: there is one %.*s alone", SPAN_ARG(s->name), SPAN_ARG(program));
	}
	s->arguments = span_trim(text);
	if (s->kind != TRANSPORT_PIPE && s->arguments.len > 0)
		return error_set(
		    err, "transport %.*s: options are possible for pipe alone", SPAN_ARG(s->name));
	return 0;
}

int
transport_service_next(struct span *rest, struct transport_service *s, struct error *err)
{
	struct span text, ahead;

	*rest = span_trim(*rest);
	while (rest->len > 0 && rest->ptr[0] == ',')
		*rest = span_trim(span_from(*rest, 1));
	if (rest->len == 0)
		return 0;
	if (rest->ptr[0] == '{') {
		ahead = *rest;
		if (!macro_take_bracketed(&ahead, &text)) {
			take_service(span_from(*rest, 1), s, err);
			*rest = span_from(*rest, rest->len);
			return error_set(err, "a brace is not closed");
		}
		*rest = ahead;
	} else {
		text = *rest;
		*rest = span_from(*rest, rest->len);
	}
	return take_service(text, s, err) < 0 ? -1 : 1;
}

void
transport_service_find(const struct conf_values *v, struct span name, struct transport_service *s)
{
	struct span rest = span_of(v->transport_services);
	struct error err;

	while (transport_service_next(&rest, s, &err) != 0)
		if (span_equal(s->name, name))
			return;
	*s = (struct transport_service){.name = name, .kind = TRANSPORT_SMTP};
	if (!kind_find(name, &s->kind) || s->kind == TRANSPORT_PIPE)
		s->kind = TRANSPORT_SMTP;
}
