#include "delivery/smtp/tls_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/conf/conf.h"
#include "common/tls/believed.h"
#include "delivery/smtp/tls_family.h"

enum { TRUST_SETS = 32, LIST_MAX = 8192, KEY_MAX = 128 * 1024 };

struct session {
	int64_t until_us;
	size_t len;
	char bytes[];
};

/* Authorities that are believed together: of a CAfile and a CApath, of a trust anchor file, or the system's. */
struct trust_set {
	char *file, *path; /* "" both: the system's */
	bool with_system; /* the system's too */
	bool anchors; /* also those that others issued: of smtp_tls_trust_anchor_file */
	struct tls_believed *believed;
};

struct tls_client {
	struct tls_keys *keys;
	struct trust_set sets[TRUST_SETS];
	size_t set_count;
	struct table *contexts; /* by key_of_context() */
	struct table *sessions;
};

static void
free_context(void *value)
{
	struct tls_context *c = value;

	tls_context_free(&c);
}

struct tls_client *
tls_client_new(struct tls_keys *keys)
{
	struct tls_client *t = mem_alloc(sizeof(*t));

	t->keys = keys;
	t->contexts = table_new(TLS_CLIENT_CONTEXTS, free_context);
	t->sessions = table_new(TLS_CLIENT_SESSIONS, free);
	return t;
}

void
tls_client_free(struct tls_client **client)
{
	struct tls_client *t = *client;

	*client = NULL;
	if (!t)
		return;
	table_free(&t->contexts);
	table_free(&t->sessions);
	for (size_t i = 0; i < t->set_count; i++) {
		tls_believed_free(&t->sets[i].believed);
		free(t->sets[i].file);
		free(t->sets[i].path);
	}
	free(t);
}

/* ---- authorities ---- */

static const struct trust_set *
set_find(const struct tls_client *t, const char *file, const char *path, bool with_system, bool anchors)
{
	for (size_t i = 0; i < t->set_count; i++) {
		const struct trust_set *set = &t->sets[i];

		if (set->with_system == with_system && set->anchors == anchors &&
		    strcmp(set->file, file) == 0 && strcmp(set->path, path) == 0)
			return set;
	}
	return NULL;
}

static const struct trust_set *
set_of_authorities(const struct tls_client *t, const struct tls_family *f)
{
	return set_find(t, f->ca_file, f->ca_path, f->with_system, false);
}

static const struct trust_set *
set_of_anchors(const struct tls_client *t, const char *file)
{
	return set_find(t, file, "", false, true);
}

static int
add_file(struct tls_trust *part, const char *file, struct error *err)
{
	FILE *f = fopen(file, "re");
	int status;

	if (!f)
		return error_errno(err, "%s", file);
	status = tls_trust_add_fd(part, fileno(f), file, err);
	fclose(f);
	return status;
}

/* A place of which nothing can be read gives nothing. */
static void
set_read_place(struct trust_set *set, enum tls_place place)
{
	struct tls_trust *part = tls_trust_new();
	struct error err;
	int status = 0;

	switch (place) {
	case TLS_PLACE_FILE:
		status = add_file(part, set->file, &err);
		break;
	case TLS_PLACE_FOLDER:
		status = tls_trust_add_directory(part, set->path, &err);
		break;
	case TLS_PLACE_SYSTEM:
	case TLS_PLACES:
		status = tls_trust_add_system(part, &err);
		break;
	}
	if (status < 0)
		log_warning(NULL, "authorities for TLS that cannot be read: %s", err.text);
	(void)tls_believed_put(set->believed, place, part);
}

static bool
set_has_system(const struct trust_set *set)
{
	return (set->file[0] == '\0' && set->path[0] == '\0') || set->with_system;
}

static void
set_read(struct trust_set *set)
{
	set->believed = tls_believed_new(set->anchors);
	if (set_has_system(set))
		set_read_place(set, TLS_PLACE_SYSTEM);
	if (set->file[0] != '\0')
		set_read_place(set, TLS_PLACE_FILE);
	if (set->path[0] != '\0')
		set_read_place(set, TLS_PLACE_FOLDER);
}

static void
set_add(struct tls_client *t, const char *file, const char *path, bool with_system, bool anchors)
{
	struct trust_set *set;

	if (set_find(t, file, path, with_system, anchors) || t->set_count == TRUST_SETS)
		return;
	set = &t->sets[t->set_count++];
	set->file = mem_strdup(file);
	set->path = mem_strdup(path);
	set->with_system = with_system;
	set->anchors = anchors;
	set_read(set);
}

