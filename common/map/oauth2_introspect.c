/*
 * The mode that asks whose a token is (RFC 7662). What the endpoint said is kept for a while, by marks of the token.
 */
#include "config.h"

#ifdef HAVE_OAUTH2

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/map/oauth2.h"

enum { FORM_MAX = 4 * OAUTH2_SECRET_MAX };

struct known {
	int64_t until_us;
	const char *why_not; /* NULL: the user's */
	char user[];
};

/* Two keyed hashes of 64 bits: whoever has not the keys finds no second token with them. */
static struct span
mark_of(const struct oauth2_shared *s, struct span token, uint64_t mark[2])
{
	for (size_t i = 0; i < 2; i++)
		mark[i] = siphash(s->mark_keys[i], token.ptr, token.len);
	return span_make(mark, 2 * sizeof(mark[0]));
}

static void
keep(const struct oauth2 *o, struct span token, const struct oauth2_verdict *v)
{
	struct oauth2_shared *s = o->shared;
	int64_t keep_us = v->active ? o->keep_us : o->keep_refusal_us;
	uint64_t mark[2];

	if (v->active && v->expires_s != 0) {
		int64_t left_us = v->expires_s * US_PER_SECOND - clock_wall_us();
		keep_us = left_us < keep_us ? left_us : keep_us;
	}
	if (keep_us <= 0)
		return;
	size_t len = strlen(v->user);
	struct known *one = mem_alloc(sizeof(*one) + len + 1);
	one->until_us = clock_mono_us() + keep_us;
	one->why_not = v->why_not;
	memcpy(one->user, v->user, len + 1);
	(void)pthread_mutex_lock(&s->lock);
	struct span name = mark_of(s, token, mark);
	/* Room for what is asked next, whatever was known. */
	if (table_count(s->known) >= OAUTH2_KNOWN_MAX) {
		table_free(&s->known);
		s->known = table_new(OAUTH2_KNOWN_MAX, free);
	}
	(void)table_put(s->known, name, one);
	(void)pthread_mutex_unlock(&s->lock);
}

static enum lookup_status
answer(const char *why_not, const char *user, struct map_hit *hit, struct error *err)
{
	if (why_not != NULL) {
		error_set(err, "%s", why_not);
		return LOOKUP_NOT_FOUND;
	}
	hit->of_token = true;
	(void)buf_append_text(hit->value, user);
	return LOOKUP_FOUND;
}

static bool
recall(struct oauth2_shared *s, struct span token, struct map_hit *hit, enum lookup_status *status,
    struct error *err)
{
	uint64_t mark[2];

	(void)pthread_mutex_lock(&s->lock);
	const struct known *one = table_get(s->known, mark_of(s, token, mark));
	bool fresh = one != NULL && one->until_us > clock_mono_us();
	if (fresh)
		*status = answer(one->why_not, one->user, hit, err);
	(void)pthread_mutex_unlock(&s->lock);
	return fresh;
}

static int
verdict_ask(
    struct oauth2 *o, struct span token, int64_t deadline_us, struct oauth2_verdict *v, struct error *err)
{
	const struct span secrets[] = {token, span_of(o->client_secret)};
	struct buf form, body;
	long status;

	buf_init(&form, FORM_MAX);
	buf_init(&body, OAUTH2_ANSWER_MAX);
	(void)buf_reserve(&form, FORM_MAX);
	oauth2_form_add(&form, "token", token);
	oauth2_form_add(&form, "token_type_hint", SPAN_LIT("access_token"));
	int result = oauth2_post(o, &form, deadline_us, &status, &body, err);
	if (result == 0 && status == 200)
		result =
		    oauth2_verdict_parse(buf_span(&body), &o->rules, clock_wall_us() / US_PER_SECOND, v, err);
	else if (result == 0) {
		oauth2_refused(status, buf_span(&body), secrets, 2, err);
		result = -1;
	}
	explicit_bzero(form.mem, form.cap);
	buf_free(&form);
	buf_free(&body);
	return result;
}

enum lookup_status
oauth2_introspect_ask(
    struct oauth2 *o, const struct client_question *q, int64_t deadline_us, bool *lost, struct error *err)
{
	struct oauth2_verdict v;

	*lost = verdict_ask(o, q->key, deadline_us, &v, err) < 0;
	if (*lost)
		return LOOKUP_TEMPORARY;
	keep(o, q->key, &v);
	return answer(v.why_not, v.user, q->hit, err);
}

enum lookup_status
oauth2_introspect_lookup(struct oauth2 *o, struct span key, struct map_hit *hit, struct error *err)
{
	enum lookup_status status;

	if (!oauth2_token_valid(key, OAUTH2_TOKEN_MAX)) {
		hit->unasked = true;
		error_set(err, "no token");
		return LOOKUP_NOT_FOUND;
	}
	if (recall(o->shared, key, hit, &status, err)) {
		hit->unasked = true;
		return status;
	}
	return clients_ask(o->clients, key, hit, err);
}

#endif
