#include "services/lookup/passwords.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/conf/back_end.h"
#include "services/lookup/password_check.h"

enum {
	THREADS_MIN = 2, /* so that one address leaves one to the others */
	THREADS_MAX = 8,
	NICE = 5,
	QUESTIONS_MAX = 1000,
	QUESTIONS_OF_ADDRESS_MAX = 50,
	SECONDS_MAX = 30, /* without a thread: smtpd's own patience is longer */
	REASON_MAX = 200,
	PATH_OCTETS_MAX = 4096
};

struct question {
	TAILQ_ENTRY(question) link; /* loop: all of them, the oldest first */
	STAILQ_ENTRY(question) next; /* waiting, or done */
	struct ipc_channel *channel; /* NULL: nobody waits for it */
	uint32_t call;
	int64_t since_us;
	char *address;
	bool taken, answered;
	struct password_question asked;
};

TAILQ_HEAD(question_list, question);
STAILQ_HEAD(question_queue, question);

struct passwords {
	struct password_habits *habits;
	struct question_list all; /* the loop's */
	size_t count;
	int64_t troubled_us; /* when trouble was last logged */
	struct event *woken, *tick;
	int wake_fd;
	unsigned threads;
	pthread_mutex_t lock;
	pthread_cond_t more;
	/* Under the lock. */
	struct question_queue waiting, done;
	struct question *running[THREADS_MAX];
	uint64_t generation; /* of the configuration */
};

struct worker {
	struct passwords *pool;
	unsigned number;
};

