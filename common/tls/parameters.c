#include "common/tls/parameters.h"

#include <openssl/ssl.h>
#include <stdlib.h>

#include "common/base/text.h"
#include "common/tls/library.h"

static const char separators[] = ", \t\r\n:";

struct version {
	const char *name;
	int number;
	uint64_t option;
};

static const struct version versions[] = {
    {"SSLv2", 0x0002, 0},
    {"SSLv3", SSL3_VERSION, SSL_OP_NO_SSLv3},
    {"TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1},
    {"TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {"TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {"TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};
enum { VERSIONS = sizeof(versions) / sizeof(versions[0]) };

static const struct version *
version_find(struct span name)
{
	for (size_t i = 0; i < VERSIONS; i++)
		if (span_is_nocase(name, versions[i].name))
			return &versions[i];
	return NULL;
}

/* What stands behind ">=" and "<=": a name, or the number of a version that may be newer than this program. */
static int
limit_parse(struct span text, int *limit, struct error *err)
{
	const struct version *version = version_find(text);
	uint64_t number = 0;
	int digit;

	if (version) {
		*limit = version->number;
		return 0;
	}
	if (span_starts_nocase(text, "0x"))
		text = span_from(text, 2);
	if (text.len == 0 || text.len > 4)
		return error_set(err, "unknown TLS protocol version \"%.*s\"", SPAN_ARG(text));
	for (size_t i = 0; i < text.len; i++) {
		if ((digit = hex_digit(text.ptr[i])) < 0)
			return error_set(err, "unknown TLS protocol version \"%.*s\"", SPAN_ARG(text));
		number = number * 16 + (uint64_t)digit;
	}
	*limit = (int)number;
	return 0;
}

int
tls_protocols_parse(struct span text, struct tls_protocols *protocols, struct error *err)
{
	const struct version *version;
	struct tls_protocols p = {0};
	uint64_t included = 0, all = 0;
	bool only_some = false, exclude;
	struct span word;

	while (span_next_word(&text, separators, &word)) {
		if (span_starts(word, ">=") || span_starts(word, "<=")) {
			if (limit_parse(span_from(word, 2), word.ptr[0] == '>' ? &p.floor : &p.ceiling, err) <
			    0)
				return -1;
			continue;
		}
		exclude = word.ptr[0] == '!';
		if (exclude)
			word = span_from(word, 1);
		if (!(version = version_find(word)))
			return error_set(err, "unknown TLS protocol \"%.*s\"", SPAN_ARG(word));
		if (exclude)
			p.excluded |= version->option;
		else {
			included |= version->option;
			only_some = true;
		}
	}
	for (size_t i = 0; i < VERSIONS; i++)
		all |= versions[i].option;
	if (only_some)
		p.excluded |= all & ~included;
	if (p.excluded == all)
		return error_set(err, "all TLS protocols are excluded");
	if (p.floor && p.ceiling && p.floor > p.ceiling)
		return error_set(err, "the lowest TLS protocol is above the highest");
	*protocols = p;
	return 0;
}

/* ---- tls_ssl_options ---- */

static const struct {
	const char *name;
	uint64_t option;
} option_names[] = {
    {"ENABLE_KTLS", 0}, /* sockets here are written by other means: accepted, without effect */
    {"LEGACY_SERVER_CONNECT", SSL_OP_LEGACY_SERVER_CONNECT},
    {"NO_TICKET", SSL_OP_NO_TICKET},
    {"NO_COMPRESSION", SSL_OP_NO_COMPRESSION},
    {"NO_RENEGOTIATION", SSL_OP_NO_RENEGOTIATION},
    {"NO_SESSION_RESUMPTION_ON_RENEGOTIATION", SSL_OP_NO_SESSION_RESUMPTION_ON_RENEGOTIATION},
    {"PRIORITIZE_CHACHA", SSL_OP_PRIORITIZE_CHACHA},
};

static int
option_parse(struct span word, uint64_t *option, struct error *err)
{
	char hex[24], *end;

	for (size_t i = 0; i < sizeof(option_names) / sizeof(option_names[0]); i++)
		if (span_is_nocase(word, option_names[i].name)) {
			*option = option_names[i].option;
			return 0;
		}
	if (!span_starts_nocase(word, "0x") || !span_copy(word, hex, sizeof(hex)))
		return error_set(err, "unknown OpenSSL option \"%.*s\"", SPAN_ARG(word));
	*option = strtoull(hex, &end, 16);
	if (end == hex + 2 || *end)
		return error_set(err, "bad mask of OpenSSL options \"%.*s\"", SPAN_ARG(word));
	return 0;
}

int
tls_options_parse(struct span text, uint64_t *options, struct error *err)
{
	uint64_t all = 0, one = 0;
	struct span word;

	while (span_next_word(&text, separators, &word)) {
		if (option_parse(word, &one, err) < 0)
			return -1;
		all |= one;
	}
	*options = all;
	return 0;
}

/* ---- ciphers ---- */

static int
exclude(struct buf *out, const char *names, struct error *err)
{
	struct span rest = span_of(names), word;

	while (span_next_word(&rest, separators, &word)) {
		if (strchr("!+-@", word.ptr[0]))
			return error_set(err, "invalid cipher exclusion \"%.*s\"", SPAN_ARG(word));
		buf_printf(out, ":!%.*s", SPAN_ARG(word));
	}
	return 0;
}

int
tls_cipher_list(struct buf *out, struct span grade, const struct tls_grades *grades, const char *excluded,
    const char *also_excluded, struct error *err)
{
	const char *list;

	if (span_is_nocase(grade, "high"))
		list = grades->high;
	else if (span_is_nocase(grade, "medium") || span_is_nocase(grade, "low") ||
		 span_is_nocase(grade, "export"))
		list = grades->medium;
	else if (span_is_nocase(grade, "null"))
		list = grades->null;
	else
		return error_set(err, "unknown cipher grade \"%.*s\"", SPAN_ARG(grade));
	buf_append_text(out, list);
	if (exclude(out, excluded, err) < 0 || exclude(out, also_excluded, err) < 0)
		return -1;
	return out->full ? error_set(err, "the cipher list is too long") : 0;
}

/* ---- groups ---- */

/* Appends those of names that the library takes behind what the list has already. */
static void
add_groups(SSL_CTX *probe, struct buf *out, struct span names)
{
	struct buf longer;
	struct span word;

	buf_init(&longer, out->max);
	while (span_next_word(&names, separators, &word)) {
		buf_clear(&longer);
		buf_append_span(&longer, buf_span(out));
		buf_printf(&longer, "%s%.*s", out->len ? ":" : "", SPAN_ARG(word));
		if (longer.full || SSL_CTX_set1_groups_list(probe, buf_text(&longer)) != 1)
			continue;
		buf_clear(out);
		buf_append_span(out, buf_span(&longer));
	}
	buf_free(&longer);
}

int
tls_groups(struct buf *out, struct span curves, struct span ffdhe_groups, struct error *err)
{
	SSL_CTX *probe = SSL_CTX_new(TLS_method());

	if (!probe)
		return tls_error_set(err, "OpenSSL");
	add_groups(probe, out, curves);
	add_groups(probe, out, ffdhe_groups);
	SSL_CTX_free(probe);
	(void)tls_library_error();
	return out->len ? 0 : error_set(err, "no known key exchange group in \"%.*s\"", SPAN_ARG(curves));
}
