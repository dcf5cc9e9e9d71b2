#include "common/mail/check_action.h"

#include <stddef.h>

#include "common/base/text.h"
#include "common/mail/header.h"
#include "common/mail/outcome.h"

enum { WORDS_MAX = 8000 };

static const struct {
	const char *name; /* in tables */
	const char *word; /* in the log */
	bool outgoing;
	enum check_need need;
} verbs[] = {
    [CHECK_DUNNO] = {"DUNNO", "dunno", true, CHECK_NEEDS_NOTHING},
    [CHECK_BCC] = {"BCC", "bcc", false, CHECK_NEEDS_ADDRESS},
    [CHECK_DISCARD] = {"DISCARD", "discard", false, CHECK_NEEDS_NOTHING},
    [CHECK_FILTER] = {"FILTER", "filter", false, CHECK_NEEDS_ROUTE},
    [CHECK_HOLD] = {"HOLD", "hold", false, CHECK_NEEDS_NOTHING},
    [CHECK_IGNORE] = {"IGNORE", "ignore", true, CHECK_NEEDS_NOTHING},
    [CHECK_INFO] = {"INFO", "info", true, CHECK_NEEDS_NOTHING},
    [CHECK_PASS] = {"PASS", "pass", false, CHECK_NEEDS_NOTHING},
    [CHECK_PREPEND] = {"PREPEND", "prepend", true, CHECK_NEEDS_FIELD},
    [CHECK_REDIRECT] = {"REDIRECT", "redirect", false, CHECK_NEEDS_ADDRESS},
    [CHECK_REJECT] = {"REJECT", "reject", false, CHECK_NEEDS_NOTHING},
    [CHECK_REPLACE] = {"REPLACE", "replace", true, CHECK_NEEDS_FIELD},
    [CHECK_STRIP] = {"STRIP", "strip", true, CHECK_NEEDS_NOTHING},
    [CHECK_WARN] = {"WARN", "warning", true, CHECK_NEEDS_NOTHING},
};

const char *
check_verb_word(enum check_verb verb)
{
	return verbs[verb].word;
}

/* What REJECT says, with an enhanced code in front (RFC 3463). */
static void
put_reject_words(struct span text, struct buf *out)
{
	struct span rest = text, word;
	bool coded = span_next_word(&rest, " \t", &word) && enhanced_code_valid(word) && word.ptr[0] != '2';

	if (!coded)
		buf_append_text(out, "5.7.1 ");
	buf_append_span(out, text.len > 0 ? text : SPAN_LIT("message content rejected"));
}

void
check_action_put_words(const struct check_action *action, size_t most, struct buf *line)
{
	struct buf words;

	buf_init(&words, WORDS_MAX);
	if (action->verb == CHECK_REJECT)
		put_reject_words(action->text, &words);
	else
		buf_append_span(&words, action->text);
	if (words.len > 0) {
		buf_append_text(line, ": ");
		text_append_printable(line, buf_span(&words), most);
	}
	buf_free(&words);
}

const char *
check_need_missing(enum check_need need, bool body, struct span text)
{
	switch (need) {
	case CHECK_NEEDS_NOTHING:
		return NULL;
	case CHECK_NEEDS_ADDRESS:
		return span_find(text, '@') > 0 ? NULL : "without an address user@domain";
	case CHECK_NEEDS_ROUTE:
		return span_find(text, ':') > 0 ? NULL : "without transport:destination";
	case CHECK_NEEDS_FIELD:
		if (!body && text.len > 0 && header_name_length(text) == 0)
			return "with text that is no header field";
		/* fall through */
	default:
		return text.len > 0 ? NULL : "without text";
	}
}

const char *
check_action_parse(struct span value, bool body, bool outgoing, struct check_action *action)
{
	struct span rest = span_trim(value), word;

	*action = (struct check_action){.verb = CHECK_DUNNO};
	if (!span_next_word(&rest, " \t", &word))
		return "nothing: no action";
	for (size_t i = 0; i < CHECK_VERB_COUNT; i++) {
		if (!span_is_nocase(word, verbs[i].name))
			continue;
		if (outgoing && !verbs[i].outgoing)
			return "an action that outgoing mail does not know";
		struct span text = span_trim(rest);
		const char *trouble = check_need_missing(verbs[i].need, body, text);
		action->known = true;
		if (trouble == NULL) {
			action->verb = (enum check_verb)i;
			action->text = text;
		}
		return trouble;
	}
	return "an unknown action";
}
