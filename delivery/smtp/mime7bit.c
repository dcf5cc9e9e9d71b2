#include "delivery/smtp/mime7bit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "delivery/smtp/mime_field.h"
#include "delivery/smtp/quoted.h"

enum { PIECE_MAX = 2048 };

enum body_mode {
	BODY_PASS, /* as it is; 8-bit is an error */
	BODY_QUOTED, /* made quoted-printable */
	BODY_BETWEEN /* preamble and epilogue: text for nobody (RFC 2046, 5.1.1) */
};

struct mime_part {
	char boundary[MIME7BIT_BOUNDARY_MAX];
	size_t len;
	bool untouchable; /* what it stands in may not be touched */
	bool sealed; /* what is in it may not be touched */
};

/* What the header of the present part said. */
struct mime_header {
	struct mime_type type;
	bool has_type, has_version, has_encoding;
	enum mime_encoding encoding;
};

struct mime7bit {
	struct mime_part parts[MIME7BIT_DEPTH_MAX]; /* the multiparts that are open, outermost first */
	size_t depth;
	size_t nesting; /* of message/rfc822, which opens no boundary */
	bool in_header;
	bool at_root; /* the header is the message's own */
	bool untouchable;
	struct mime_header header;
	enum body_mode mode;
	struct quoted quoted;
	struct buf field; /* gathered until the next line shows that it is whole */
	bool field_too_long;
	char piece[PIECE_MAX]; /* a line, or a part of a longer one */
	size_t piece_len;
	bool piece_starts_line;
};

struct mime7bit *
mime7bit_new(void)
{
	struct mime7bit *m = mem_alloc(sizeof *m);

	buf_init(&m->field, MIME7BIT_FIELD_MAX);
	m->in_header = m->at_root = m->piece_starts_line = true;
	return m;
}

void
mime7bit_free(struct mime7bit **m)
{
	if (!*m)
		return;
	buf_free(&(*m)->field);
	free(*m);
	*m = NULL;
}

/* ---- the header ---- */

/* Takes what the gathered field says. Returns true if it is to be left out. */
static bool
field_taken(struct mime7bit *m, struct span field)
{
	struct span body;

	if (mime_field_is(field, "mime-version", &body)) {
		m->header.has_version = true;
	} else if (mime_field_is(field, "content-type", &body) && !m->header.has_type) {
		m->header.has_type = true;
		mime_type_parse(&m->header.type, body);
	} else if (mime_field_is(field, "content-transfer-encoding", &body)) {
		m->header.has_encoding = true;
		m->header.encoding = mime_encoding_parse(body);
		return m->header.encoding <= MIME_BINARY && !m->untouchable;
	}
	return false;
}

static int
field_end(struct mime7bit *m, struct buf *out)
{
	struct span field = buf_span(&m->field);
	int status = 0;

	if (field.len > 0 && (m->field_too_long || !field_taken(m, field)))
		status = buf_append_span(out, field);
	buf_clear(&m->field);
	m->field_too_long = false;
	return status;
}

static int
header_line(struct mime7bit *m, struct span piece, bool starts, struct buf *out)
{
	bool continues = !starts || piece.ptr[0] == ' ' || piece.ptr[0] == '\t';

	if (!continues && field_end(m, out) < 0)
		return -1;
	if (m->field.len + piece.len > MIME7BIT_FIELD_MAX) {
		/* Too long to be one of ours: goes through in pieces. */
		m->field_too_long = true;
		if (buf_append_span(out, buf_span(&m->field)) < 0)
			return -1;
		buf_clear(&m->field);
	}
	return buf_append_span(&m->field, piece);
}

static bool
begin_multipart(struct mime7bit *m, struct buf *out)
{
	struct mime_part *part = &m->parts[m->depth];
	const struct mime_type *type = &m->header.type;

	if (m->depth == MIME7BIT_DEPTH_MAX || type->boundary_len == 0 ||
	    type->boundary_len > sizeof part->boundary)
		return false;
	memcpy(part->boundary, type->boundary, type->boundary_len);
	part->len = type->boundary_len;
	part->untouchable = m->untouchable;
	m->depth++;
	part->sealed = m->untouchable || mime_type_is(type, "multipart", "signed") ||
		       mime_type_is(type, "multipart", "encrypted");
	m->untouchable = part->sealed;
	m->mode = part->sealed ? BODY_PASS : BODY_BETWEEN;
	if (m->header.has_encoding && !part->untouchable)
		buf_append_text(out, "Content-Transfer-Encoding: 7bit\r\n");
	return true;
}

static void
begin_leaf(struct mime7bit *m, struct buf *out)
{
	if (m->header.has_encoding && m->header.encoding > MIME_BINARY) {
		m->mode = BODY_PASS;
		return;
	}
	m->mode = BODY_QUOTED;
	quoted_begin(&m->quoted);
	if (m->at_root && !m->header.has_version)
		buf_append_text(out, "MIME-Version: 1.0\r\n");
	/* RFC 1428, 3: nobody knows what these octets mean. */
	if (m->at_root && !m->header.has_type)
		buf_append_text(out, "Content-Type: text/plain; charset=unknown-8bit\r\n");
	buf_append_text(out, "Content-Transfer-Encoding: quoted-printable\r\n");
}

