#include "common/conf/pipe_settings.h"

#include "common/base/text.h"
#include "common/conf/macro.h"
#include "common/conf/transports.h"

static int
parse_flags(struct span value, struct pipe_settings *s, struct error *err)
{
	static const struct {
		char letter;
		unsigned flag;
	} rows[] = {
	    {'B', PIPE_BLANK},
	    {'D', PIPE_DELIVERED},
	    {'F', PIPE_FROM},
	    {'O', PIPE_ORIGINAL},
	    {'R', PIPE_RETURN_PATH},
	    {'X', PIPE_FINAL},
	    {'h', PIPE_FOLD_HOST},
	    {'q', PIPE_QUOTE},
	    {'u', PIPE_FOLD_USER},
	    {'.', PIPE_DOTS},
	    {'>', PIPE_QUOTE_FROM},
	};

	for (size_t i = 0; i < value.len; i++) {
		size_t k = 0;

		while (k < sizeof(rows) / sizeof(rows[0]) && rows[k].letter != value.ptr[i])
			k++;
		if (k == sizeof(rows) / sizeof(rows[0]))
			return error_set(
			    err, "flags=%.*s: there is no flag %c", SPAN_ARG(value), value.ptr[i]);
		s->flags |= rows[k].flag;
	}
	return 0;
}

static int
parse_eol(struct span value, struct pipe_settings *s, struct error *err)
{
	s->crlf = span_is(value, "\\r\\n");
	return s->crlf || span_is(value, "\\n")
		   ? 0
		   : error_set(err, "eol=%.*s: \\n or \\r\\n is possible", SPAN_ARG(value));
}

static int
take(struct span name, struct span value, struct pipe_settings *s, struct error *err)
{
	if (span_is(name, "flags"))
		return parse_flags(value, s, err);
	if (span_is(name, "eol"))
		return parse_eol(value, s, err);
	if (span_is(name, "size"))
		return number_parse(value, 0, INT64_MAX, &s->size) < 0
			   ? error_set(err, "size=%.*s: not a number", SPAN_ARG(value))
			   : 0;
	if (span_is(name, "user")) {
		s->user = value;
	} else if (span_is(name, "directory")) {
		s->directory = value;
	} else if (span_is(name, "chroot")) {
		if (!span_starts(value, "/"))
			return error_set(err, "chroot=%.*s: not an absolute path", SPAN_ARG(value));
		s->root = value;
	} else if (span_is(name, "null_sender")) {
		s->null_sender = value;
		s->has_null_sender = true;
	} else {
		return error_set(err, "unknown attribute %.*s", SPAN_ARG(name));
	}
	return 0;
}

/* ---- names in argv ---- */

static bool
is_one_of(struct span name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_is(name, names[i]))
			return true;
	return false;
}

bool
pipe_name_is_of_recipient(struct span name)
{
	static const char *const names[] = {
	    "recipient", "original_recipient", "user", "extension", "mailbox", "domain"};

	return is_one_of(name, names, sizeof(names) / sizeof(names[0]));
}

static void
on_name(void *context, struct span name)
{
	static const char *const names[] = {"client_address", "client_helo", "client_hostname", "client_port",
	    "client_protocol", "envid", "nexthop", "queue_id", "sasl_method", "sasl_sender", "sasl_username",
	    "sender", "size"};
	bool *unknown = context;

	if (!pipe_name_is_of_recipient(name) && !is_one_of(name, names, sizeof(names) / sizeof(names[0])))
		*unknown = true;
}

static int
check_names(const struct pipe_settings *s, struct error *err)
{
	bool unknown = false;
	struct span rest = s->argv, word;

	while (transport_argument_next(&rest, &word)) {
		if (!macro_each_name(word, on_name, &unknown) || unknown)
			return error_set(err, "argument %.*s has a name that is none", SPAN_ARG(word));
	}
	return 0;
}

int
pipe_settings_parse(struct span arguments, struct pipe_settings *s, struct error *err)
{
	struct span rest = arguments, word;

	*s = (struct pipe_settings){.null_sender = SPAN_LIT("MAILER-DAEMON")};
	while (transport_argument_next(&rest, &word)) {
		ptrdiff_t equals = span_find(word, '=');
		struct span name = span_trim(span_sub(word, 0, equals < 0 ? word.len : (size_t)equals));

		if (equals < 0)
			return error_set(err, "%.*s: not attribute=value", SPAN_ARG(word));
		if (span_is(name, "argv")) {
			/* From here to the end, the first word included. */
			s->argv = span_make(word.ptr + equals + 1,
			    (size_t)(arguments.ptr + arguments.len - (word.ptr + equals + 1)));
			break;
		}
		if (take(name, span_trim(span_from(word, (size_t)equals + 1)), s, err) < 0)
			return -1;
	}
	if (span_trim(s->argv).len == 0)
		return error_set(err, "argv= is missing");
	if (s->user.len == 0)
		return error_set(err, "user= is missing");
	return check_names(s, err);
}
