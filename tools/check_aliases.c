#include "tools/check_aliases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/map/entries.h"
#include "common/map/lines.h"
#include "delivery/local/alias_value.h"

enum { TOLD_MAX = 20, ARENA = 4 << 20, SHOWN = 100 };

struct aliases {
	const char *path;
	unsigned told;
	map_complain *complain;
	void *context;
};

bool
alias_text_known(const char *table)
{
	static const char *const types[] = {"hash:", "btree:", "cdb:", "lmdb:", "texthash:"};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strncmp(table, types[i], strlen(types[i])) == 0)
			return true;
	return false;
}

static void
tell(struct aliases *a, unsigned line, const char *text)
{
	if (a->told++ < TOLD_MAX)
		a->complain(a->path, line, text, a->context);
}

static void
look_at_members(struct aliases *a, unsigned line, struct span key, struct span value)
{
	struct arena *arena = arena_new(ARENA);
	enum alias_member kind;
	struct span member;
	char text[3 * SHOWN];

	while (a->told < TOLD_MAX && alias_next_member(arena, &value, &kind, &member)) {
		if (kind == ALIAS_MALFORMED) {
			(void)snprintf(text, sizeof(text), "alias %.*s: not an address: %.*s",
			    SPAN_ARG(span_sub(key, 0, SHOWN)), SPAN_ARG(span_sub(member, 0, SHOWN)));
			tell(a, line, text);
		} else if (kind == ALIAS_INCLUDE && member.ptr[0] != '/') {
			(void)snprintf(text, sizeof(text), "alias %.*s: not an absolute path: %.*s",
			    SPAN_ARG(span_sub(key, 0, SHOWN)), SPAN_ARG(span_sub(member, 0, SHOWN)));
			tell(a, line, text);
		}
	}
	arena_free(&arena);
}

void
alias_text_check(const char *table, bool lines, map_complain *complain, void *context)
{
	struct aliases a = {.path = strchr(table, ':') + 1, .complain = complain, .context = context};
	bool colons = strncmp(table, "texthash:", 9) != 0;
	struct span line, key, value;
	struct error ignored;
	struct lines all;
	struct buf name;
	size_t len = 0;
	char *bytes = lines_load(a.path, LINES_FILE_MAX, &len, &ignored);

	if (bytes == NULL)
		return;
	buf_init(&name, MAP_KEY_MAX);
	lines_begin(&all, span_make(bytes, len));
	while (a.told < TOLD_MAX && lines_next(&all, &line)) {
		const char *wrong =
		    colons ? entry_parse_alias(line, &name, &value) : entry_parse_map(line, &key, &value);

		if (wrong == NULL)
			look_at_members(&a, all.first, colons ? buf_span(&name) : key, value);
		else if (lines)
			tell(&a, all.first, wrong);
	}
	lines_end(&all);
	buf_free(&name);
	free(bytes);
}