/* What a family of parameters wants to be read. A family that is switched off wants nothing. */
static bool
family_is_off(const struct tls_family *f)
{
	return strcmp(f->level, "none") == 0 && f->policy_maps[0] == '\0';
}

void
tls_client_load(struct tls_client *t, const struct conf *conf)
{
	struct tls_family f;

	for (int lmtp = 0; lmtp < 2; lmtp++) {
		tls_family_of(conf->values, lmtp, &f);
		if (family_is_off(&f))
			continue;
		set_add(t, f.ca_file, f.ca_path, f.with_system, false);
		if (f.anchor_file[0] != '\0')
			set_add(t, f.anchor_file, "", false, true);
	}
}

bool
tls_client_lacks(struct tls_client *t, const struct conf *conf)
{
	struct tls_family f;

	for (int lmtp = 0; lmtp < 2; lmtp++) {
		tls_family_of(conf->values, lmtp, &f);
		if (family_is_off(&f))
			continue;
		if (!set_of_authorities(t, &f) ||
		    (f.anchor_file[0] != '\0' && !set_of_anchors(t, f.anchor_file)))
			return true;
	}
	return false;
}

void
tls_client_configured(struct tls_client *t)
{
	table_free(&t->contexts);
	t->contexts = table_new(TLS_CLIENT_CONTEXTS, free_context);
	table_free(&t->sessions);
	t->sessions = table_new(TLS_CLIENT_SESSIONS, free);
}

/* master passes them on at each reload, too. */
static void
set_renew(struct tls_client *t, struct trust_set *set, enum tls_place place, const char *path, int fd)
{
	struct tls_trust *part = tls_trust_new();
	struct error err;
	int status = place == TLS_PLACE_FILE     ? tls_trust_add_fd(part, fd, path, &err)
		     : place == TLS_PLACE_FOLDER ? tls_trust_add_gathered(part, fd, path, &err)
						 : tls_trust_add_system_fd(part, fd, &err);

	if (status == 0 && place == TLS_PLACE_SYSTEM && tls_trust_count(part) == 0)
		status = error_set(&err, "%s: no certificate in it", path);
	if (status < 0) {
		log_warning(NULL, "the old authorities go on: %s", err.text);
		tls_trust_free(&part);
		return;
	}
	if (!tls_believed_put(set->believed, place, part))
		return;
	log_info(NULL, "authorities of %s were read anew", path);
	tls_client_configured(t);
}

void
tls_client_file_changed(struct tls_client *t, const char *path, int fd)
{
	for (size_t i = 0; fd >= 0 && i < t->set_count; i++) {
		if (strcmp(t->sets[i].file, path) == 0)
			set_renew(t, &t->sets[i], TLS_PLACE_FILE, path, fd);
		if (strcmp(t->sets[i].path, path) == 0)
			set_renew(t, &t->sets[i], TLS_PLACE_FOLDER, path, fd);
		if (set_has_system(&t->sets[i]) && tls_trust_is_system(path))
			set_renew(t, &t->sets[i], TLS_PLACE_SYSTEM, path, fd);
	}
}

/* ---- contexts ---- */

static struct tls_trust *
trust_of(
    const struct tls_client *t, const struct tls_family *f, const struct tls_policy *p, struct error *err)
{
	const struct trust_set *set =
	    p->anchor_file[0] != '\0' ? set_of_anchors(t, p->anchor_file) : set_of_authorities(t, f);

	if (set)
		return tls_believed_trust(set->believed);
	if (p->anchor_file[0] != '\0')
		error_set(err, "tafile=%.200s: only the file of %s_tls_trust_anchor_file can be used",
		    p->anchor_file, f->name);
	else
		error_set(err, "the authorities of %s_tls_CAfile and %s_tls_CApath were not read", f->name,
		    f->name);
	return NULL;
}