/* The encoding that was taken out is put back as it was. */
static void
keep_encoding(struct mime7bit *m, struct buf *out)
{
	static const char *const names[] = {"7bit", "8bit", "binary"};

	m->mode = BODY_PASS;
	if (m->header.has_encoding && m->header.encoding <= MIME_BINARY && !m->untouchable)
		buf_printf(out, "Content-Transfer-Encoding: %s\r\n", names[m->header.encoding]);
}

static void
begin_header(struct mime7bit *m, bool at_root)
{
	memset(&m->header, 0, sizeof m->header);
	m->in_header = true;
	m->at_root = at_root;
}

/* An empty line: what kind of body comes now? */
static int
header_end(struct mime7bit *m, struct span piece, struct buf *out)
{
	const struct mime_type *type = &m->header.type;
	bool message = mime_type_is(type, "message", "rfc822") || mime_type_is(type, "message", "global");

	if (field_end(m, out) < 0)
		return -1;
	m->in_header = false;
	if (span_is_nocase(type->type, "multipart")) {
		if (!begin_multipart(m, out))
			keep_encoding(m, out);
	} else if (m->untouchable) {
		m->mode = BODY_PASS;
	} else if (message && m->nesting < MIME7BIT_DEPTH_MAX &&
		   (!m->header.has_encoding || m->header.encoding <= MIME_BINARY)) {
		m->nesting++;
		if (m->header.has_encoding)
			buf_append_text(out, "Content-Transfer-Encoding: 7bit\r\n");
		begin_header(m, true);
	} else if (span_is_nocase(type->type, "message")) {
		keep_encoding(m, out);
	} else {
		begin_leaf(m, out);
	}
	return buf_append_span(out, piece);
}

/* ---- the body ---- */

/* Is this line a boundary of one of the open multiparts? The innermost counts first. */
static bool
boundary_line(struct mime7bit *m, struct span line)
{
	struct span body = span_trim(line);

	if (m->depth == 0 || !span_starts(line, "--"))
		return false;
	body = span_from(body, 2);
	for (size_t i = m->depth; i-- > 0;) {
		const struct mime_part *part = &m->parts[i];
		bool closes;

		if (body.len < part->len || memcmp(body.ptr, part->boundary, part->len) != 0)
			continue;
		closes = body.len == part->len + 2 && memcmp(body.ptr + part->len, "--", 2) == 0;
		if (body.len != part->len && !closes)
			continue;
		m->depth = closes ? i : i + 1;
		if (closes) {
			m->untouchable = part->untouchable;
			m->in_header = false;
			m->mode = m->untouchable ? BODY_PASS : BODY_BETWEEN;
		} else {
			m->untouchable = part->sealed;
			begin_header(m, false);
		}
		return true;
	}
	return false;
}

static int
body_piece(struct mime7bit *m, struct span piece, struct buf *out)
{
	switch (m->mode) {
	case BODY_QUOTED:
		return quoted_feed(&m->quoted, piece, out);
	case BODY_PASS:
		return text_is_8bit(piece) ? -1 : buf_append_span(out, piece);
	case BODY_BETWEEN:
		for (size_t i = 0; i < piece.len; i++) {
			char c = (unsigned char)piece.ptr[i] > 127 ? '?' : piece.ptr[i];

			if (buf_append(out, &c, 1) < 0)
				return -1;
		}
		return 0;
	}
	return -1;
}

/* ---- pieces ---- */

static int
take_piece(struct mime7bit *m, struct buf *out)
{
	struct span piece = span_make(m->piece, m->piece_len);
	bool starts = m->piece_starts_line;
	bool ends = piece.len > 0 && piece.ptr[piece.len - 1] == '\n';

	m->piece_len = 0;
	m->piece_starts_line = ends;
	if (piece.len == 0)
		return 0;
	if (starts && ends && boundary_line(m, piece)) {
		if (field_end(m, out) < 0)
			return -1;
		return buf_append_span(out, piece);
	}
	if (!m->in_header)
		return body_piece(m, piece, out);
	if (starts && ends && span_trim(piece).len == 0 && piece.len <= 2)
		return header_end(m, piece, out);
	return header_line(m, piece, starts, out);
}

int
mime7bit_feed(struct mime7bit *m, struct span bytes, struct buf *out)
{
	while (bytes.len > 0) {
		const char *end = memchr(bytes.ptr, '\n', bytes.len);
		size_t n = end ? (size_t)(end - bytes.ptr) + 1 : bytes.len;
		bool whole = end != NULL;

		if (n > PIECE_MAX - m->piece_len) {
			n = PIECE_MAX - m->piece_len;
			whole = false;
		}
		memcpy(m->piece + m->piece_len, bytes.ptr, n);
		m->piece_len += n;
		bytes = span_from(bytes, n);
		if ((whole || m->piece_len == PIECE_MAX) && take_piece(m, out) < 0)
			return -1;
	}
	return 0;
}

int
mime7bit_finish(struct mime7bit *m, struct buf *out)
{
	if (take_piece(m, out) < 0 || field_end(m, out) < 0)
		return -1;
	return m->mode == BODY_QUOTED ? quoted_finish(&m->quoted, out) : 0;
}
