#include "services/lookup/password_check.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/base/text.h"
#include "services/lookup/token_check.h"

enum {
	TABLES_MAX = 100,
	SAMPLE_MAX = 100, /* entries of a table that are looked at for its scheme */
	SEARCHED_MAX = 1000, /* for keys of SCRAM */
	TRIES_OCTETS_MAX = 512 << 20, /* of all threads together: two of the most expensive ones */
	DEFAULT_ITERATIONS = 100000,
	DEFAULT_SALT = 16
};

/* Where a table has told nothing yet: yescrypt as password_make() has it. */
static const char default_stored[] =
    "$y$j9T$ziPddZnWD/Y.AwUsZMo5v.$7wyMYlZaD7G7IC8QITJDfh/yUyovzW6ZicF1p2MF6a9";

/*
 * What the users of one table have: the first one that was seen. Not the last one: in a table of several schemes the
 * answers about nobody would change with who was asked about before, those about somebody would not.
 */
struct habit {
	char stored[PASSWORD_STORED_MAX + 1]; /* "": none was seen */
	uint32_t iterations; /* 0: no keys were seen */
	size_t salt_len;
};

struct password_habits {
	uint8_t secret[PASSWORDS_SECRET_OCTETS];
	pthread_mutex_t lock;
	pthread_cond_t memory_freed;
	struct table *by_table; /* struct habit */
	uint64_t memory; /* that tries take now */
};

struct password_desk {
	struct password_habits *habits;
	struct map_set *maps;
	struct map_found found;
};

struct password_habits *
password_habits_new(const uint8_t secret[PASSWORDS_SECRET_OCTETS])
{
	struct password_habits *h = mem_alloc(sizeof(*h));

	memcpy(h->secret, secret, sizeof(h->secret));
	(void)pthread_mutex_init(&h->lock, NULL);
	(void)pthread_cond_init(&h->memory_freed, NULL);
	h->by_table = table_new(TABLES_MAX, free);
	return h;
}

void
password_habits_forget(struct password_habits *h)
{
	(void)pthread_mutex_lock(&h->lock);
	table_free(&h->by_table);
	h->by_table = table_new(TABLES_MAX, free);
	(void)pthread_mutex_unlock(&h->lock);
}

/* What a table's text has wrong is told by "postern check"; here only what stands in the way. */
static void
no_complaint(const char *file, unsigned line, const char *text, void *context)
{
	(void)file;
	(void)line;
	(void)text;
	(void)context;
}

struct password_desk *
password_desk_new(struct password_habits *habits)
{
	const struct map_options options = {.complain = no_complaint};
	struct password_desk *d = mem_alloc(sizeof(*d));

	d->habits = habits;
	d->maps = map_set_new(&options);
	map_found_init(&d->found);
	return d;
}

void
password_desk_free(struct password_desk **d)
{
	if (*d == NULL)
		return;
	map_set_free(&(*d)->maps);
	map_found_free(&(*d)->found);
	free(*d);
	*d = NULL;
}

/* ---- what users have ---- */

static void
habit_take(struct habit *habit, const struct password_stored *s, struct span text)
{
	if (s->locked)
		return;
	if (habit->stored[0] == '\0')
		(void)span_copy(span_trim(text), habit->stored, sizeof(habit->stored));
	if (!password_is_scram(s) || habit->iterations != 0)
		return;
	habit->iterations = s->scram.iterations;
	habit->salt_len = s->scram.salt_len;
}

static void
habit_learn(struct password_habits *h, const char *table, const struct password_stored *s, struct span text)
{
	(void)pthread_mutex_lock(&h->lock);
	struct habit *habit = table_get(h->by_table, span_of(table));
	if (habit != NULL)
		habit_take(habit, s, text);
	(void)pthread_mutex_unlock(&h->lock);
}

struct sample {
	struct habit *habit;
	unsigned seen;
};

static bool
look_at(struct span key, struct span value, void *context)
{
	struct sample *sample = context;
	struct password_stored s;
	struct error ignored;

	(void)key;
	if (password_parse(value, &s, &ignored) == 0)
		habit_take(sample->habit, &s, value);
	return ++sample->seen < SAMPLE_MAX &&
	       (sample->habit->stored[0] == '\0' || sample->habit->iterations == 0);
}

/* A table that nobody was found in yet: those that can be listed say what they have. */
static struct habit *
habit_first(struct password_desk *d, const char *table)
{
	struct habit *habit = mem_alloc(sizeof(*habit));
	struct sample sample = {.habit = habit};
	struct map *map = maplist_table(map_set_list(d->maps, span_of(table), NULL), 0);
	struct error ignored;

	if (map != NULL)
		(void)map_each(map, look_at, &sample, &ignored);
	return habit;
}

static struct habit
habit_of(struct password_desk *d, const char *table)
{
	struct password_habits *h = d->habits;
	struct habit *first = NULL, copy;

	(void)pthread_mutex_lock(&h->lock);
	struct habit *habit = table_get(h->by_table, span_of(table));
	if (habit == NULL) {
		(void)pthread_mutex_unlock(&h->lock);
		first = habit_first(d, table);
		(void)pthread_mutex_lock(&h->lock);
		habit = table_get(h->by_table, span_of(table));
		if (habit == NULL && table_put(h->by_table, span_of(table), first) == 0) {
			habit = first;
			first = NULL;
		}
	}
	copy = habit != NULL ? *habit : *first;
	(void)pthread_mutex_unlock(&h->lock);
	free(first);
	if (copy.stored[0] == '\0')
		(void)span_copy(SPAN_LIT(default_stored), copy.stored, sizeof(copy.stored));
	if (copy.iterations == 0) {
		copy.iterations = DEFAULT_ITERATIONS;
		copy.salt_len = DEFAULT_SALT;
	}
	return copy;
}

