#include "common/mail/status_filter.h"

#include "common/base/text.h"
#include "common/mail/outcome.h"

void
status_filter_key(struct span code, struct span text, struct buf *key)
{
	buf_append_span(key, code);
	buf_append_text(key, " ");
	buf_append_span(key, span_sub(text, 0, STATUS_FILTER_KEY_MAX - code.len - 1));
}

bool
status_filter_take(struct span result, enum outcome_class *class, struct span *code, struct span *text)
{
	struct span rest = result, word;

	if (!span_next_word(&rest, " \t", &word) || !enhanced_code_valid(word) ||
	    (word.ptr[0] == '2') != (code->ptr[0] == '2'))
		return false;
	rest = span_trim(rest);
	if (word.ptr[0] != '2')
		*class = word.ptr[0] == '4' ? OUTCOME_DEFERRED : OUTCOME_BOUNCED;
	*code = word;
	if (rest.len > 0)
		*text = rest;
	return true;
}
