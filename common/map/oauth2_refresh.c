/*
 * The mode that gets access tokens by a refresh token (RFC 6749, 6). One thread asks the endpoint, the others wait for what it
 * learns: a refresh token may be good for one use.
 */
#include "config.h"

#ifdef HAVE_OAUTH2

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mark.h"
#include "common/base/mem.h"
#include "common/conf/conf.h"
#include "common/map/oauth2.h"

enum {
	LIFETIME_S = 600, /* where the endpoint does not say */
	LIFETIME_MAX_S = 86400,
	EARLY_MAX_S =
	    300, /* before its end a token is renewed; should that fail, it is used until LATE_S before it */
	LATE_S = 10,
	REFUSED_AGAIN_S =
	    30, /* a token that was renewed for being refused is not renewed for that again so soon */
	FORM_MAX = 4 * OAUTH2_SECRET_MAX
};

/* ---- the refresh token ---- */

/* From its file each time: somebody may have put a new one there. What could not be stored counts until then. */
static char *
refresh_token_take(struct oauth2 *o, struct error *err)
{
	struct oauth2_shared *s = o->shared;
	char *now = o->refresh_token_file[0] != '\0' ? oauth2_secret_read(o->refresh_token_file, err)
						     : mem_strdup(o->refresh_token);

	if (now == NULL)
		return NULL;
	(void)pthread_mutex_lock(&s->lock);
	if (s->refresh_seen == NULL || strcmp(now, s->refresh_seen) != 0) {
		oauth2_wipe(&s->refresh_seen);
		oauth2_wipe(&s->refresh);
		s->refresh_seen = mem_strdup(now);
		s->refresh = mem_strdup(now);
	}
	oauth2_wipe(&now);
	char *latest = mem_strdup(s->refresh);
	(void)pthread_mutex_unlock(&s->lock);
	return latest;
}

/* The endpoint gave a new one: the old may be worth nothing from now on. */
static void
refresh_token_keep(struct oauth2 *o, const char *renewed)
{
	struct oauth2_shared *s = o->shared;
	struct error err = {0};
	char text[700];
	bool kept = false;

	if (o->refresh_token_file[0] != '\0')
		kept = oauth2_secret_write(o->refresh_token_file, renewed, &err) == 0;
	else
		error_set(&err, "a refresh_token_file is needed for that");
	(void)pthread_mutex_lock(&s->lock);
	oauth2_wipe(&s->refresh);
	s->refresh = mem_strdup(renewed);
	if (kept) {
		oauth2_wipe(&s->refresh_seen);
		s->refresh_seen = mem_strdup(renewed);
	}
	bool tell = !kept && !s->unkept;
	s->unkept = !kept;
	(void)pthread_mutex_unlock(&s->lock);
	if (!tell)
		return;
	(void)snprintf(text, sizeof(text),
	    "the endpoint gave a new refresh token, which cannot be stored and is lost with this process: %s",
	    err.text);
	o->complain(o->path, 0, text, o->context);
}

/* ---- the question ---- */

static int
grant_ask(
    struct oauth2 *o, const char *refresh, int64_t deadline_us, struct oauth2_grant *grant, struct error *err)
{
	const struct span secrets[] = {span_of(refresh), span_of(o->client_secret)};
	struct buf form, body;
	long status;

	buf_init(&form, FORM_MAX);
	buf_init(&body, OAUTH2_ANSWER_MAX);
	/* At once, so that no copy of a secret is left where they grew. */
	(void)buf_reserve(&form, FORM_MAX);
	(void)buf_reserve(&body, OAUTH2_ANSWER_MAX);
	oauth2_form_add(&form, "grant_type", SPAN_LIT("refresh_token"));
	oauth2_form_add(&form, "refresh_token", span_of(refresh));
	if (o->scope[0] != '\0')
		oauth2_form_add(&form, "scope", span_of(o->scope));
	int result = oauth2_post(o, &form, deadline_us, &status, &body, err);
	if (result == 0 && status == 200)
		result = oauth2_grant_parse(buf_span(&body), grant, err);
	else if (result == 0) {
		oauth2_refused(status, buf_span(&body), secrets, 2, err);
		result = -1;
	}
	explicit_bzero(form.mem, form.cap);
	explicit_bzero(body.mem, body.cap);
	buf_free(&form);
	buf_free(&body);
	return result;
}

