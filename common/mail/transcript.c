#include "common/mail/transcript.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/conf/conf.h"

unsigned
transcript_classes(const char *notify_classes)
{
	static const struct {
		const char *name;
		unsigned class;
	} rows[] = {
	    {"bounce", CLASS_BOUNCE},
	    {"policy", CLASS_POLICY},
	    {"protocol", CLASS_PROTOCOL},
	    {"data", CLASS_DATA},
	    {"resource", CLASS_RESOURCE},
	    {"software", CLASS_SOFTWARE},
	};
	unsigned classes = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (conf_list_has(notify_classes, rows[i].name))
			classes |= rows[i].class;
	return classes;
}

void
transcript_free(struct transcript *t)
{
	free(t->text);
	memset(t, 0, sizeof(*t));
}

/* Half of it at least, so that this is not done for every line. The last octet is the end of a line. */
static void
drop_oldest(struct transcript *t, size_t need)
{
	size_t kept = t->size - (t->size / 2 > need ? t->size / 2 : need), gone;
	const char *lf;

	if (t->len <= kept)
		return;
	lf = memchr(t->text + (t->len - kept - 1), '\n', kept + 1);
	gone = (size_t)(lf + 1 - t->text);
	memmove(t->text, t->text + gone, t->len - gone);
	t->len -= (uint32_t)gone;
}

static bool
make_room(struct transcript *t, size_t need)
{
	uint32_t most = t->classes ? TRANSCRIPT_MAX : TRANSCRIPT_QUIET;

	if (t->size < most) {
		t->text = mem_resize(t->text, most);
		t->size = most;
	} else if (t->classes == 0)
		drop_oldest(t, need);
	return t->size - t->len >= need;
}

void
transcript_add(struct transcript *t, enum transcript_mark mark, struct span line)
{
	size_t len = line.len < TRANSCRIPT_LINE ? line.len : TRANSCRIPT_LINE;
	char *at;

	if (t->size - t->len < len + 2 && !make_room(t, len + 2)) {
		t->omitted++;
		return;
	}
	at = t->text + t->len;
	*at++ = (char)mark;
	if (len)
		memcpy(at, line.ptr, len);
	at[len] = '\n';
	t->len += (uint32_t)len + 2;
}

void
transcript_error(struct transcript *t, unsigned classes)
{
	t->classes |= classes;
}

void
transcript_forgive(struct transcript *t)
{
	t->classes = 0;
	t->omitted = 0;
}

bool
transcript_is_notice(struct span command, const char *double_bounce_sender)
{
	size_t len = strlen(double_bounce_sender);
	ptrdiff_t start;
	struct span path;

	if (!span_starts_nocase(command, "MAIL"))
		return false;
	start = span_find(command, '<');
	path = span_from(command, (size_t)(start + 1));
	return start > 0 && path.len > len && path.ptr[len] == '@' &&
	       span_is_nocase(span_sub(path, 0, len), double_bounce_sender);
}
