#include "smtpd/session_input.h"

#include "smtpd/auth.h"
#include "smtpd/reply.h"
#include "smtpd/session_errors.h"

/* What is swallowed of a line that is too long before the session ends. */
enum { DISCARD_MAX = 256 * 1024 };

bool
session_forbids_bare_lf(const struct session *s)
{
	int mode = s->settings->values->smtpd_forbid_bare_newline;

	return !s->lf_exempt && mode != CONF_SMTPD_FORBID_BARE_NEWLINE_NO &&
	       mode != CONF_SMTPD_FORBID_BARE_NEWLINE_NOTE;
}

static void
line_too_long(struct session *s, bool is_auth)
{
	s->command = COMMAND_UNKNOWN;
	s->total[COMMAND_UNKNOWN]++;
	session_errors_heard(s, SPAN_LIT(""));
	if (is_auth)
		reply(s, 500, "5.5.6", "Authentication Exchange line is too long");
	else
		reply(s, 500, "5.5.2", "Error: line too long");
	session_continue(s);
}

/* The rest of a line that was refused already. */
static size_t
discard_line(struct session *s, struct span bytes)
{
	const char *lf = memchr(bytes.ptr, '\n', bytes.len);
	size_t n = lf ? (size_t)(lf - bytes.ptr) + 1 : bytes.len;

	s->discarding += n;
	if (lf)
		s->discarding = 0;
	else if (s->discarding > DISCARD_MAX)
		reply_goodbye(s, "too many errors", 421, "4.7.0", "%s Error: line without end",
		    s->settings->values->myhostname);
	return n;
}

static void
refuse_bare_lf(struct session *s)
{
	s->command = COMMAND_UNKNOWN;
	s->total[COMMAND_UNKNOWN]++;
	session_errors_heard(s, SPAN_LIT(""));
	reply(s, 500, "5.5.2", "Error: bare <LF> received");
	session_continue(s);
}

static bool
begins_auth(const struct session *s, struct span bytes)
{
	return s->settings->auth && span_starts_nocase(bytes, "AUTH ");
}

/* RFC 4954, 4: an initial response may be as long as any other. */
static size_t
line_limit(const struct session *s, struct span bytes)
{
	const struct conf_values *v = s->settings->values;
	int64_t limit = v->line_length_limit;

	if (begins_auth(s, bytes) && limit < v->smtpd_sasl_response_limit)
		limit = v->smtpd_sasl_response_limit;
	return (size_t)limit;
}

/* Takes one command line and runs it. Returns 0 if it has not come whole. */
static size_t
take_line(struct session *s, struct span bytes)
{
	size_t limit = line_limit(s, bytes);
	const char *lf = memchr(bytes.ptr, '\n', bytes.len < limit ? bytes.len : limit);
	struct span line;
	bool crlf;

	if (s->discarding)
		return discard_line(s, bytes);
	if (lf == NULL) {
		if (bytes.len < limit)
			return 0;
		s->discarding = 1;
		line_too_long(s, begins_auth(s, bytes));
		return limit;
	}
	line = span_make(bytes.ptr, (size_t)(lf - bytes.ptr));
	crlf = line.len && line.ptr[line.len - 1] == '\r';
	if (crlf)
		line.len--;
	s->seen_crlf |= crlf;
	s->after_message = false;
	s->pipelined = (size_t)(lf - bytes.ptr) + 1 < bytes.len;
	if (!crlf && session_forbids_bare_lf(s))
		refuse_bare_lf(s);
	else {
		s->behind = span_from(bytes, (size_t)(lf - bytes.ptr) + 1);
		command_run(s, line);
		s->behind = (struct span){0};
	}
	return (size_t)(lf - bytes.ptr) + 1;
}

/* The octets of a BDAT that was refused (RFC 3030, 4.2: they come all the same). */
static size_t
swallow(struct session *s, struct span bytes)
{
	size_t n = bytes.len < s->chunk_left ? bytes.len : (size_t)s->chunk_left;

	s->chunk_left -= n;
	if (session_deadline_is_old(s))
		session_data_deadline(s, s->chunk_since_us, s->chunk_size - s->chunk_left);
	if (s->chunk_left == 0) {
		bdat_swallowed(s);
	}
	return n;
}

static size_t
take(struct session *s, struct span bytes)
{
	switch (s->input) {
	case INPUT_COMMANDS:
		return take_line(s, bytes);
	case INPUT_AUTH:
		return auth_input(s, bytes);
	case INPUT_CONTENT:
		return data_input(s, bytes);
	case INPUT_CHUNK:
		return bdat_input(s, bytes);
	case INPUT_SWALLOW:
		return swallow(s, bytes);
	default:
		return bytes.len;
	}
}

/* What held a password does not stay in the stream's buffer. */
static void
wipe(struct span bytes)
{
	explicit_bzero((void *)(uintptr_t)bytes.ptr, bytes.len);
}

size_t
session_input(struct stream *stream, struct span bytes, void *context)
{
	struct session *s = context;
	size_t used = 0, n;
	bool secret;

	(void)stream;
	if (!s->greeted)
		return 0;
	while (used < bytes.len && s->waiting == WAIT_NONE && !s->ending) {
		secret = s->input == INPUT_AUTH || span_starts_nocase(span_from(bytes, used), "AUTH ");
		n = take(s, span_from(bytes, used));
		if (n == 0)
			break;
		if (secret)
			wipe(span_sub(bytes, used, n));
		used += n;
	}
	/* STARTTLS: what stands behind it was not protected, and is nobody's. */
	return s->ending || s->waiting == WAIT_HANDSHAKE ? bytes.len : used;
}
