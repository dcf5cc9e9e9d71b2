#include "common/mail/id_lines.h"

#include "common/base/text.h"

void
id_lines_init(struct id_lines *l)
{
	*l = (struct id_lines){.open = false};
	buf_init(&l->text, ID_LINES_MAX);
}

void
id_lines_free(struct id_lines *l)
{
	buf_free(&l->text);
}

static void
append(struct id_lines *l, struct span text)
{
	text_append_printable(&l->text, span_trim(text), ID_LINES_MAX - l->text.len);
}

void
id_lines_begin(struct id_lines *l, struct span name, struct span value)
{
	bool resent = span_is_nocase(name, "resent-message-id");

	l->open = false;
	if (!resent && !span_is_nocase(name, "message-id"))
		return;
	l->any = l->any || !resent;
	if (l->text.len + 100 > ID_LINES_MAX)
		return;
	l->open = true;
	buf_append_text(&l->text, l->text.len > 0 ? "\n" : "");
	buf_append_text(&l->text, resent ? "resent-message-id=" : "message-id=");
	append(l, value);
}

void
id_lines_more(struct id_lines *l, struct span line)
{
	if (!l->open || l->text.len + 2 > ID_LINES_MAX)
		return;
	/* As Postfix shows the line end and the tab; nothing of an empty beginning. */
	if (buf_ptr(&l->text)[l->text.len - 1] != '=')
		buf_append_text(&l->text, line.len > 0 && line.ptr[0] == '\t' ? "??" : "? ");
	append(l, line);
}

void
id_lines_add(struct id_lines *l, struct span name, struct span body)
{
	struct span line;

	if (!span_next_line(&body, &line))
		line = span_make("", 0);
	id_lines_begin(l, name, line);
	while (span_next_line(&body, &line))
		id_lines_more(l, line);
}

void
id_lines_log(const struct id_lines *l, const struct log *log)
{
	struct span rest = buf_span(&l->text), line;

	while (span_next_line(&rest, &line))
		log_info(log, "%.*s", SPAN_ARG(line));
	if (!l->any)
		log_info(log, "message-id=<>");
}
