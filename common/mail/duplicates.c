#include "common/mail/duplicates.h"

#include "common/base/buf.h"
#include "common/mail/casefold.h"

/* Folded text may be three times as long. */
enum { KEY_MAX = 4096, FOLDED_MAX = 3 * KEY_MAX };

static void
put_names(struct buf *text, const struct duplicate_key *key)
{
	buf_append_span(text, key->recipient);
	buf_append_text(text, "\n");
	buf_append_span(text, key->original.len > 0 ? key->original : key->recipient);
	buf_printf(text, "\n%u\n", key->notify);
	buf_append_span(text, key->orcpt);
}

bool
duplicate_is_known(struct table *seen, const struct duplicate_key *key, bool originals)
{
	static char mark;
	char folded[FOLDED_MAX];
	struct span name = key->recipient, lower;
	struct buf text;
	bool known;

	buf_init(&text, KEY_MAX);
	if (originals) {
		put_names(&text, key);
		name = buf_span(&text);
	}
	if (casefold(name, folded, sizeof(folded), &lower) != CASEFOLD_TOO_LONG)
		name = lower;
	known = table_get(seen, name) != NULL;
	if (!known)
		(void)table_put(seen, name, &mark);
	buf_free(&text);
	return known;
}