static void
grant_take(struct oauth2 *o, const struct oauth2_grant *grant)
{
	struct oauth2_shared *s = o->shared;
	int64_t life_s = grant->lifetime_s > 0 ? grant->lifetime_s : LIFETIME_S;

	life_s = life_s < LIFETIME_MAX_S ? life_s : LIFETIME_MAX_S;
	int64_t early_s = life_s / 4 < EARLY_MAX_S ? life_s / 4 : EARLY_MAX_S;
	int64_t now_us = clock_mono_us();
	int64_t late_s = life_s / 8 < LATE_S ? life_s / 8 : LATE_S;
	(void)pthread_mutex_lock(&s->lock);
	oauth2_wipe(&s->access);
	s->access = mem_strdup(grant->access);
	s->renew_us = now_us + (life_s - early_s) * US_PER_SECOND;
	s->end_us = now_us + (life_s - late_s) * US_PER_SECOND;
	(void)pthread_mutex_unlock(&s->lock);
	if (grant->refresh[0] != '\0')
		refresh_token_keep(o, grant->refresh);
}

enum lookup_status
oauth2_refresh_ask(
    struct oauth2 *o, const struct client_question *q, int64_t deadline_us, bool *lost, struct error *err)
{
	struct oauth2_grant *grant = mem_alloc(sizeof(*grant));
	char *refresh = refresh_token_take(o, err);

	(void)q;
	int result = refresh != NULL ? grant_ask(o, refresh, deadline_us, grant, err) : -1;
	if (result == 0)
		grant_take(o, grant);
	oauth2_wipe(&refresh);
	explicit_bzero(grant, sizeof(*grant));
	free(grant);
	*lost = result < 0;
	return result == 0 ? LOOKUP_FOUND : LOOKUP_TEMPORARY;
}

/* ---- lookups ---- */

/* A token goes to whoever the table is asked about: names in "keys" bound that. */
static bool
is_meant(const struct oauth2 *o, struct span key)
{
	struct span rest = span_of(o->keys), word;

	if (o->keys[0] == '\0')
		return true;
	while (conf_list_next(&rest, &word))
		if (span_equal_nocase(word, key))
			return true;
	return false;
}

static bool
usable(const struct oauth2_shared *s, int64_t until_us)
{
	return s->access != NULL && clock_mono_us() < until_us;
}

/* False: it is this thread's turn to ask. */
static bool
wait_for_others(struct oauth2_shared *s, int64_t deadline_us)
{
	const struct timespec until = {deadline_us / US_PER_SECOND, deadline_us % US_PER_SECOND * 1000};

	while (s->busy && !usable(s, s->end_us))
		if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT)
			return true;
	return s->busy || usable(s, s->renew_us);
}

static enum lookup_status
give(const struct oauth2 *o, struct map_hit *hit, struct error *err)
{
	const struct oauth2_shared *s = o->shared;

	if (!usable(s, s->end_us)) {
		if (err->text[0] == '\0')
			error_set(err, "the endpoint gives no token in time");
		return LOOKUP_TEMPORARY;
	}
	/* The form of smtp_sasl_password_maps: delivery/smtp/login.h. */
	buf_clear(hit->value);
	(void)buf_printf(hit->value, "%s:{BEARER}%s", o->username, s->access);
	return LOOKUP_FOUND;
}

enum lookup_status
oauth2_refresh_lookup(struct oauth2 *o, struct span key, struct map_hit *hit, struct error *err)
{
	struct oauth2_shared *s = o->shared;
	int64_t deadline_us = clock_mono_us() + o->timeout_s * US_PER_SECOND;

	if (!is_meant(o, key)) {
		hit->unasked = true;
		return LOOKUP_NOT_FOUND;
	}
	(void)pthread_mutex_lock(&s->lock);
	if (!wait_for_others(s, deadline_us)) {
		s->busy = true;
		(void)pthread_mutex_unlock(&s->lock);
		(void)clients_ask(o->clients, key, hit, err);
		(void)pthread_mutex_lock(&s->lock);
		s->busy = false;
		(void)pthread_cond_broadcast(&s->changed);
	}
	enum lookup_status status = give(o, hit, err);
	(void)pthread_mutex_unlock(&s->lock);
	return status;
}

void
oauth2_refresh_refused(struct oauth2 *o, uint64_t mark)
{
	struct oauth2_shared *s = o->shared;
	int64_t now = clock_mono_us();

	(void)pthread_mutex_lock(&s->lock);
	bool again = s->refused_us != 0 && now - s->refused_us < REFUSED_AGAIN_S * US_PER_SECOND;
	if (s->access != NULL && secret_mark(span_of(s->access)) == mark && !again) {
		oauth2_wipe(&s->access);
		s->refused_us = now;
	}
	(void)pthread_mutex_unlock(&s->lock);
}

#endif
