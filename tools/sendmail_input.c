#include "tools/sendmail_input.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/mail/address.h"
#include "common/mail/header.h"
#include "tools/traffic_log.h"

/* What is known of the line that is being read; its first octets are held back until it shows what it is. */
struct reader {
	struct spooled *message;
	bool ignore_dots;
	bool ended; /* by the dot */
	bool first_line;
	bool dropping; /* within the From line */
	bool cr; /* held back: part of CRLF, or bare */
	char start[6];
	size_t held; /* octets in start that were not passed on; once the line is known, 0 */
	bool known;
	char *from_line;
	size_t from_len;
};

static int
add(struct reader *r, const char *bytes, size_t len, struct error *err)
{
	if (!r->dropping)
		return spooled_add(r->message, span_make(bytes, len), err);
	for (size_t i = 0; i < len && r->from_len + 1 < SENDMAIL_FROM_LINE_SIZE; i++)
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
	r->dropping = r->first_line && held == 5 && memcmp(r->start, "From ", 5) == 0;
	return add(r, r->start, held, err);
}

static int
take_byte(struct reader *r, char c, struct error *err)
{
	if (!r->known) {
		r->start[r->held++] = c;
		if (r->first_line && r->held < 5 && memcmp(r->start, "From ", r->held) == 0)
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
	r->first_line = r->dropping = r->known = false;
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

static bool
add_found(struct span address, void *context)
{
	struct drop_envelope *envelope = context;
	struct error err;

	if (drop_envelope_add(envelope, address, &err) == 0)
		return true;
	fprintf(stderr, "sendmail: %s\n", err.text);
	return false;
}

static void
take_field(const struct header_field *field, struct drop_envelope *envelope)
{
	struct arena *scratch = arena_new(field->body.len * 4 + 4096);
	struct error err;

	if (address_list_parse(scratch, field->body, add_found, envelope, &err) < 0)
		fprintf(stderr, "sendmail: %.*s: %s\n", SPAN_ARG(field->name), err.text);
	arena_free(&scratch);
}

int
sendmail_input_recipients(const struct spooled *message, struct drop_envelope *envelope, struct error *err)
{
	static const char resent_names[] = "resent-to resent-cc resent-bcc";
	const char *names = "to cc bcc apparently-to";
	struct span rest = buf_span(&message->memory);
	struct header_field field;

	while (header_next(&rest, &field))
		if (header_name_listed(field.name, resent_names))
			names = resent_names;
	if (rest.len == 0 && message->size > message->memory.len)
		return error_set(err, "the header is too large");
	rest = buf_span(&message->memory);
	while (header_next(&rest, &field))
		if (header_name_listed(field.name, names))
			take_field(&field, envelope);
	return 0;
}
