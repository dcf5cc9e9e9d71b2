/*
 * The text of a configuration file with one setting changed.
 */
#include "tools/config_edit.h"

#include "common/base/text.h"

enum line_kind { LINE_COMMENT, LINE_CONTINUATION, LINE_SECTION, LINE_SETTING };

static enum line_kind
kind_of(struct span line, struct span *name)
{
	struct span trimmed = text_trim(line);
	ptrdiff_t equals;

	if (trimmed.len == 0 || trimmed.ptr[0] == '#')
		return LINE_COMMENT;
	if (ascii_is_space(line.ptr[0]))
		return LINE_CONTINUATION;
	if (line.ptr[0] == '[')
		return LINE_SECTION;
	equals = span_find(line, '=');
	*name = span_trim(equals < 0 ? line : span_sub(line, 0, (size_t)equals));
	return LINE_SETTING;
}

/* Where the global part ends: behind its last setting, so that comments in front of a section stay there. */
static size_t
end_of_global(struct span text)
{
	size_t position = 0, end = 0, last_comment = 0;
	bool has_section = false;

	while (position < text.len && !has_section) {
		struct span rest = span_from(text, position), name;
		ptrdiff_t newline = span_find(rest, '\n');
		size_t len = newline < 0 ? rest.len : (size_t)newline + 1;

		switch (kind_of(span_sub(rest, 0, newline < 0 ? rest.len : (size_t)newline), &name)) {
		case LINE_SECTION:
			has_section = true;
			break;
		case LINE_COMMENT:
			last_comment = position + len;
			break;
		case LINE_CONTINUATION:
		case LINE_SETTING:
			end = position + len;
			break;
		}
		position += len;
	}
	return has_section ? end : last_comment > end ? last_comment : end;
}

static int
append_setting(struct buf *out, struct span name, struct span value)
{
	if (out->len > 0 && buf_ptr(out)[out->len - 1] != '\n')
		buf_append_text(out, "\n");
	return buf_printf(out, "%.*s = %.*s\n", SPAN_ARG(name), SPAN_ARG(value));
}

int
config_edit_text(
    struct span text, enum config_change change, struct span name, struct span value, struct buf *out)
{
	size_t end = end_of_global(text), position = 0;
	bool written = change != CONFIG_SET, changing = false;

	while (position < end) {
		struct span rest = span_from(text, position), here;
		ptrdiff_t newline = span_find(rest, '\n');
		struct span line = span_sub(rest, 0, newline < 0 ? rest.len : (size_t)newline);
		size_t len = newline < 0 ? rest.len : (size_t)newline + 1;
		enum line_kind kind = kind_of(line, &here);

		if (kind == LINE_SETTING)
			changing = span_equal(here, name);
		if (kind == LINE_COMMENT || !changing || change == CONFIG_COMMENT) {
			if (kind != LINE_COMMENT && changing)
				buf_append_text(out, "#");
			buf_append_span(out, span_sub(rest, 0, len));
		} else if (!written) {
			append_setting(out, name, value);
			written = true;
		}
		position += len;
	}
	if (!written)
		append_setting(out, name, value);
	buf_append_span(out, span_from(text, end));
	return out->full ? -1 : 0;
}