static struct tls_context *
context_make(struct tls_client *t, const struct conf_values *v, const struct tls_family *f,
    const struct tls_policy *p, struct error *err)
{
	const struct tls_grades grades = {
	    v->tls_high_cipherlist, v->tls_medium_cipherlist, v->tls_null_cipherlist};
	struct tls_settings s = {.side = TLS_CLIENT,
	    .section = "",
	    .tickets = f->cache_timeout_us > 0,
	    .client_identity = true,
	    .no_workarounds = v->tls_disable_workarounds[0] != '\0',
	    .verify_depth = (unsigned)f->depth,
	    .digest = p->digest};
	struct tls_context *c = NULL;
	struct buf ciphers, groups;

	buf_init(&ciphers, LIST_MAX);
	buf_init(&groups, LIST_MAX);
	s.trust = trust_of(t, f, p, err);
	if (!s.trust || tls_protocols_parse(span_of(p->protocols), &s.protocols, err) < 0 ||
	    tls_options_parse(span_of(v->tls_ssl_options), &s.options, err) < 0 ||
	    tls_cipher_list(&ciphers, span_of(p->ciphers), &grades, p->exclude, NULL, err) < 0 ||
	    tls_groups(&groups, span_of(v->tls_eecdh_auto_curves), span_of(v->tls_ffdhe_auto_groups), err) <
		0)
		goto out;
	s.ciphers = buf_text(&ciphers);
	s.groups = buf_text(&groups);
	c = tls_context_new(&s, t->keys, err);
out:
	buf_free(&ciphers);
	buf_free(&groups);
	return c;
}

/* Everything that context_make() looks at: transports may have parameters of their own. */
static void
key_of_context(
    struct buf *key, const struct conf *conf, const struct tls_family *f, const struct tls_policy *p)
{
	const struct conf_values *v = conf->values;
	const char *const parts[] = {p->protocols, p->ciphers, p->exclude, p->digest, p->anchor_file,
	    f->ca_file, f->ca_path, v->tls_high_cipherlist, v->tls_medium_cipherlist, v->tls_null_cipherlist,
	    v->tls_ssl_options, v->tls_disable_workarounds, v->tls_eecdh_auto_curves,
	    v->tls_ffdhe_auto_groups};

	buf_printf(key, "%" PRIu64 " %" PRId64 " %d %d", conf->generation, f->depth, f->cache_timeout_us > 0,
	    f->with_system);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		buf_append(key, "", 1);
		buf_append_text(key, parts[i]);
	}
}

struct tls_context *
tls_client_context(
    struct tls_client *t, const struct conf *conf, const struct tls_policy *p, struct error *err)
{
	struct tls_family f;
	struct tls_context *c;
	struct buf key;

	buf_init(&key, KEY_MAX);
	tls_family_of(conf->values, p->lmtp, &f);
	key_of_context(&key, conf, &f, p);
	c = table_get(t->contexts, buf_span(&key));
	if (!c) {
		c = context_make(t, conf->values, &f, p, err);
		/* So many ciphers and protocols are in no table: whoever makes them up starts from none again. */
		if (c && table_count(t->contexts) == TLS_CLIENT_CONTEXTS)
			tls_client_configured(t);
		if (c)
			table_put(t->contexts, buf_span(&key), c);
	}
	buf_free(&key);
	return c ? tls_context_ref(c) : NULL;
}

/* ---- sessions ---- */

struct span
tls_client_session(struct tls_client *t, struct span key)
{
	struct session *s = table_get(t->sessions, key);

	if (!s)
		return (struct span){NULL, 0};
	if (clock_mono_us() < s->until_us)
		return span_make(s->bytes, s->len);
	tls_client_forget(t, key);
	return (struct span){NULL, 0};
}

void
tls_client_remember(struct tls_client *t, struct span key, struct span session, int64_t lifetime_us)
{
	struct session *s;

	if (lifetime_us <= 0 || session.len > TLS_CLIENT_SESSION_MAX)
		return;
	/* They are worth a round trip each, no more. */
	if (table_count(t->sessions) == TLS_CLIENT_SESSIONS && !table_get(t->sessions, key)) {
		table_free(&t->sessions);
		t->sessions = table_new(TLS_CLIENT_SESSIONS, free);
	}
	s = mem_alloc(sizeof(*s) + session.len);
	s->until_us = clock_mono_us() + lifetime_us;
	s->len = session.len;
	memcpy(s->bytes, session.ptr, session.len);
	if (table_put(t->sessions, key, s) < 0)
		free(s);
}

void
tls_client_forget(struct tls_client *t, struct span key)
{
	free(table_take(t->sessions, key));
}
