#include "queue/mailbox.h"

#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

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
	pthread_condattr_t attr;

	m->list.head = m->list.tail = NULL;
	m->sleeping = for_loop;
	m->event_fd = -1;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (for_loop && (m->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
		return error_errno(err, "eventfd");
	return 0;
}

void
mailbox_fini(struct mailbox *m)
{
	io_close(&m->event_fd);
	pthread_cond_destroy(&m->wake);
	pthread_mutex_destroy(&m->lock);
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
		pthread_cond_signal(&m->wake);
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

struct work_list
mailbox_wait(struct mailbox *m, int timeout_ms)
{
	struct work_list all;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&m->lock);
	while (!m->list.head) {
		m->sleeping = true;
		if (timeout_ms < 0)
			pthread_cond_wait(&m->wake, &m->lock);
		else if (pthread_cond_timedwait(&m->wake, &m->lock, &until) != 0)
			break;
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
