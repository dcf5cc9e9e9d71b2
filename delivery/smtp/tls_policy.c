#include "delivery/smtp/tls_policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "common/mail/domain_form.h"
#include "delivery/smtp/tls_family.h"
#include "delivery/smtp/tls_policy_inside.h"

/* ---- levels ---- */

static const char *const level_names[] = {
    [TLS_LEVEL_INVALID] = "invalid",
    [TLS_LEVEL_NONE] = "none",
    [TLS_LEVEL_MAY] = "may",
    [TLS_LEVEL_ENCRYPT] = "encrypt",
    [TLS_LEVEL_FINGERPRINT] = "fingerprint",
    [TLS_LEVEL_VERIFY] = "verify",
    [TLS_LEVEL_SECURE] = "secure",
};

const char *
tls_level_name(enum tls_level level)
{
	return level_names[level];
}

enum tls_level
tls_level_parse(struct span word)
{
	for (unsigned level = TLS_LEVEL_NONE; level <= TLS_LEVEL_SECURE; level++)
		if (span_is_nocase(word, level_names[level]))
			return (enum tls_level)level;
	return TLS_LEVEL_INVALID;
}

/* ---- life ---- */

struct tls_policy *
tls_policy_ref(struct tls_policy *p)
{
	p->references++;
	return p;
}

void
tls_policy_free(struct tls_policy **policy)
{
	struct tls_policy *p = *policy;
	struct arena *arena;

	*policy = NULL;
	if (!p || --p->references > 0)
		return;
	arena = p->arena;
	arena_free(&arena);
}

/* "[mx.example]:587", "example:25", "inet:example": the host alone. A path stays what it is. */
static const char *
domain_of(struct arena *a, struct span site)
{
	char alabels[DOMAIN_FORM_MAX];
	ptrdiff_t end;
	char *domain;

	if (span_starts_nocase(site, "inet:"))
		site = span_from(site, 5);
	if (site.len > 0 && site.ptr[0] == '[') {
		end = span_find(site, ']');
		site = span_sub(site, 1, end < 0 ? site.len : (size_t)end - 1);
		if (span_starts_nocase(site, "ipv6:"))
			site = span_from(site, 5);
	} else if (span_find(site, '/') < 0 && (end = span_find(site, ':')) >= 0) {
		site = span_sub(site, 0, (size_t)end);
	}
	if (site.len > 1 && site.ptr[site.len - 1] == '.')
		site.len--;
	if (domain_to_alabels(site, alabels))
		site = span_of(alabels);
	domain = arena_copy(a, site);
	if (domain)
		text_lower(domain, site.len);
	return domain;
}

static struct tls_policy *
policy_begin(const struct tls_family *f, bool lmtp, struct span site)
{
	struct arena *a = arena_new(TLS_POLICY_ARENA);
	struct tls_policy *p = arena_alloc(a, sizeof(*p));

	*p = (struct tls_policy){.references = 1, .arena = a, .lmtp = lmtp};
	p->site = arena_copy(a, site);
	p->domain = domain_of(a, site);
	p->digest = arena_strdup(a, f->digest);
	p->wrapper = f->wrapper;
	p->reuse = f->reuse;
	return p;
}

/* ---- what the parameters say where the entry said nothing ---- */

static int
fill_texts(struct tls_policy *p, const struct tls_family *f, struct error *err)
{
	bool mandatory = p->level > TLS_LEVEL_MAY;

	if (!p->protocols)
		p->protocols = arena_strdup(p->arena, mandatory ? f->mandatory_protocols : f->protocols);
	if (!p->ciphers)
		p->ciphers = arena_strdup(p->arena, mandatory ? f->mandatory_ciphers : f->ciphers);
	if (!p->exclude)
		p->exclude = mandatory ? arena_printf(p->arena, "%s %s", f->exclude, f->mandatory_exclude)
				       : arena_strdup(p->arena, f->exclude);
	/* Nobody can be told from anybody else without a certificate (aNULL), and what is not encrypted is no TLS. */
	if (mandatory && p->exclude)
		p->exclude = arena_printf(
		    p->arena, "%s %s", p->exclude, p->level == TLS_LEVEL_ENCRYPT ? "eNULL" : "aNULL");
	if (!p->servername)
		p->servername = arena_strdup(p->arena, f->servername);
	if (!p->anchor_file)
		p->anchor_file = arena_strdup(p->arena, p->level >= TLS_LEVEL_VERIFY ? f->anchor_file : "");
	if (!p->protocols || !p->ciphers || !p->exclude || !p->servername || !p->anchor_file)
		return error_set(err, "too long");
	return 0;
}

static int
fill_match(struct tls_policy *p, const struct tls_family *f, struct error *err)
{
	if (p->level == TLS_LEVEL_FINGERPRINT && p->fingerprint_count == 0 &&
	    tls_policy_add_fingerprints(p, span_of(f->fingerprint_match), ", \t\r\n", err) < 0)
		return -1;
	if (p->level == TLS_LEVEL_FINGERPRINT && p->fingerprint_count == 0)
		return error_set(err, "security level \"fingerprint\" with no fingerprints to match");
	if (!p->match && p->level >= TLS_LEVEL_VERIFY)
		p->match =
		    arena_strdup(p->arena, p->level == TLS_LEVEL_VERIFY ? f->verify_match : f->secure_match);
	if (p->level >= TLS_LEVEL_VERIFY && (!p->match || span_trim(span_of(p->match)).len == 0))
		return error_set(
		    err, "security level \"%s\" with no names to match", tls_level_name(p->level));
	return 0;
}

