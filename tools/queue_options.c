#include "tools/queue_options.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/text.h"
#include "common/mail/domain_form.h"

enum { ARGS_MAX = 8 << 20 }; /* more than execve() takes */

struct option {
	const char *name;
	enum {
		VALUE_NONE,
		VALUE_FLAG,
		VALUE_BY,
		VALUE_TEXT,
		VALUE_ADDRESS,
		VALUE_TIME,
		VALUE_SIZE,
		VALUE_NUMBER
	} value;
	const char *part; /* --headers is part=headers */
	/* A filter: an empty one, as of an unset variable, or a second one would not say what was meant. */
	bool narrows;
};

static const struct option filters[] = {
    {"from", VALUE_ADDRESS, NULL, true},
    {"to", VALUE_ADDRESS, NULL, true},
    {"nexthop", VALUE_TEXT, NULL, true},
    {"not-from", VALUE_ADDRESS, NULL, true},
    {"not-to", VALUE_ADDRESS, NULL, true},
    {"not-nexthop", VALUE_TEXT, NULL, true},
    {"not-reason", VALUE_TEXT, NULL, true},
    {"from-part", VALUE_TEXT, NULL, true},
    {"to-part", VALUE_TEXT, NULL, true},
    {"not-from-part", VALUE_TEXT, NULL, true},
    {"not-to-part", VALUE_TEXT, NULL, true},
    {"not-id", VALUE_TEXT, NULL, true},
    {"state", VALUE_TEXT, NULL, false},
    {"reason", VALUE_TEXT, NULL, true},
    {"older-than", VALUE_TIME, NULL, true},
    {"newer-than", VALUE_TIME, NULL, true},
    {"larger-than", VALUE_SIZE, NULL, true},
    {"limit", VALUE_NUMBER, NULL, true},
    {"all", VALUE_NONE, NULL, false},
    {"by", VALUE_BY, NULL, false},
    {"json", VALUE_FLAG, NULL, false},
    {"watch", VALUE_FLAG, NULL, false},
    {"count", VALUE_FLAG, NULL, false},
    {"ids", VALUE_FLAG, NULL, false},
    {"envelope", VALUE_NONE, "envelope", false},
    {"headers", VALUE_NONE, "headers", false},
    {"body", VALUE_NONE, "body", false},
    {"hold-reason", VALUE_TEXT, NULL, false},
};

/* Returns -1 if text is no number with one of the suffixes. */
static int
with_suffix(const char *text, const char *suffixes, const uint64_t *factors, uint64_t *value)
{
	struct span s = span_of(text);
	const char *suffix;
	uint64_t factor = 1;

	if (s.len > 1 && !ascii_is_digit(s.ptr[s.len - 1])) {
		suffix = strchr(suffixes, ascii_lower(s.ptr[s.len - 1]));
		if (!suffix)
			return -1;
		factor = factors[suffix - suffixes];
		s.len--;
	}
	if (number_parse(s, 0, UINT64_MAX / factor, value) < 0)
		return -1;
	*value *= factor;
	return 0;
}

/* As logs and listings write it: "<a@b>", and the empty sender as "<>" or MAILER-DAEMON. */
static struct span
written_address(const char *name, struct span text)
{
	if (text.len >= 2 && text.ptr[0] == '<' && text.ptr[text.len - 1] == '>')
		text = span_sub(text, 1, text.len - 2);
	return strstr(name, "from") != NULL && span_is_nocase(text, "MAILER-DAEMON") ? SPAN_LIT("") : text;
}

void
queue_options_put_address(struct buf *args, const char *name, struct span address)
{
	ptrdiff_t at = span_find_last(address, '@');
	char alabels[DOMAIN_FORM_MAX];

	if (at >= 0 && domain_to_alabels(span_from(address, (size_t)at + 1), alabels))
		buf_printf(args, "%s=%.*s%s\n", name, (int)at + 1, address.ptr, alabels);
	else
		buf_printf(args, "%s=%.*s\n", name, SPAN_ARG(address));
}

