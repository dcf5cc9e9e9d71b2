/*
 * prep: SASLprep (RFC 4013), by GNU Libidn where it was there at build time.
 *
 * Without it only ASCII is prepared (which is to say checked): other text is refused rather than compared wrongly.
 */
#ifndef POSTERN_SASL_PREP_H
#define POSTERN_SASL_PREP_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/span.h"

/*
 * Appends the prepared form. Returns -1, with out as it was, if the text is not UTF-8, has prohibited characters or NUL, or
 * becomes empty or longer than out takes. Characters that are younger than Unicode 3.2 pass (RFC 3454, 7), also in what is
 * stored: otherwise who has one could log in everywhere but here.
 */
int sasl_prep(struct span text, struct buf *out);

/* False in a build without the library. */
bool sasl_prep_is_whole(void);

#endif
