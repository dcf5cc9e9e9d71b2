/*
 * check_action: what the right-hand side of header_checks(5) or body_checks(5) asks for.
 */
#ifndef POSTERN_MAIL_CHECK_ACTION_H
#define POSTERN_MAIL_CHECK_ACTION_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/span.h"

enum check_verb {
	CHECK_DUNNO,
	CHECK_BCC,
	CHECK_DISCARD,
	CHECK_FILTER,
	CHECK_HOLD,
	CHECK_IGNORE,
	CHECK_INFO,
	CHECK_PASS,
	CHECK_PREPEND,
	CHECK_REDIRECT,
	CHECK_REJECT,
	CHECK_REPLACE,
	CHECK_STRIP,
	CHECK_WARN,
	CHECK_VERB_COUNT
};

/* What must stand behind an action: nothing, a header field, user@domain, transport:destination. */
enum check_need { CHECK_NEEDS_NOTHING, CHECK_NEEDS_FIELD, CHECK_NEEDS_ADDRESS, CHECK_NEEDS_ROUTE };

struct check_action {
	enum check_verb verb;
	struct span text; /* behind the verb; a part of the value */
	bool known; /* the verb may stand there: if the value makes no sense, what is behind it is wrong */
};

/* As Postfix logs it: "reject", "warning". */
const char *check_verb_word(enum check_verb verb);

/* ": " and what stands behind the verb, or what REJECT says, printable and most octets long at most, as the log has it. */
void check_action_put_words(const struct check_action *action, size_t most, struct buf *line);

/* NULL, or what is wrong with the text behind an action. body: as below. */
const char *check_need_missing(enum check_need need, bool body, struct span text);

/*
 * NULL, or why the value makes no sense: then nothing happens but a line in the log. body: of body_checks, where lines
 * need not be header fields. outgoing: smtp_header_checks and its kin, which know only what changes content.
 */
const char *check_action_parse(struct span value, bool body, bool outgoing, struct check_action *action);

#endif
