#include "config.h"

#ifdef HAVE_OAUTH2

#include <stdlib.h>
#include <sys/random.h>

#include "common/base/mem.h"
#include "common/base/table.h"
#include "common/map/oauth2.h"

/* Tables that no thread has open keep their tokens: threads come and go. */
enum { UNUSED_MAX = 50 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct oauth2_shared *all;

void
oauth2_wipe(char **secret)
{
	if (*secret != NULL)
		explicit_bzero(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

static struct oauth2_shared *
shared_new(const char *path, uint64_t mark)
{
	struct oauth2_shared *s = mem_alloc(sizeof(*s));
	pthread_condattr_t monotonic;

	s->path = mem_strdup(path);
	s->mark = mark;
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->changed, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	s->known = table_new(OAUTH2_KNOWN_MAX, free);
	if (getrandom(s->mark_keys, sizeof(s->mark_keys), 0) != (ssize_t)sizeof(s->mark_keys))
		panic("no random numbers");
	return s;
}

static void
shared_free(struct oauth2_shared *s)
{
	oauth2_wipe(&s->access);
	oauth2_wipe(&s->refresh);
	oauth2_wipe(&s->refresh_seen);
	table_free(&s->known);
	(void)pthread_cond_destroy(&s->changed);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

/* Those of former parameters go, and the longest unused of too many. New ones stand in front. */
static void
clean(const char *path, uint64_t mark)
{
	unsigned unused = 0;

	for (struct oauth2_shared **at = &all; *at != NULL;) {
		struct oauth2_shared *s = *at;
		bool former = strcmp(s->path, path) == 0 && s->mark != mark;
		if (s->references > 0 || (!former && ++unused <= UNUSED_MAX)) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		shared_free(s);
	}
}

struct oauth2_shared *
oauth2_shared_take(const char *path, uint64_t mark)
{
	struct oauth2_shared *s;

	(void)pthread_mutex_lock(&lock);
	clean(path, mark);
	for (s = all; s != NULL; s = s->next)
		if (s->mark == mark && strcmp(s->path, path) == 0)
			break;
	if (s == NULL) {
		s = shared_new(path, mark);
		s->next = all;
		all = s;
	}
	s->references++;
	(void)pthread_mutex_unlock(&lock);
	return s;
}

void
oauth2_shared_give(struct oauth2_shared **s)
{
	if (*s == NULL)
		return;
	(void)pthread_mutex_lock(&lock);
	(*s)->references--;
	(void)pthread_mutex_unlock(&lock);
	*s = NULL;
}

#endif
