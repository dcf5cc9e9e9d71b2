#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "services/lookup/workers_inside.h"

enum { NOTES_MAX = 1000 };

/* A thread's own. */
struct worker {
	struct workers *pool;
	struct desk *desk;
	uint64_t conf_number, generation;
	struct job *job;
};

static void
wake_loop(const struct workers *w)
{
	const uint64_t one = 1;
	/* A counter that is full wakes the loop as well. */
	ssize_t ignored = write(w->wake_fd, &one, sizeof(one));
	(void)ignored;
}

static void
note_add(struct worker *me, int kind, const char *name, unsigned line, const char *text)
{
	struct workers *w = me->pool;
	struct note *n = mem_alloc(sizeof(*n));

	n->kind = kind;
	n->name = mem_strdup(name);
	n->line = line;
	n->text = text != NULL ? mem_strdup(text) : NULL;
	(void)pthread_mutex_lock(&w->lock);
	bool taken = w->note_count < NOTES_MAX;
	if (taken) {
		*w->notes_end = n;
		w->notes_end = &n->next;
		w->note_count++;
	}
	(void)pthread_mutex_unlock(&w->lock);
	if (taken)
		return;
	free(n->name);
	free(n->text);
	free(n);
}

static void
worker_complain(const char *file, unsigned line, const char *text, void *context)
{
	note_add(context, NOTE_COMPLAINT, file, line, text);
}

static void
worker_state(const char *table, const char *trouble, void *context)
{
	const struct worker *me = context;

	if (trouble != NULL || atomic_load(&me->pool->troubled))
		note_add(context, NOTE_STATE, table, 0, trouble);
}

static void
worker_trouble(void *context, const char *what, struct span text)
{
	char *copy = mem_strndup(text.len > 0 ? text.ptr : "", text.len);
	note_add(context, NOTE_TROUBLE, what, 0, copy);
	free(copy);
}

static void
worker_send(void *context, enum ipc_type type, const void *message)
{
	struct worker *me = context;

	/* An answer of which a part is missing is none. */
	if (ipc_encode(&me->job->answer, type, ANY_CALL, message) < 0)
		me->job->answer.full = true;
}

static void
worker_configure(struct worker *me)
{
	const struct desk_sink sink = {worker_send, worker_trouble, worker_complain, worker_state, me};
	struct workers *w = me->pool;

	(void)pthread_mutex_lock(&w->lock);
	struct conf *conf = conf_ref(w->conf);
	me->conf_number = w->conf_number;
	(void)pthread_mutex_unlock(&w->lock);
	desk_free(&me->desk);
	me->desk = desk_new(conf, w->interfaces, &sink, true);
	conf_unref(&conf);
}

static void
worker_answer(struct worker *me, struct job *job, uint64_t conf_number)
{
	struct span question = buf_span(&job->question);
	struct ipc_frame ask;
	struct error err;
	bool has_fd;

	me->job = job;
	if (me->desk == NULL || me->conf_number != conf_number)
		worker_configure(me);
	if (me->generation != job->generation)
		(void)desk_look(me->desk);
	me->generation = job->generation;
	if (ipc_decode(span_from(question, 1), &ask, &has_fd, &err) > 0)
		(void)desk_answer(me->desk, (enum role)question.ptr[0], &ask, job->generation, &err);
}

/* The next job, or NULL after a minute without one. */
static struct job *
job_take(struct workers *w, uint64_t *conf_number)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WORKERS_IDLE_SECONDS;
	(void)pthread_mutex_lock(&w->lock);
	w->idle++;
	while (w->queue == NULL)
		if (pthread_cond_timedwait(&w->work, &w->lock, &until) == ETIMEDOUT)
			break;
	w->idle--;
	struct job *job = w->queue;
	if (job != NULL) {
		w->queue = job->next;
		if (w->queue == NULL)
			w->queue_end = &w->queue;
		w->queued--;
		job->taken = true;
		*conf_number = w->conf_number;
	} else {
		w->threads--;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return job;
}

void *
worker_run(void *context)
{
	struct worker me = {.pool = context};
	struct workers *w = me.pool;
	uint64_t conf_number = 0;
	struct job *job;

	while ((job = job_take(w, &conf_number)) != NULL) {
		worker_answer(&me, job, conf_number);
		(void)pthread_mutex_lock(&w->lock);
		job->next = w->done;
		w->done = job;
		(void)pthread_mutex_unlock(&w->lock);
		wake_loop(w);
	}
	desk_free(&me.desk);
	return NULL;
}
