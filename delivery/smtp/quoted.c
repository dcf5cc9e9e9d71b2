#include "delivery/smtp/quoted.h"

#include <string.h>

/* A soft line break's '=' is the 76th. */
enum { COLUMN_MAX = 75 };

void
quoted_begin(struct quoted *q)
{
	memset(q, 0, sizeof *q);
}

static int
put_text(struct quoted *q, const char *text, size_t len, struct buf *out)
{
	if (q->column + len > COLUMN_MAX) {
		if (buf_append(out, "=\r\n", 3) < 0)
			return -1;
		q->column = 0;
	}
	q->column += len;
	return buf_append(out, text, len);
}

static int
put_escaped(struct quoted *q, unsigned char c, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";
	char text[3] = {'=', digits[c >> 4], digits[c & 15]};

	return put_text(q, text, sizeof text, out);
}

static int
put_blank(struct quoted *q, bool ends_line, struct buf *out)
{
	char c = q->blank;

	if (c == 0)
		return 0;
	q->blank = 0;
	return ends_line ? put_escaped(q, (unsigned char)c, out) : put_text(q, &c, 1, out);
}

static int
put_octet(struct quoted *q, char c, struct buf *out)
{
	unsigned char octet = (unsigned char)c;

	if (c == '\n') {
		q->carriage_return = false;
		if (put_blank(q, true, out) < 0)
			return -1;
		q->column = 0;
		return buf_append(out, "\r\n", 2);
	}
	if (q->carriage_return) {
		q->carriage_return = false;
		if (put_blank(q, false, out) < 0 || put_escaped(q, '\r', out) < 0)
			return -1;
	}
	if (c == '\r') {
		q->carriage_return = true;
		return 0;
	}
	if (put_blank(q, false, out) < 0)
		return -1;
	if (c == ' ' || c == '\t') {
		q->blank = c;
		return 0;
	}
	if (octet < 33 || octet > 126 || c == '=')
		return put_escaped(q, octet, out);
	return put_text(q, &c, 1, out);
}

int
quoted_feed(struct quoted *q, struct span bytes, struct buf *out)
{
	for (size_t i = 0; i < bytes.len; i++)
		if (put_octet(q, bytes.ptr[i], out) < 0)
			return -1;
	return 0;
}

int
quoted_finish(struct quoted *q, struct buf *out)
{
	bool carriage_return = q->carriage_return;

	q->carriage_return = false;
	if (put_blank(q, true, out) < 0)
		return -1;
	return carriage_return ? put_escaped(q, '\r', out) : 0;
}
