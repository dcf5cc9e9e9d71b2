/*
 * json_scan: reads the objects that queue lists, one token after the other.
 *
 * Not a general parser: enough to walk a well-formed object of strings, numbers, booleans, arrays and objects.
 * Strings are unescaped into a buffer that the next call overwrites.
 */
#ifndef POSTERN_TOOLS_JSON_SCAN_H
#define POSTERN_TOOLS_JSON_SCAN_H

#include "common/base/buf.h"
#include "common/base/span.h"

enum json_kind {
	JSON_END,
	JSON_STRING,
	JSON_WORD,
	JSON_MARK
}; /* WORD: number, true, false, null; MARK: { } [ ] */

struct json_scan {
	struct span rest;
	struct buf text;
	enum json_kind kind;
	struct span value; /* of STRING and WORD */
	char mark;
	bool is_name; /* a STRING that a colon follows */
};

void json_scan_init(struct json_scan *j, struct span text);
void json_scan_free(struct json_scan *j);

/* The next token; commas and colons are skipped. False at the end or where it is malformed. */
bool json_scan_next(struct json_scan *j);

#endif
