/*
 * main.cf's lines: a line that begins with white space goes on with the one before; empty lines and those whose
 * first character is '#' are skipped, also between the parts of one; "name = value"; "[section]".
 */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/io.h"
#include "common/base/text.h"
#include "common/conf/report.h"
#include "common/conf/schema.h"
#include "common/conf/source.h"

struct reader {
	struct source *source;
	struct scope *scope; /* where settings go; NULL behind a section that could not be made */
	struct buf logical;
	unsigned line; /* of the logical line's start; 0: there is none */
	bool too_long;
	bool saw_crlf;
};

static void
complain(struct reader *r, char severity, const char *text)
{
	conf_report_add(r->source->report, severity, r->source->file, r->line, "%s", text);
}

/* The part of a line that is worth showing. */
static int
shown(struct span s)
{
	return s.len < 60 ? (int)s.len : 60;
}

bool
source_name_valid(struct span name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		if (!ascii_is_alnum(c) && c != '_' && c != '-' && c != '.')
			return false;
	}
	return name.len > 0;
}

static void
take_section(struct reader *r, struct span line)
{
	struct conf_report *report = r->source->report;
	const char *file = r->source->file;
	struct span name;

	/* A lost header would put one listener's settings on another: that is never safe. */
	r->scope = NULL;
	if (line.ptr[line.len - 1] != ']') {
		conf_report_add(report, 'f', file, r->line, "a section's name must end in ]: %.*s",
		    shown(line), line.ptr);
		return;
	}
	name = text_trim(span_sub(line, 1, line.len - 2));
	if (!source_name_valid(name) || name.len > CONF_SECTION_NAME_MAX) {
		conf_report_add(report, 'f', file, r->line,
		    "a section's name is made of up to %d letters, digits, '_', '-' and '.': %.*s",
		    CONF_SECTION_NAME_MAX, shown(line), line.ptr);
		return;
	}
	for (size_t i = 1; i < r->source->scope_count; i++) {
		if (span_is(name, r->source->scopes[i].section))
			conf_report_add(report, 'e', file, r->line,
			    "section [%.*s] was begun before, at line %u", SPAN_ARG(name),
			    r->source->scopes[i].line);
	}
	r->scope = source_scope(r->source, name);
	if (!r->scope)
		conf_report_add(
		    report, 'f', file, r->line, "too many sections: %d are possible", CONF_SECTIONS_MAX);
	else if (r->scope->line == 0)
		r->scope->line = r->line;
}

static void
check_value(struct reader *r, struct span name, struct span value)
{
	struct conf_report *report = r->source->report;

	for (size_t i = 0; i + 1 < value.len; i++) {
		if ((value.ptr[i] == ' ' || value.ptr[i] == '\t') && value.ptr[i + 1] == '#' &&
		    (i + 2 == value.len || value.ptr[i + 2] == ' ')) {
			conf_report_add(report, 'w', r->source->file, r->line,
			    "%.*s: a # after other text begins no comment; it is part of the value",
			    SPAN_ARG(name));
			return;
		}
	}
}

/* Name, type and six columns: what to do with such a line of Postfix's master.cf. NULL: it is none. */
static const char *
advice_of_master_cf(struct span line)
{
	static const char *const types[] = {"inet", "unix", "fifo", "pass", "unix-dgram"};
	struct span words[8];
	bool typed = false;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!span_next_word(&line, " \t", &words[i]))
			return NULL;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		typed = typed || span_is(words[1], types[i]);
	if (!typed)
		return NULL;
	if (span_is(words[7], "smtpd"))
		return "a listener is a section: [name], listen = address:port, and a line for each -o";
	if (span_is(words[7], "pipe") || span_is(words[7], "smtp") || span_is(words[7], "lmtp"))
		return "it goes, in braces, to transport_services";
	return "it has no counterpart";
}

static bool
is_of_master_cf(struct reader *r, struct span line)
{
	const char *advice = advice_of_master_cf(line);

	if (advice)
		conf_report_add(r->source->report, 'f', r->source->file, r->line,
		    "a line of Postfix's master.cf (%s): %.*s", advice, shown(line), line.ptr);
	return advice != NULL;
}

static void
take_listen(struct reader *r, struct span value)
{
	struct conf_report *report = r->source->report;

	if (r->scope->listen)
		conf_report_add(
		    report, 'w', r->source->file, r->line, "listen: given twice, the last one counts");
	if (span_find_span(value, SPAN_LIT(" -o ")) >= 0)
		conf_report_add(report, 'f', r->source->file, r->line,
		    "listen: what is \"-o name=value\" in master.cf is a line of its own here, "
		    "\"name=value\"");
	r->scope->listen = arena_copy(r->source->arena, value);
}

static void
take_setting(struct reader *r, struct span name, struct span value)
{
	struct conf_report *report = r->source->report;
	const char *file = r->source->file;
	struct setting *before;

	if (!r->scope)
		return;
	check_value(r, name, value);
	if (span_is(name, "listen") && r->scope != &r->source->scopes[0]) {
		take_listen(r, value);
		return;
	}
	before = scope_find(r->scope, name);
	if (before)
		conf_report_add(report, 'w', file, r->line,
		    "%.*s: was set before, at line %u; the last one counts", SPAN_ARG(name), before->line);
	if (!source_set(r->source, r->scope, name, value, r->line))
		conf_report_add(
		    report, 'f', file, r->line, "too many settings: %d are possible", SOURCE_SETTINGS_MAX);
}

