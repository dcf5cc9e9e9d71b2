/*
 * id_lines: what the log says of the Message-IDs in a header: "message-id=..." or "resent-message-id=..." for each such field in their
 * order, and "message-id=<>" where there was no Message-ID. These are the lines of Postfix's cleanup.
 */
#ifndef POSTERN_MAIL_ID_LINES_H
#define POSTERN_MAIL_ID_LINES_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "common/base/span.h"

enum { ID_LINES_MAX = 4000 /* octets; fields beyond are not told */ };

struct id_lines {
	struct buf text;
	bool open; /* the last field may go on */
	bool any; /* there was a Message-ID */
};

void id_lines_init(struct id_lines *l);
void id_lines_free(struct id_lines *l);

/* A field begins, if its name is one of the two; no other goes on. value: as far as its line goes, without line end. */
void id_lines_begin(struct id_lines *l, struct span name, struct span value);

/* A folded line of the present field. */
void id_lines_more(struct id_lines *l, struct span line);

/* A whole field: its body with all folded lines. */
void id_lines_add(struct id_lines *l, struct span name, struct span body);

void id_lines_log(const struct id_lines *l, const struct log *log);

#endif