static void
secret_free(char *text)
{
	if (text != NULL)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void
question_free(struct passwords *p, struct question *q)
{
	TAILQ_REMOVE(&p->all, q, link);
	p->count--;
	secret_free(q->asked.password);
	free(q->asked.table);
	free(q->asked.user);
	free(q->asked.local_domain);
	free(q->address);
	explicit_bzero(&q->asked, sizeof(q->asked));
	free(q);
}

/* ---- in a thread ---- */

/* A user is tried by one thread (SCRAM's keys cost nothing); an address leaves one to the others, for a table may be slow. */
static bool
may_run(const struct passwords *p, const struct question *q)
{
	unsigned of_address = 0, of_tokens = 0;

	for (unsigned i = 0; i < p->threads; i++) {
		const struct question *other = p->running[i];
		if (other == NULL)
			continue;
		if (q->asked.user[0] != '\0' && !q->asked.scram && !other->asked.scram &&
		    strcasecmp(other->asked.user, q->asked.user) == 0)
			return false;
		of_address += strcmp(other->address, q->address) == 0;
		of_tokens += other->asked.token;
	}
	return of_address + 1 < p->threads && (!q->asked.token || of_tokens + 1 < p->threads);
}

static struct question *
take(struct passwords *p, unsigned number)
{
	struct question *q;

	STAILQ_FOREACH (q, &p->waiting, next)
		if (may_run(p, q))
			break;
	if (q != NULL) {
		STAILQ_REMOVE(&p->waiting, q, question, next);
		q->taken = true;
		p->running[number] = q;
	}
	return q;
}

static void
hand_back(struct passwords *p, struct question *q, unsigned number)
{
	static const uint64_t one = 1;

	p->running[number] = NULL;
	STAILQ_INSERT_TAIL(&p->done, q, next);
	/* Others may have waited for this user or address. */
	(void)pthread_cond_broadcast(&p->more);
	if (write(p->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: the loop is awake already */
}

static void *
run(void *context)
{
	struct worker *me = context;
	struct passwords *p = me->pool;
	struct password_desk *desk = password_desk_new(p->habits);
	uint64_t generation = 0;
	struct question *q;

	/* Of this thread alone: mail goes first. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	(void)pthread_mutex_lock(&p->lock);
	for (;;) {
		while ((q = take(p, me->number)) == NULL)
			(void)pthread_cond_wait(&p->more, &p->lock);
		bool renew = generation != p->generation;
		generation = p->generation;
		(void)pthread_mutex_unlock(&p->lock);
		if (renew) {
			password_desk_free(&desk);
			desk = password_desk_new(p->habits);
		}
		password_answer(desk, &q->asked);
		(void)pthread_mutex_lock(&p->lock);
		hand_back(p, q, me->number);
	}
	return NULL;
}

/* ---- in the loop ---- */

static void
send_answer(struct ipc_channel *channel, uint32_t call, const struct password_question *q)
{
	struct span reason = span_sub(span_of(q->trouble.text), 0, REASON_MAX);
	const struct password_scram *k = &q->keys;
	size_t size = q->status == AUTH_ACCEPTED ? scram_hash_size(k->hash) : 0;

	if (q->status == AUTH_ACCEPTED || (q->status == AUTH_REFUSED && !q->token))
		reason = SPAN_LIT("");
	if (!q->scram) {
		struct msg_password_answer answer = {
		    .status = (uint8_t)q->status, .user = span_of(q->name), .reason = reason};
		(void)ipc_send(channel, IPC_PASSWORD_ANSWER, call, &answer);
		return;
	}
	struct msg_scram_keys answer = {.status = (uint8_t)q->status,
	    .user = span_of(q->name),
	    .iterations = k->iterations,
	    .salt = span_make(k->salt, k->salt_len),
	    .stored_key = span_make(k->stored_key, size),
	    .server_key = span_make(k->server_key, size),
	    .reason = reason};
	(void)ipc_send(channel, IPC_SCRAM_KEYS, call, &answer);
}

void
passwords_refuse(struct ipc_channel *channel, const struct ipc_frame *frame, const char *why)
{
	struct password_question q = {.scram = frame->type == IPC_SCRAM_ASK, .status = AUTH_TEMPORARY};

	error_set(&q.trouble, "%s", why);
	send_answer(channel, frame->call, &q);
}

/* At most once a second: a broken table meets every login. */
static void
log_trouble(struct passwords *p, const char *text)
{
	int64_t now = clock_mono_us();

	if (p->troubled_us != 0 && now - p->troubled_us < US_PER_SECOND)
		return;
	p->troubled_us = now;
	log_warning(NULL, "password table lookup problem: %s", text);
}

static void
finish(struct passwords *p, struct question *q)
{
	if (q->asked.status == AUTH_TEMPORARY)
		log_trouble(p, q->asked.trouble.text);
	if (q->channel != NULL && !q->answered)
		send_answer(q->channel, q->call, &q->asked);
	question_free(p, q);
}

static void
on_woken(evutil_socket_t fd, short what, void *context)
{
	struct passwords *p = context;
	struct question_queue done;
	struct question *q;
	uint64_t count;

	(void)what;
	if (read((int)fd, &count, sizeof(count)) < 0)
		return;
	STAILQ_INIT(&done);
	(void)pthread_mutex_lock(&p->lock);
	STAILQ_CONCAT(&done, &p->done);
	(void)pthread_mutex_unlock(&p->lock);
	while ((q = STAILQ_FIRST(&done)) != NULL) {
		STAILQ_REMOVE_HEAD(&done, next);
		finish(p, q);
	}
}

/* What has waited too long: the rest of the queue is younger. A thread may still be at it. */
static void
on_tick(evutil_socket_t fd, short what, void *context)
{
	struct passwords *p = context;
	int64_t latest = clock_mono_us() - SECONDS_MAX * US_PER_SECOND;
	struct question *q, *next;

	(void)fd;
	(void)what;
	for (q = TAILQ_FIRST(&p->all); q != NULL && q->since_us <= latest; q = next) {
		next = TAILQ_NEXT(q, link);
		(void)pthread_mutex_lock(&p->lock);
		bool taken = q->taken;
		if (!taken)
			STAILQ_REMOVE(&p->waiting, q, question, next);
		(void)pthread_mutex_unlock(&p->lock);
		if (!q->answered) {
			struct password_question late = {.scram = q->asked.scram, .status = AUTH_TEMPORARY};
			error_set(&late.trouble, "no answer in time");
			log_trouble(p, late.trouble.text);
			if (q->channel != NULL)
				send_answer(q->channel, q->call, &late);
			q->answered = true;
		}
		if (!taken)
			question_free(p, q);
	}
}

static char *
copy(struct span text)
{
	return mem_strndup(text.len > 0 ? text.ptr : "", text.len);
}

/* Why the question is not taken; NULL: it is. */
static const char *
objection(const struct passwords *p, struct span address)
{
	const struct question *q;
	size_t same = 0;

	if (p->count >= QUESTIONS_MAX)
		return "too many logins wait";
	TAILQ_FOREACH (q, &p->all, link)
		same += span_is(address, q->address);
	return same >= QUESTIONS_OF_ADDRESS_MAX ? "too many logins of this client wait" : NULL;
}

static const struct conf_values *
values_of(const struct conf *conf, struct span section)
{
	const struct conf_section *found = conf_section_find(conf, section);

	return found ? found->values : conf->values;
}

/* What the three questions have in common. */
struct asked {
	struct span section, user, secret, address;
	bool scram, token;
};

static struct asked
asked_of(const struct ipc_frame *frame)
{
	const struct msg_password_ask *p = &frame->password_ask;
	const struct msg_scram_ask *s = &frame->scram_ask;
	const struct msg_token_ask *t = &frame->token_ask;

	if (frame->type == IPC_SCRAM_ASK)
		return (struct asked){
		    .section = s->section, .user = s->user, .address = s->client_address, .scram = true};
	if (frame->type == IPC_TOKEN_ASK)
		return (struct asked){t->section, t->user, t->token, t->client_address, false, true};
	return (struct asked){p->section, p->user, p->password, p->client_address, false, false};
}

static void
question_new(struct passwords *p, const struct conf_values *v, const struct asked *asked,
    enum scram_hash hash, struct ipc_channel *channel, uint32_t call)
{
	struct question *q = mem_alloc(sizeof(*q));

	q->channel = channel;
	q->call = call;
	q->since_us = clock_mono_us();
	q->address = copy(asked->address);
	q->asked.scram = asked->scram;
	q->asked.token = asked->token;
	q->asked.table = conf_tables(v, asked->token);
	q->asked.user = copy(asked->user);
	q->asked.hash = hash;
	q->asked.local_domain = mem_strdup(v->smtpd_sasl_local_domain);
	if (!asked->scram)
		q->asked.password = copy(asked->secret);
	TAILQ_INSERT_TAIL(&p->all, q, link);
	p->count++;
	(void)pthread_mutex_lock(&p->lock);
	if (asked->scram)
		STAILQ_INSERT_HEAD(&p->waiting, q, next);
	else
		STAILQ_INSERT_TAIL(&p->waiting, q, next);
	(void)pthread_cond_signal(&p->more);
	(void)pthread_mutex_unlock(&p->lock);
}

int
passwords_ask(struct passwords *p, const struct conf *conf, struct ipc_channel *channel,
    const struct ipc_frame *frame, struct error *err)
{
	struct asked asked = asked_of(frame);
	uint8_t hash = asked.scram ? frame->scram_ask.hash : 0;
	const struct conf_values *v = values_of(conf, asked.section);
	const char *why = objection(p, asked.address);

	if (hash > SCRAM_SHA_256)
		return error_set(err, "unknown hash of SCRAM: %u", hash);
	if (v->smtpd_sasl_type != CONF_SMTPD_SASL_TYPE_TABLE || strchr(v->smtpd_sasl_path, ':') == NULL ||
	    !conf_has_tables(v, asked.token))
		why = "smtpd_sasl_path names no table";
	if (why != NULL) {
		log_trouble(p, why);
		passwords_refuse(channel, frame, why);
		return 0;
	}
	question_new(p, v, &asked, (enum scram_hash)hash, channel, frame->call);
	return 0;
}

void
passwords_peer_gone(struct passwords *p, const struct ipc_channel *peer)
{
	struct question *q;

	TAILQ_FOREACH (q, &p->all, link)
		if (q->channel == peer)
			q->channel = NULL;
}

void
passwords_configured(struct passwords *p)
{
	password_habits_forget(p->habits);
	(void)pthread_mutex_lock(&p->lock);
	p->generation++;
	(void)pthread_mutex_unlock(&p->lock);
}

bool
passwords_idle(const struct passwords *p)
{
	return p->count == 0;
}

static int
threads_start(struct passwords *p, struct error *err)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t thread;

	p->threads = cores < THREADS_MIN ? THREADS_MIN : cores > THREADS_MAX ? THREADS_MAX : (unsigned)cores;
	for (unsigned i = 0; i < p->threads; i++) {
		struct worker *me = mem_alloc(sizeof(*me));
		*me = (struct worker){p, i};
		if ((errno = pthread_create(&thread, NULL, run, me)) != 0)
			return error_errno(err, "starting a thread for passwords");
	}
	return 0;
}

struct passwords *
passwords_new(struct event_base *base, const uint8_t secret[PASSWORDS_SECRET_OCTETS], struct error *err)
{
	const struct timeval second = {.tv_sec = 1};
	struct passwords *p = mem_alloc(sizeof(*p));

	p->habits = password_habits_new(secret);
	TAILQ_INIT(&p->all);
	STAILQ_INIT(&p->waiting);
	STAILQ_INIT(&p->done);
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->more, NULL);
	p->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	p->woken = event_new(base, p->wake_fd, EV_READ | EV_PERSIST, on_woken, p);
	p->tick = event_new(base, -1, EV_PERSIST, on_tick, p);
	if (p->wake_fd < 0 || p->woken == NULL || p->tick == NULL || event_add(p->woken, NULL) < 0 ||
	    event_add(p->tick, &second) < 0) {
		error_errno(err, "no event for passwords");
		return NULL;
	}
	return threads_start(p, err) < 0 ? NULL : p;
}

/* ---- before the sandbox closes ---- */

/* Written whole or not at all: a half of it would be kept for ever. */
static int
secret_make(const char *path, uint8_t secret[PASSWORDS_SECRET_OCTETS])
{
	char name[PATH_OCTETS_MAX];
	int fd, result = -1, len = snprintf(name, sizeof(name), "%s.%d", path, (int)getpid());

	if (len < 0 || (size_t)len >= sizeof(name))
		return -1;
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (io_write_all(fd, secret, PASSWORDS_SECRET_OCTETS) == 0 && fsync(fd) == 0 &&
	    rename(name, path) == 0)
		result = 0;
	else
		(void)unlink(name);
	(void)io_close(&fd);
	return result;
}

void
passwords_secret(const char *path, uint8_t secret[PASSWORDS_SECRET_OCTETS])
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool read_whole =
	    fd >= 0 && io_read_all(fd, secret, PASSWORDS_SECRET_OCTETS) == PASSWORDS_SECRET_OCTETS;

	(void)io_close(&fd);
	if (read_whole)
		return;
	if (getrandom(secret, PASSWORDS_SECRET_OCTETS, 0) != PASSWORDS_SECRET_OCTETS)
		panic("no random numbers");
	if (secret_make(path, secret) < 0)
		log_warning(NULL, "%s cannot be written: %s; salts of unknown users change with each start",
		    path, strerror(errno));
}