/* What was gathered is one whole line of the grammar. */
static void
end_logical(struct reader *r)
{
	struct span line = text_trim(buf_span(&r->logical)), name, value;
	ptrdiff_t equals;

	if (r->line == 0)
		return;
	equals = span_find(line, '=');
	name = text_trim(equals < 0 ? line : span_sub(line, 0, (size_t)equals));
	value = equals < 0 ? SPAN_LIT("") : text_trim(span_from(line, (size_t)equals + 1));
	if (line.len > 0 && line.ptr[0] == '[')
		take_section(r, line);
	else if ((equals < 0 || !source_name_valid(name)) && is_of_master_cf(r, line))
		; /* said */
	else if (equals < 0)
		conf_report_add(r->source->report, 'f', r->source->file, r->line,
		    "neither \"name = value\" nor \"[section]\": %.*s", shown(line), line.ptr);
	else if (!source_name_valid(name) || name.len > CONF_NAME_MAX)
		conf_report_add(r->source->report, 'f', r->source->file, r->line,
		    "a name is made of up to %d letters, digits, '_', '-' and '.': %.*s", CONF_NAME_MAX,
		    shown(name), name.ptr);
	else if (r->too_long || value.len > CONF_VALUE_MAX)
		conf_report_add(r->source->report, setting_is_vital(name) ? 'f' : 'e', r->source->file,
		    r->line, "%.*s: the value is longer than %d octets", SPAN_ARG(name), CONF_VALUE_MAX);
	else if (span_find(value, '\r') >= 0)
		conf_report_add(r->source->report, setting_is_vital(name) ? 'f' : 'e', r->source->file,
		    r->line, "%.*s: the value has a carriage return in it", SPAN_ARG(name));
	else
		take_setting(r, name, value);
	buf_clear(&r->logical);
	r->too_long = false;
	r->line = 0;
}

static void
gather(struct reader *r, struct span part)
{
	size_t room = r->logical.max - r->logical.len;

	/* The beginning is kept for the name that the complaint needs. */
	if (part.len > room)
		r->too_long = true;
	buf_append_span(&r->logical, span_sub(part, 0, room));
}

static void
take_physical(struct reader *r, struct span line, unsigned number)
{
	struct span trimmed = text_trim(line);

	if (line.len > 0 && line.ptr[line.len - 1] == '\r') {
		line.len--;
		if (!r->saw_crlf)
			conf_report_add(r->source->report, 'w', r->source->file, number,
			    "the line ends in carriage return and newline; newline alone is meant");
		r->saw_crlf = true;
	}
	if (trimmed.len == 0 || trimmed.ptr[0] == '#')
		return;
	if (!ascii_is_space(line.ptr[0])) {
		end_logical(r);
		r->line = number;
	} else if (r->line == 0) {
		r->line = number;
		complain(r, 'f',
		    "a line that begins with white space goes on with the one before, but there is none");
		r->line = 0;
		return;
	} else {
		gather(r, SPAN_LIT(" "));
	}
	gather(r, trimmed);
}

void
source_read(struct source *s, struct span text)
{
	static const char byte_order_mark[] = "\xEF\xBB\xBF";
	struct reader r = {.source = s, .scope = &s->scopes[0]};
	unsigned number = 0;

	buf_init(&r.logical, CONF_VALUE_MAX + CONF_NAME_MAX + 1000);
	if (span_starts(text, byte_order_mark)) {
		text = span_from(text, strlen(byte_order_mark));
		conf_report_add(
		    s->report, 'w', s->file, 1, "the file begins with a byte order mark, which is left out");
	}
	while (text.len > 0) {
		ptrdiff_t end = span_find(text, '\n');
		struct span line = span_sub(text, 0, end < 0 ? text.len : (size_t)end);

		text = span_from(text, end < 0 ? text.len : (size_t)end + 1);
		number++;
		if (span_find(line, '\0') >= 0) {
			conf_report_add(
			    s->report, 'f', s->file, number, "the line has a NUL in it: the file is damaged");
			continue;
		}
		take_physical(&r, line, number);
	}
	end_logical(&r);
	buf_free(&r.logical);
}

int
source_load(const char *path, struct buf *out, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t got;
	char *room;
	int result = -1;

	if (fd < 0)
		return error_errno(err, "%s", path);
	room = buf_reserve(out, SOURCE_FILE_MAX + 1);
	if (fstat(fd, &st) < 0 || (got = io_read_all(fd, room, SOURCE_FILE_MAX + 1)) < 0) {
		error_errno(err, "%s", path);
	} else if (!S_ISREG(st.st_mode)) {
		error_set(err, "%s: not a regular file", path);
	} else if (got > SOURCE_FILE_MAX) {
		error_set(err, "%s: larger than %d octets", path, SOURCE_FILE_MAX);
	} else {
		buf_added(out, (size_t)got);
		result = 0;
	}
	if (io_close(&fd) < 0)
		result = error_errno(err, "%s", path);
	return result;
}
