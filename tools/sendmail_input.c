#include "tools/sendmail_input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/traffic_log.h"

static const char from_start[] = "From ";

/* Before From there may be so many '>'. */
enum { FROM_LEN = sizeof(from_start) - 1, FROM_QUOTES_MAX = 50, FROM_START_MAX = FROM_QUOTES_MAX + FROM_LEN };

/* What is known of the line that is being read; its first octets are held back until it shows what it is. */
struct reader {
	struct spooled *message;
	bool ignore_dots;
	bool ended; /* by the dot */
	bool first_line; /* nothing but From lines was there yet */
	bool dropping; /* within a From line */
	bool from_known; /* the first of them was read */
	bool cr; /* held back: part of CRLF, or bare */
	char start[FROM_START_MAX];
	size_t held; /* octets in start that were not passed on; once the line is known, 0 */
	bool known;
	char *from_line;
	size_t from_len;
};

/* Does a line that begins so begin like a separator of mailboxes, quoted ones included? */
static bool
may_be_from_line(struct span start)
{
	while (start.len > 0 && start.ptr[0] == '>')
		start = span_from(start, 1);
	return memcmp(start.ptr, from_start, start.len < FROM_LEN ? start.len : FROM_LEN) == 0;
}

bool
sendmail_is_from_line(struct span line)
{
	ptrdiff_t from = span_find(line, 'F');

	return from >= 0 && line.len - (size_t)from >= FROM_LEN && may_be_from_line(line);
}

static int
add(struct reader *r, const char *bytes, size_t len, struct error *err)
{
	if (!r->dropping)
		return spooled_add(r->message, span_make(bytes, len), err);
	for (size_t i = 0; i < len && !r->from_known && r->from_len + 1 < SENDMAIL_FROM_LINE_SIZE; i++)
		r->from_line[r->from_len++] = (unsigned char)bytes[i] < ' ' ? ' ' : bytes[i];
	r->from_line[r->from_len] = '\0';
	return 0;
}

static int
release_held(struct reader *r, struct error *err)
{
	size_t held = r->held;

	r->known = true;
	r->held = 0;
	r->dropping = r->first_line && sendmail_is_from_line(span_make(r->start, held));
	return add(r, r->start, held, err);
}

static int
take_byte(struct reader *r, char c, struct error *err)
{
	if (!r->known) {
		r->start[r->held++] = c;
		struct span start = span_make(r->start, r->held);
		if (r->first_line && r->held < FROM_START_MAX && may_be_from_line(start) &&
		    !sendmail_is_from_line(start))
			return 0;
		if (r->held == 1 && c == '.')
			return 0;
		return release_held(r, err);
	}
	return add(r, &c, 1, err);
}

static int
end_line(struct reader *r, struct error *err)
{
	if (!r->known && r->held == 1 && r->start[0] == '.' && !r->ignore_dots) {
		r->ended = true;
		return 0;
	}
	if (!r->known && release_held(r, err) < 0)
		return -1;
	if (add(r, "\n", 1, err) < 0)
		return -1;
	r->first_line = r->dropping;
	r->from_known = r->from_known || r->dropping;
	r->dropping = r->known = false;
	return 0;
}

static int
take_input(struct reader *r, struct span bytes, struct error *err)
{
	for (size_t i = 0; i < bytes.len && !r->ended; i++) {
		char c = bytes.ptr[i];
		if (c == '\n') {
			r->cr = false;
			if (end_line(r, err) < 0)
				return -1;
			continue;
		}
		if (r->cr && take_byte(r, '\r', err) < 0)
			return -1;
		r->cr = c == '\r';
		if (!r->cr && take_byte(r, c, err) < 0)
			return -1;
	}
	return 0;
}

int
sendmail_input_read(struct spooled *message, int fd, bool ignore_dots,
    char from_line[SENDMAIL_FROM_LINE_SIZE], struct error *err)
{
	struct reader r = {
	    .message = message, .ignore_dots = ignore_dots, .first_line = true, .from_line = from_line};
	char bytes[16384];
	ssize_t n;

	while (!r.ended && (n = read(fd, bytes, sizeof(bytes))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, "reading the message");
		traffic_log_in(span_make(bytes, (size_t)n));
		if (take_input(&r, span_make(bytes, (size_t)n), err) < 0)
			return -1;
	}
	if (!r.ended && r.cr && take_byte(&r, '\r', err) < 0)
		return -1;
	/* The last line may lack its end. */
	if (!r.ended && (r.known || r.held > 0) && end_line(&r, err) < 0)
		return -1;
	return 0;
}