/* ---- trying ---- */

static void
memory_take(struct password_habits *h, uint64_t octets)
{
	(void)pthread_mutex_lock(&h->lock);
	while (h->memory + octets > TRIES_OCTETS_MAX)
		(void)pthread_cond_wait(&h->memory_freed, &h->lock);
	h->memory += octets;
	(void)pthread_mutex_unlock(&h->lock);
}

static void
memory_give(struct password_habits *h, uint64_t octets)
{
	(void)pthread_mutex_lock(&h->lock);
	h->memory -= octets;
	(void)pthread_cond_broadcast(&h->memory_freed);
	(void)pthread_mutex_unlock(&h->lock);
}

static enum auth_status
try_password(struct password_desk *d, const struct password_stored *s, struct password_question *q)
{
	enum auth_status status;

	memory_take(d->habits, s->memory);
	status = password_verify(s, span_of(q->password), &q->trouble);
	memory_give(d->habits, s->memory);
	return status;
}

/* Takes the time that a user of this table takes. */
static void
try_nobody(struct password_desk *d, struct password_question *q)
{
	struct habit habit = habit_of(d, q->table);
	struct password_stored s;

	if (password_parse(span_of(habit.stored), &s, &q->trouble) == 0)
		(void)try_password(d, &s, q);
	q->status = AUTH_REFUSED;
	explicit_bzero(&habit, sizeof(habit));
}

/* The same one for a name whenever it is asked for. */
static void
salt_of_nobody(struct password_desk *d, struct password_question *q)
{
	struct habit habit = habit_of(d, q->table);
	uint8_t made[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct buf text;

	buf_init(&text, MAP_NAME_MAX + sizeof(q->name) + 8);
	(void)buf_printf(&text, "%s\n%u\n", q->table, (unsigned)q->hash);
	size_t before = text.len;
	(void)buf_append_text(&text, q->user);
	text_lower(buf_ptr(&text) + before, text.len - before);
	(void)HMAC(EVP_sha512(), d->habits->secret, PASSWORDS_SECRET_OCTETS,
	    (const unsigned char *)buf_ptr(&text), text.len, made, &len);
	buf_free(&text);
	q->keys = (struct password_scram){
	    .hash = q->hash, .iterations = habit.iterations, .salt_len = habit.salt_len};
	memcpy(q->keys.salt, made, habit.salt_len);
	q->status = AUTH_REFUSED;
	explicit_bzero(&habit, sizeof(habit));
}

static void
nobody(struct password_desk *d, struct password_question *q)
{
	if (q->scram)
		salt_of_nobody(d, q);
	else
		try_nobody(d, q);
}

static void
somebody(struct password_desk *d, struct password_question *q)
{
	struct span text = buf_span(&d->found.value);
	struct password_stored s;

	if (password_parse(text, &s, &q->trouble) < 0) {
		q->status = (enum auth_status)(
		    error_while(&q->trouble, "%s, user %.100s", q->table, q->user), AUTH_TEMPORARY);
		return;
	}
	bool usable = !q->scram || (password_is_scram(&s) && s.scram.hash == q->hash);
	if (s.locked || !usable) {
		nobody(d, q);
		return;
	}
	(void)habit_of(d, q->table);
	habit_learn(d->habits, q->table, &s, text);
	if (span_equal_nocase(buf_span(&d->found.key), span_of(q->user)))
		(void)span_copy(buf_span(&d->found.key), q->name, sizeof(q->name));
	q->keys = s.scram;
	q->status = q->scram ? AUTH_ACCEPTED : try_password(d, &s, q);
	explicit_bzero(&s, sizeof(s));
}

/* ---- is there anybody with keys for SCRAM? ---- */

struct search {
	enum scram_hash hash;
	unsigned seen;
	bool found;
};

static bool
look_for_keys(struct span key, struct span value, void *context)
{
	struct search *search = context;
	struct password_stored s;
	struct error ignored;

	(void)key;
	search->found = password_parse(value, &s, &ignored) == 0 && password_is_scram(&s) && !s.locked &&
			s.scram.hash == search->hash;
	explicit_bzero(&s, sizeof(s));
	return !search->found && ++search->seen < SEARCHED_MAX;
}

/* Of tables that cannot be listed nothing is known. */
static void
anybody(struct maplist *list, struct password_question *q)
{
	struct search search = {.hash = q->hash};
	struct error ignored;
	struct map *map;

	for (size_t i = 0; !search.found && (map = maplist_table(list, i)) != NULL; i++)
		(void)map_each(map, look_for_keys, &search, &ignored);
	q->status = search.found ? AUTH_ACCEPTED : AUTH_REFUSED;
}

void
password_answer(struct password_desk *d, struct password_question *q)
{
	struct maplist *list = map_set_list(d->maps, span_of(q->table), NULL);

	if (map_set_changed(d->maps))
		password_habits_forget(d->habits);
	if (q->scram && q->user[0] == '\0') {
		anybody(list, q);
		return;
	}
	if (q->token) {
		token_answer(list, &d->found, q);
		return;
	}
	switch (maplist_lookup(list, span_of(q->user), false, &d->found)) {
	case LOOKUP_NOT_FOUND:
		nobody(d, q);
		break;
	case LOOKUP_FOUND:
		/* A stranger could choose the password with the name. */
		if (!d->found.substituted) {
			somebody(d, q);
			break;
		}
		error_set(
		    &d->found.err, "%s: a password may not be made of what a pattern matched ($1)", q->table);
		/* fall through */
	default:
		q->trouble = d->found.err;
		q->status = AUTH_TEMPORARY;
	}
	if (d->found.value.len > 0)
		explicit_bzero(buf_ptr(&d->found.value), d->found.value.len);
}
