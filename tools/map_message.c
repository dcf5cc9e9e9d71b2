#include "tools/map_message.h"

#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/mail/mime_walk.h"
#include "common/map/map.h"

enum { NESTING = 100, BOUNDARY = 2048 }; /* defaults of mime_nesting_limit, mime_boundary_length_limit */

struct map_message {
	struct map_message_choice choice;
	struct span rest;
	struct mime_walk *walk;
	struct buf field;
	bool open; /* field waits for lines that go on with it */
};

struct map_message *
map_message_new(struct span text, const struct map_message_choice *choice)
{
	struct map_message *m = mem_alloc(sizeof(*m));
	const struct mime_limits limits = {NESTING, BOUNDARY, !choice->mime};

	m->choice = *choice;
	m->rest = text;
	m->walk = mime_walk_new(&limits);
	buf_init(&m->field, MAP_TEXT_MAX);
	return m;
}

void
map_message_free(struct map_message **m)
{
	if (*m == NULL)
		return;
	mime_walk_free(&(*m)->walk);
	buf_free(&(*m)->field);
	free(*m);
	*m = NULL;
}

/* As the checks see it: without the blanks that old programs put in front of a field's colon. */
static void
begin_field(struct map_message *m, struct span line)
{
	ptrdiff_t colon = span_find(line, ':');
	size_t name = colon < 0 ? 0 : (size_t)colon;

	while (name > 0 && ascii_is_space(line.ptr[name - 1]))
		name--;
	buf_clear(&m->field);
	(void)buf_append_span(&m->field, span_sub(line, 0, name));
	(void)buf_append_span(&m->field, span_from(line, colon < 0 ? 0 : (size_t)colon));
	m->open = true;
}

/* A field is whole when a line comes that does not go on with it: that line is taken by the next call. */
static bool
ends_field(const struct map_message *m, struct span line)
{
	return m->open && (line.len == 0 || (line.ptr[0] != ' ' && line.ptr[0] != '\t'));
}

bool
map_message_next(struct map_message *m, struct span *key)
{
	struct span line;

	for (;;) {
		struct span before = m->rest;
		bool more = span_next_line(&m->rest, &line);

		if (more ? ends_field(m, line) : m->open) {
			m->rest = before;
			m->open = false;
			*key = buf_span(&m->field);
			if (m->choice.headers)
				return true;
			continue;
		}
		if (!more)
			return false;
		switch (mime_walk_line(m->walk, line)) {
		case MIME_LINE_FIELD:
			begin_field(m, line);
			break;
		case MIME_LINE_FOLDED:
			(void)buf_append_text(&m->field, "\n");
			(void)buf_append_span(&m->field, line);
			break;
		case MIME_LINE_END:
			break;
		case MIME_LINE_BOUNDARY:
		case MIME_LINE_TEXT:
			*key = line;
			if (m->choice.body)
				return true;
		}
	}
}
