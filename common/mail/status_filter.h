/*
 * status_filter: what the tables of default_delivery_status_filter and its kin make of an outcome. They are asked for
 * "5.1.1 text"; a result stands in its place.
 */
#ifndef POSTERN_MAIL_STATUS_FILTER_H
#define POSTERN_MAIL_STATUS_FILTER_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/ipc/protocol.h"

/* So much of a text is asked about: what lookup takes as a key. */
enum { STATUS_FILTER_KEY_MAX = 2000 };

/* What the tables are asked for. key was made by buf_init(&key, STATUS_FILTER_KEY_MAX). */
void status_filter_key(struct span code, struct span text, struct buf *key);

/*
 * What a table said. A success stays one, and what was none may become a deferral or a failure, as its code says; a code
 * alone leaves the text as it is. code and text, borrowed from result, and class are changed; false, and nothing is
 * changed, where the result is not "code text" or would make a success of a failure or the reverse.
 */
bool status_filter_take(struct span result, enum outcome_class *class, struct span *code, struct span *text);

#endif