static int
add_option(struct queue_options *options, const struct option *o, const char *value)
{
	static const uint64_t seconds[] = {1, 60, 3600, 86400, 7 * 86400};
	static const uint64_t octets[] = {1024, 1024 * 1024, 1024 * 1024 * 1024};
	uint64_t number;

	switch (o->value) {
	case VALUE_NONE:
		if (o->part)
			buf_printf(&options->args, "part=%s\n", o->part);
		else
			buf_printf(&options->args, "%s=1\n", o->name);
		return 0;
	case VALUE_FLAG:
		options->json = options->json || strcmp(o->name, "json") == 0;
		options->watch = options->watch || strcmp(o->name, "watch") == 0;
		options->count_only = options->count_only || strcmp(o->name, "count") == 0;
		options->ids_only = options->ids_only || strcmp(o->name, "ids") == 0;
		return 0;
	case VALUE_BY:
		options->by = value;
		return 0;
	case VALUE_TEXT:
		if (strchr(value, '\n') || (o->narrows && !value[0]))
			return -1;
		buf_printf(&options->args, "%s=%s\n", o->name, value);
		return 0;
	case VALUE_ADDRESS:
		if (strchr(value, '\n'))
			return -1;
		queue_options_put_address(&options->args, o->name, written_address(o->name, span_of(value)));
		return 0;
	case VALUE_TIME:
		if (with_suffix(value, "smhdw", seconds, &number) < 0)
			return -1;
		break;
	case VALUE_SIZE:
		if (with_suffix(value, "kmg", octets, &number) < 0)
			return -1;
		break;
	default:
		if (number_parse(span_of(value), 1, INT64_MAX, &number) < 0)
			return -1;
		break;
	}
	buf_printf(&options->args, "%s=%llu\n", o->name, (unsigned long long)number);
	return 0;
}

/* States are alternatives; of all other filters a message has to match each. */
static bool
is_twice(struct queue_options *options, size_t option)
{
	bool before = (options->seen & 1u << option) != 0;

	options->seen |= 1u << option;
	return before && filters[option].narrows;
}

static int
parse_option(struct queue_options *options, const struct tool *tool, int argc, char **argv, int *at)
{
	const char *word = argv[*at] + 2, *value = strchr(word, '=');
	size_t len = value ? (size_t)(value - word) : strlen(word);

	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		const struct option *o = &filters[i];
		bool wants = o->value != VALUE_NONE && o->value != VALUE_FLAG;

		if (strlen(o->name) != len || strncmp(o->name, word, len) != 0)
			continue;
		if (!wants && value)
			return tool_fail(tool, EX_USAGE, "--%s takes no value", o->name);
		if (wants)
			value = value ? value + 1 : ++*at < argc ? argv[*at] : NULL;
		if (wants && !value)
			return tool_fail(tool, EX_USAGE, "--%s wants a value", o->name);
		if (is_twice(options, i))
			return tool_fail(tool, EX_USAGE, "--%s is given twice", o->name);
		if (add_option(options, o, value) < 0)
			return tool_fail(tool, EX_USAGE, "bad value for --%s: %s", o->name, value);
		return 0;
	}
	return tool_fail(tool, EX_USAGE, "unknown option %s", argv[*at]);
}

int
queue_options_parse(struct queue_options *options, const struct tool *tool, int argc, char **argv)
{
	bool more = true; /* options, until "--" */

	for (int i = 1; i < argc; i++) {
		int status = 0;

		if (more && strcmp(argv[i], "ALL") == 0) /* as postsuper(1) says it */
			buf_append_text(&options->args, "all=1\n");
		else if (more && strcmp(argv[i], "--") == 0)
			more = false;
		else if (more && strncmp(argv[i], "--", 2) == 0)
			status = parse_option(options, tool, argc, argv, &i);
		else if (strchr(argv[i], '\n') != NULL) /* it would be a line of its own */
			status = tool_fail(tool, EX_USAGE, "bad value for id: it has more than one line");
		else
			buf_printf(&options->args, "id=%s\n", argv[i]);
		if (status != 0)
			return status;
	}
	options->chosen = options->args.len > 0;
	return options->args.full ? tool_fail(tool, EX_USAGE, "too many arguments") : 0;
}

void
queue_options_init(struct queue_options *options)
{
	buf_init(&options->args, ARGS_MAX);
}

void
queue_options_free(struct queue_options *options)
{
	buf_free(&options->args);
}
