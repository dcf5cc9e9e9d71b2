/*
 * mask: what a host said, without what differs from one time to the next.
 *
 * A text is split into a template and its variables: numbers (with dots between them), and words that are ids or
 * addresses. So a million refusals become some hundred templates; template and variables together are the text again. Reply
 * codes (three digits) and enhanced status codes stay in the template.
 */
#ifndef POSTERN_QUEUE_MASK_H
#define POSTERN_QUEUE_MASK_H

#include <stdbool.h>

#include "common/base/buf.h"

/* Octets of a template that stand for a variable. None of them is in a text that was masked. */
enum { MASK_NUMBER = 1, MASK_WORD = 2 };

/* Appends the template, and the variables with a NUL behind each. */
void mask_split(struct span text, struct buf *template, struct buf *variables);

/* Appends the text. A variable that is missing is shown as mask_show() does. */
void mask_join(struct span template, struct span variables, struct buf *text);

/* What a search asks of variables, found once. */
enum { MASK_RUNS_MAX = 8 };
struct mask_wanted {
	struct span runs[MASK_RUNS_MAX]; /* numbers of the text that is wanted */
	size_t count;
	bool any; /* numbers tell nothing */
};

/* wanted is kept by reference. */
void mask_wanted_init(struct mask_wanted *w, const char *wanted);

/*
 * Whether a text of that template, in which what is wanted does not stand, may have it: some number of it must then be
 * among the variables. words: the template has a MASK_WORD. Cheap, and never false where mask_match() is true.
 */
bool mask_may_match(bool words, struct span variables, const struct mask_wanted *w);

/* Whether the text has 'wanted' in it, which is in lower case; case is ignored. */
bool mask_match(struct span template, struct span variables, const char *wanted);

/* Appends the template for people: # for a number, * for a word. */
void mask_show(struct span template, struct buf *text);

#endif
