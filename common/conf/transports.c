#include "common/conf/transports.h"

#include <string.h>

#include "common/base/text.h"
#include "common/conf/macro.h"
#include "common/conf/schema.h"
#include "common/conf/values.h"

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

int
transport_option_next(struct span *rest, struct span *name, struct span *value, struct error *err)
{
	struct span word;
	ptrdiff_t equals;

	if (!transport_argument_next(rest, &word))
		return 0;
	if (span_is(word, "-o")) {
		if (!transport_argument_next(rest, &word))
			return error_set(err, "nothing behind -o");
	} else if (span_starts(word, "-o")) {
		word = span_from(word, 2);
	} else if (span_is(word, "-v")) {
		return transport_option_next(rest, name, value, err);
	} else {
		return error_set(err, "%.*s: -o name=value is meant", SPAN_ARG(span_sub(word, 0, 100)));
	}
	equals = span_find(word, '=');
	if (equals <= 0)
		return error_set(err, "-o %.*s: name=value is meant", SPAN_ARG(span_sub(word, 0, 100)));
	*name = span_trim(span_sub(word, 0, (size_t)equals));
	*value = span_trim(span_from(word, (size_t)equals + 1));
	return 1;
}

struct option_names {
	const struct transport_service *service;
	const struct conf_values *values;
};

static bool
option_value(void *context, struct span name, struct span *value)
{
	const struct option_names *names = context;
	char text[CONF_NAME_MAX + 1];
	const char *found;

	if (span_is(name, "service_name")) {
		*value = names->service->name;
		return true;
	}
	found = span_copy(name, text, sizeof(text)) ? conf_lookup(names->values, text) : NULL;
	*value = span_of(found);
	return found != NULL;
}

int
transport_option_expand(const struct transport_service *s, const struct conf_values *v, struct span *value,
    struct buf *out, struct error *err)
{
	struct option_names context = {s, v};
	const struct macro_names names = {.value = option_value, .context = &context};
	size_t before = out->len;

	if (!macro_expand(out, *value, &names) || out->full)
		return error_set(
		    err, "-o %.*s: its $names make no sense", SPAN_ARG(span_sub(*value, 0, 100)));
	*value = span_from(buf_span(out), before);
	return 0;
}

const struct unsupported *
transport_option_missing(struct span name)
{
	const struct unsupported *u = param_find(name) ? NULL : unsupported_find(name);

	if (!u || u->kind == UNSUPPORTED_UNSAFE || (u->kind == UNSUPPORTED_MISSING && strchr(u->name, '*')))
		return NULL;
	return u;
}

/* A value with $names shows only later what it is. */
static int
check_options(struct transport_service *s, struct error *err)
{
	struct span rest = s->arguments, name, value;
	char text[CONF_VALUE_MAX + 1];
	struct conf_values parsed;
	const struct param *p;
	size_t count = 0;
	int got;

	while ((got = transport_option_next(&rest, &name, &value, err)) > 0) {
		p = param_find(name);
		if (!p && transport_option_missing(name))
			continue;
		if (!p)
			got = error_set(err, "unknown parameter %.*s", SPAN_ARG(span_sub(name, 0, 100)));
		else if (!span_copy(value, text, sizeof(text)) || ++count == TRANSPORT_OPTIONS_MAX)
			got = error_set(err, "too many options, or one that is too long");
		else if (span_find(value, '$') < 0)
			got = param_parse(p, text, &parsed, err);
		if (got < 0)
			break;
	}
	if (got < 0) {
		s->kind = TRANSPORT_PIPE;
		s->arguments = (struct span){"", 0};
		error_while(err, "transport %.*s", SPAN_ARG(s->name));
	}
	return got;
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
	if (s->kind == TRANSPORT_SMTP || s->kind == TRANSPORT_LMTP)
		return check_options(s, err);
	if (s->kind != TRANSPORT_PIPE && s->arguments.len > 0)
		return error_set(err, "transport %.*s: options are possible for pipe, smtp and lmtp alone",
		    SPAN_ARG(s->name));
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

/* Whoever gets mail into mailboxes, with no host to send it to, is no SMTP client. */
static bool
is_of_mailboxes(const struct conf_values *v, struct span name)
{
	const char *const routes[] = {
	    v->virtual_transport, v->local_transport, v->mailbox_transport, v->fallback_transport};

	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		struct span route = span_of(routes[i]), word;

		if (span_next_word(&route, ":", &word) && span_equal(span_trim(word), name) &&
		    span_trim(route).len == 0)
			return true;
	}
	return false;
}

/*
 * NAME_destination_rate_delay and its like say how fast a next hop is sent to: the name is one more SMTP client then. A
 * limit of recipients says nothing, for commands have it.
 */
static bool
is_paced(const struct conf_values *v, struct span name)
{
	static const char *const paces[] = {"_destination_rate_delay", "_transport_rate_delay",
	    "_destination_concurrency_limit", "_initial_destination_concurrency"};
	const struct value_set *set = value_set_of(v);

	for (size_t i = 0; i < set->extra_count; i++) {
		struct span extra = span_of(set->extras[i].name), rest;

		if (extra.len < name.len || !span_equal(span_sub(extra, 0, name.len), name))
			continue;
		rest = span_from(extra, name.len);
		for (size_t p = 0; p < sizeof(paces) / sizeof(paces[0]); p++)
			if (span_is(rest, paces[p]))
				return true;
	}
	return false;
}

void
transport_service_find(const struct conf_values *v, struct span name, struct transport_service *s)
{
	struct span rest = span_of(v->transport_services);
	struct error err;

	while (transport_service_next(&rest, s, &err) != 0)
		if (span_equal(s->name, name))
			return;
	*s = (struct transport_service){.name = name};
	if (!kind_find(name, &s->kind) || s->kind == TRANSPORT_PIPE)
		s->kind = is_paced(v, name) && !is_of_mailboxes(v, name) ? TRANSPORT_SMTP : TRANSPORT_UNKNOWN;
}

void
transport_parameters(const struct conf_values *v, struct transport_parameter rows[TRANSPORT_PARAMETERS])
{
	const struct transport_parameter all[TRANSPORT_PARAMETERS] = {
	    {"best_mx_transport", v->best_mx_transport}, {"content_filter", v->content_filter},
	    {"default_transport", v->default_transport}, {"fallback_transport", v->fallback_transport},
	    {"local_transport", v->local_transport}, {"mailbox_transport", v->mailbox_transport},
	    {"relay_transport", v->relay_transport}, {"virtual_transport", v->virtual_transport}};

	memcpy(rows, all, sizeof(all));
}

bool
transport_is_known(const struct conf_values *v, struct span name)
{
	struct transport_service s;

	transport_service_find(v, name, &s);
	return s.kind != TRANSPORT_UNKNOWN;
}