static bool
is_host_name(struct span name)
{
	if (name.len == 0 || name.len > 255)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_is_alnum(name.ptr[i]) && name.ptr[i] != '-' && name.ptr[i] != '.' &&
		    name.ptr[i] != '_')
			return false;
	return name.ptr[0] != '.';
}

static int
policy_fill(struct tls_policy *p, const struct tls_family *f, struct error *err)
{
	if (p->wrapper && p->level < TLS_LEVEL_ENCRYPT)
		return error_set(err,
		    "%s_tls_wrappermode requires \"%s_tls_security_level = encrypt\" (or stronger)", f->name,
		    f->name);
	if (p->level == TLS_LEVEL_NONE)
		return 0;
	if (fill_texts(p, f, err) < 0 || fill_match(p, f, err) < 0)
		return -1;
	if (p->servername[0] != '\0' && !is_host_name(span_of(p->servername)))
		return error_set(err, "servername \"%.100s\" is no host name", p->servername);
	return 0;
}

/* ---- identity ---- */

static void
key_add(struct buf *all, const char *text)
{
	buf_append_text(all, text ? text : "");
	buf_append(all, "", 1);
}

static void
key_of_all(struct tls_policy *p, const struct buf *all)
{
	static const uint8_t one[16] = {1}, two[16] = {2};

	snprintf(p->key, sizeof(p->key), "%016" PRIx64 "%016" PRIx64, siphash(one, buf_ptr(all), all->len),
	    siphash(two, buf_ptr(all), all->len));
}

/* The domain counts only where names or SNI are made from it. */
static void
key_make(struct tls_policy *p, const struct tls_family *f)
{
	struct buf all;

	buf_init(&all, TLS_POLICY_ARENA);
	buf_printf(&all, "%d %d %d ", (int)p->level, p->wrapper, p->reuse);
	if (p->level > TLS_LEVEL_NONE) {
		key_add(&all, p->protocols);
		key_add(&all, p->ciphers);
		key_add(&all, p->exclude);
		key_add(&all, p->servername);
		key_add(&all, p->match || p->servername[0] ? p->domain : "");
		key_add(&all, p->match);
		key_add(&all, p->anchor_file);
		key_add(&all, f->ca_file);
		key_add(&all, f->ca_path);
		buf_printf(&all, "%" PRId64 " %d ", f->depth, f->with_system);
		for (size_t i = 0; i < p->fingerprint_count; i++)
			key_add(&all, p->fingerprints[i]);
	}
	key_of_all(p, &all);
	buf_free(&all);
}

/* ---- making ---- */

/* Nothing of a mistaken entry may be used: a level that it named, without what it demanded, would be weaker. */
static struct tls_policy *
policy_refuse(
    struct tls_policy *p, const struct tls_family *f, const char *code, const char *what, const char *why)
{
	p->level = TLS_LEVEL_INVALID;
	log_warning(NULL, "TLS policy of %s: %s: %s", p->site, p->origin, why);
	verdict_set(&p->why, code, "%s: %s: %s", what, p->origin, why);
	key_make(p, f);
	return p;
}

struct tls_policy *
tls_policy_new(const struct conf_values *v, bool lmtp, struct span site, struct span key, struct span entry)
{
	static const char trouble[] = "client TLS configuration problem";
	struct tls_family f;
	struct tls_policy *p;
	struct error err;

	tls_family_of(v, lmtp, &f);
	p = policy_begin(&f, lmtp, site);
	if (entry.ptr) {
		p->origin = arena_printf(p->arena, "%s_tls_policy_maps: %.*s", f.name, SPAN_ARG(key));
		if (tls_policy_entry(p, entry, &err) < 0)
			return policy_refuse(p, &f, "4.7.5", trouble, err.text);
	} else {
		p->origin = f.level_origin;
		p->level = tls_level_parse(span_trim(span_of(f.level)));
		if (p->level == TLS_LEVEL_INVALID) {
			error_set(&err, "invalid security level \"%.100s\"", f.level);
			return policy_refuse(p, &f, "4.7.5", trouble, err.text);
		}
	}
	if (policy_fill(p, &f, &err) < 0)
		return policy_refuse(p, &f, "4.7.5", trouble, err.text);
	key_make(p, &f);
	return p;
}

struct tls_policy *
tls_policy_new_unknown(const struct conf_values *v, bool lmtp, struct span site, struct span reason)
{
	struct tls_family f;
	struct tls_policy *p;
	char text[300];

	tls_family_of(v, lmtp, &f);
	p = policy_begin(&f, lmtp, site);
	p->origin = lmtp ? "lmtp_tls_policy_maps" : "smtp_tls_policy_maps";
	span_copy(reason, text, sizeof(text));
	return policy_refuse(p, &f, "4.3.0", "TLS policy lookup error", text);
}

const char *
tls_policy_servername(const struct tls_policy *p, const char *host)
{
	if (strcmp(p->servername, "hostname") == 0)
		return host;
	return strcmp(p->servername, "nexthop") == 0 ? p->domain : p->servername;
}
