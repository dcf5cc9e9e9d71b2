#include <stdio.h>
#include <string.h>

#include "common/base/text.h"
#include "delivery/smtp/tls_policy_inside.h"

/* ---- fingerprints ---- */

static size_t
digest_octets(const char *digest)
{
	static const struct {
		const char *name;
		size_t octets;
	} digests[] = {
	    {"md5", 16}, {"sha1", 20}, {"sha224", 28}, {"sha256", 32}, {"sha384", 48}, {"sha512", 64}};

	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++)
		if (span_is_nocase(span_of(digest), digests[i].name))
			return digests[i].octets;
	return 0;
}

/* "ab:cd:..." with or without colons becomes "AB:CD:...". NULL if it is none of that length. */
static const char *
fingerprint_take(struct arena *a, struct span text, size_t octets)
{
	char *out = arena_alloc(a, octets * 3 + 1);
	size_t n = 0;

	while (out && text.len >= 2 && n < octets) {
		if (hex_digit(text.ptr[0]) < 0 || hex_digit(text.ptr[1]) < 0)
			return NULL;
		out[n * 3] = ascii_upper(text.ptr[0]);
		out[n * 3 + 1] = ascii_upper(text.ptr[1]);
		out[n * 3 + 2] = ':';
		n++;
		text = span_from(text, 2);
		if (text.len > 1 && text.ptr[0] == ':')
			text = span_from(text, 1);
	}
	if (!out || n != octets || text.len > 0)
		return NULL;
	out[octets * 3 - 1] = '\0';
	return out;
}

int
tls_policy_add_fingerprints(struct tls_policy *p, struct span list, const char *separators, struct error *err)
{
	size_t octets = digest_octets(p->digest);
	struct span word;
	const char **all;

	if (octets == 0)
		return error_set(err, "unknown digest \"%.40s\" for fingerprints", p->digest);
	while (span_next_word(&list, separators, &word)) {
		const char *one = fingerprint_take(p->arena, word, octets);

		if (!one)
			return error_set(err, "\"%.*s\" is no %s fingerprint",
			    SPAN_ARG(span_sub(word, 0, 200)), p->digest);
		all = arena_alloc(p->arena, (p->fingerprint_count + 1) * sizeof(*all));
		if (!all || p->fingerprint_count == TLS_FINGERPRINTS_MAX)
			return error_set(err, "too many fingerprints");
		if (p->fingerprint_count > 0)
			memcpy(all, p->fingerprints, p->fingerprint_count * sizeof(*all));
		all[p->fingerprint_count++] = one;
		p->fingerprints = all;
	}
	return 0;
}

/* ---- attributes: each returns -1 with err; name is for the error ---- */

static int
take_once(struct tls_policy *p, const char **field, struct span name, struct span value, struct error *err)
{
	if (*field)
		return error_set(err, "attribute \"%.*s\" is specified multiple times", SPAN_ARG(name));
	*field = arena_copy(p->arena, value);
	return *field ? 0 : error_set(err, "the entry is too long");
}

static int
take_ciphers(struct tls_policy *p, struct span name, struct span value, struct error *err)
{
	return take_once(p, &p->ciphers, name, value, err);
}

static int
take_protocols(struct tls_policy *p, struct span name, struct span value, struct error *err)
{
	return take_once(p, &p->protocols, name, value, err);
}

static int
take_exclude(struct tls_policy *p, struct span name, struct span value, struct error *err)
{
	return take_once(p, &p->exclude, name, value, err);
}

static int
take_servername(struct tls_policy *p, struct span name, struct span value, struct error *err)
{
	return take_once(p, &p->servername, name, value, err);
}

static int
take_match(struct tls_policy *p, struct span name, struct span value, struct error *err)
{
	if (p->level == TLS_LEVEL_FINGERPRINT)
		return tls_policy_add_fingerprints(p, value, "|", err);
	if (p->level < TLS_LEVEL_VERIFY)
		return error_set(err, "attribute \"%.*s\" invalid at security level \"%s\"", SPAN_ARG(name),
		    tls_level_name(p->level));
	p->match = p->match ? arena_printf(p->arena, "%s:%.*s", p->match, SPAN_ARG(value))
			    : arena_copy(p->arena, value);
	return p->match ? 0 : error_set(err, "the entry is too long");
}

static int
take_anchors(struct tls_policy *p, struct span name, struct span value, struct error *err)
{
	if (p->level < TLS_LEVEL_VERIFY)
		return error_set(err, "attribute \"%.*s\" invalid at security level \"%s\"", SPAN_ARG(name),
		    tls_level_name(p->level));
	return take_once(p, &p->anchor_file, name, value, err);
}

static int
take_reuse(struct tls_policy *p, struct span name, struct span value, struct error *err)
{
	if (!span_is_nocase(value, "yes") && !span_is_nocase(value, "no"))
		return error_set(err, "attribute \"%.*s\" has bad value: \"%.*s\"", SPAN_ARG(name),
		    SPAN_ARG(span_sub(value, 0, 100)));
	p->reuse = span_is_nocase(value, "yes");
	return 0;
}

static const struct {
	const char *name;
	bool may_be_empty;
	int (*take)(struct tls_policy *p, struct span name, struct span value, struct error *err);
} attributes[] = {
    {"ciphers", false, take_ciphers},
    {"connection_reuse", false, take_reuse},
    {"exclude", true, take_exclude},
    {"match", false, take_match},
    {"protocols", true, take_protocols},
    {"servername", false, take_servername},
    {"tafile", false, take_anchors},
};

static int
take_attribute(struct tls_policy *p, struct span word, struct error *err)
{
	ptrdiff_t equals = span_find(word, '=');
	struct span name = equals > 0 ? span_trim(span_sub(word, 0, (size_t)equals)) : word, value;

	if (equals <= 0)
		return error_set(
		    err, "malformed attribute/value pair \"%.*s\"", SPAN_ARG(span_sub(word, 0, 200)));
	value = span_trim(span_from(word, (size_t)equals + 1));
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		if (!span_is_nocase(name, attributes[i].name))
			continue;
		if (value.len == 0 && !attributes[i].may_be_empty)
			return error_set(err, "attribute \"%.*s\" has empty value", SPAN_ARG(name));
		return attributes[i].take(p, name, value, err);
	}
	return error_set(err, "invalid attribute name: \"%.*s\"", SPAN_ARG(span_sub(name, 0, 100)));
}

int
tls_policy_entry(struct tls_policy *p, struct span entry, struct error *err)
{
	struct span word;

	if (!span_next_word(&entry, ", \t\r\n", &word))
		return error_set(err, "invalid empty policy");
	p->level = tls_level_parse(word);
	if (p->level == TLS_LEVEL_INVALID)
		return error_set(err, "invalid security level \"%.*s\"", SPAN_ARG(span_sub(word, 0, 100)));
	if (p->level == TLS_LEVEL_NONE)
		return 0; /* attributes mean nothing then */
	while (span_next_word(&entry, ", \t\r\n", &word))
		if (take_attribute(p, word, err) < 0)
			return -1;
	return 0;
}
