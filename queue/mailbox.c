#include "queue/mailbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/io.h"
#include "common/base/mem.h"

void
work_append(struct work_list *list, struct work *w)
{
	w->next = NULL;
	if (list->tail)
		list->tail->next = w;
	else
		list->head = w;
	list->tail = w;
}

struct work *
work_take(struct work_list *list)
{
	struct work *w = list->head;

	if (!w)
		return NULL;
	list->head = w->next;
	if (!list->head)
		list->tail = NULL;
	w->next = NULL;
	return w;
}

void
work_append_list(struct work_list *list, struct work_list *from)
{
	if (!from->head)
		return;
	if (list->tail)
		list->tail->next = from->head;
	else
		list->head = from->head;
	list->tail = from->tail;
	from->head = from->tail = NULL;
}

int
mailbox_init(struct mailbox *m, bool for_loop, struct error *err)
{
	m->list.head = m->list.tail = NULL;
	m->sleeping = for_loop;
	m->event_fd = -1;
	pthread_mutex_init(&m->lock, NULL);
	sem_init(&m->wake, 0, 0);
	if (for_loop && (m->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		return error_errno(err, "eventfd");
	return 0;
}

void
mailbox_put_list(struct mailbox *m, struct work_list *list)
{
	bool wake;

	if (!list->head)
		return;
	pthread_mutex_lock(&m->lock);
	work_append_list(&m->list, list);
	wake = m->sleeping;
	m->sleeping = false;
	pthread_mutex_unlock(&m->lock);
	if (!wake)
		return;
	if (m->event_fd < 0) {
		sem_post(&m->wake);
	} else {
		uint64_t one = 1;

		/* It can only fail when the counter is full, and then the loop is awake. */
		(void)!write(m->event_fd, &one, sizeof(one));
	}
}

void
mailbox_put(struct mailbox *m, struct work *w)
{
	struct work_list list = {NULL, NULL};

	work_append(&list, w);
	mailbox_put_list(m, &list);
}

/* Sleeps until it is woken, which happens once for each time that 'sleeping' was seen. False after the time is over. */
static bool
sleep_until(struct mailbox *m, const struct timespec *until)
{
	int result;

	do
		result = until ? sem_clockwait(&m->wake, CLOCK_MONOTONIC, until) : sem_wait(&m->wake);
	while (result < 0 && errno == EINTR);
	return result == 0;
}

struct work_list
mailbox_wait(struct mailbox *m, int64_t timeout_us)
{
	struct work_list all;
	struct timespec until;
	bool woken = false;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_us / US_PER_SECOND;
	until.tv_nsec += (long)(timeout_us % US_PER_SECOND) * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&m->lock);
	if (!m->list.head) {
		m->sleeping = true;
		pthread_mutex_unlock(&m->lock);
		woken = sleep_until(m, timeout_us < 0 ? NULL : &until);
		pthread_mutex_lock(&m->lock);
		/* Woken just when the time was over: that wake-up must not be left for the next sleep. */
		if (!woken && !m->sleeping)
			(void)sleep_until(m, NULL);
	}
	m->sleeping = false;
	all = m->list;
	m->list.head = m->list.tail = NULL;
	pthread_mutex_unlock(&m->lock);
	return all;
}

struct work_list
mailbox_take_all(struct mailbox *m)
{
	struct work_list all;
	uint64_t count;

	(void)!read(m->event_fd, &count, sizeof(count));
	pthread_mutex_lock(&m->lock);
	m->sleeping = true;
	all = m->list;
	m->list.head = m->list.tail = NULL;
	pthread_mutex_unlock(&m->lock);
	return all;
}
