#include "services/keys/signers.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/mem.h"

enum { THREADS_MAX = 8 };

STAILQ_HEAD(jobs, signing_job);

struct signers {
	signers_done *done;
	void *context;
	int wake; /* eventfd: some are finished */
	struct event *finished_event;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct jobs waiting, finished; /* under the lock */
};

unsigned
signers_wanted(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	/* The other half of a handshake's work is done by smtpd. */
	if (cores < 2)
		return 0;
	return cores / 2 > THREADS_MAX ? THREADS_MAX : (unsigned)(cores / 2);
}

bool
signers_want(const EVP_PKEY *key)
{
	int kind = EVP_PKEY_get_base_id(key);

	return kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS;
}

static void *
work(void *context)
{
	struct signers *s = context;
	const uint64_t one = 1;

	for (;;) {
		struct signing_job *job;

		pthread_mutex_lock(&s->lock);
		while (STAILQ_EMPTY(&s->waiting))
			pthread_cond_wait(&s->more, &s->lock);
		job = STAILQ_FIRST(&s->waiting);
		STAILQ_REMOVE_HEAD(&s->waiting, link);
		pthread_mutex_unlock(&s->lock);
		job->signature_len = signing_sign(
		    job->key, job->scheme, span_make(job->text, job->text_len), job->signature, &job->err);
		pthread_mutex_lock(&s->lock);
		STAILQ_INSERT_TAIL(&s->finished, job, link);
		pthread_mutex_unlock(&s->lock);
		if (write(s->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
			panic("signers: eventfd");
	}
	return NULL;
}

static void
on_finished(evutil_socket_t fd, short what, void *context)
{
	struct jobs finished = STAILQ_HEAD_INITIALIZER(finished);
	struct signers *s = context;
	struct signing_job *job;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&s->lock);
	STAILQ_CONCAT(&finished, &s->finished);
	pthread_mutex_unlock(&s->lock);
	while ((job = STAILQ_FIRST(&finished)) != NULL) {
		STAILQ_REMOVE_HEAD(&finished, link);
		s->done(job, s->context);
		EVP_PKEY_free(job->key);
		free(job->text);
		free(job);
	}
}

struct signers *
signers_new(struct event_base *base, unsigned count, signers_done *done, void *context, struct error *err)
{
	struct signers *s = mem_alloc(sizeof(*s));
	pthread_t thread;

	s->done = done;
	s->context = context;
	STAILQ_INIT(&s->waiting);
	STAILQ_INIT(&s->finished);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->more, NULL);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->wake < 0) {
		error_errno(err, "eventfd");
		free(s);
		return NULL;
	}
	s->finished_event = event_new(base, s->wake, EV_READ | EV_PERSIST, on_finished, s);
	event_add(s->finished_event, NULL);
	for (unsigned i = 0; i < count; i++) {
		if ((errno = pthread_create(&thread, NULL, work, s)) != 0) {
			error_errno(err, "starting a thread");
			return NULL; /* the process ends */
		}
		pthread_detach(thread);
	}
	return s;
}

void
signers_submit(
    struct signers *s, EVP_PKEY *key, uint32_t scheme, struct span text, void *asker, uint32_t call)
{
	struct signing_job *job = mem_alloc(sizeof(*job));

	EVP_PKEY_up_ref(key);
	job->key = key;
	job->scheme = scheme;
	job->text = mem_strndup(text.ptr, text.len);
	job->text_len = text.len;
	job->asker = asker;
	job->call = call;
	pthread_mutex_lock(&s->lock);
	STAILQ_INSERT_TAIL(&s->waiting, job, link);
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
}
