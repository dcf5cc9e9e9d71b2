/*
 * The end, in steps: first those who take mail in, then those who move it, at last those whom all others ask.
 */
#include <event2/event.h>
#include <signal.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "services/master/master.h"

enum { MARGIN_US = 3 * 1000 * 1000, LEAST_GRACE_US = 500 * 1000 };

static const unsigned steps[] = {
    ROLE_BIT(ROLE_SMTPD) | ROLE_BIT(ROLE_PICKUP),
    ROLE_BIT(ROLE_DELIVERY) | ROLE_BIT(ROLE_LOCAL) | ROLE_BIT(ROLE_QUEUE),
    ROLE_BIT(ROLE_RESOLVER) | ROLE_BIT(ROLE_LOOKUP) | ROLE_BIT(ROLE_POLICY) | ROLE_BIT(ROLE_KEYS) |
	ROLE_BIT(ROLE_AUTH),
    ROLE_BIT(ROLE_LOG),
};

enum { STEP_COUNT = sizeof(steps) / sizeof(*steps) };

static void
stop_children(struct master *m)
{
	int64_t grace_us = m->stop_deadline_us - clock_mono_us();
	struct msg_stop stop = {0};

	grace_us = grace_us > LEAST_GRACE_US ? grace_us : LEAST_GRACE_US;
	stop.grace_ms = (uint32_t)(grace_us / US_PER_MS);
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (!(steps[m->stop_step] & ROLE_BIT(c->role)) || c->state == CHILD_GONE)
			continue;
		if (c->pid == 0 && !c->reaped) {
			c->state = CHILD_GONE;
			continue;
		}
		c->state = CHILD_STOPPING;
		ipc_send(c->control, IPC_STOP, 0, &stop);
	}
}

static bool
step_is_done(const struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++) {
		const struct child *c = m->children[i];

		if ((steps[m->stop_step] & ROLE_BIT(c->role)) && (c->pid > 0 || c->reaped))
			return false;
	}
	return true;
}

/* What does not end in its grace and a margin is killed; each step has at least the margin. */
static void
arm(struct master *m)
{
	int64_t wait_us = m->stop_deadline_us - clock_mono_us();
	struct timeval wait;

	wait_us = (wait_us > LEAST_GRACE_US ? wait_us : LEAST_GRACE_US) + MARGIN_US;
	wait = (struct timeval){.tv_sec = wait_us / US_PER_SECOND, .tv_usec = wait_us % US_PER_SECOND};
	event_add(m->stop_timer, &wait);
}

static void
on_time_is_over(evutil_socket_t fd, short what, void *context)
{
	struct master *m = context;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (!(steps[m->stop_step] & ROLE_BIT(c->role)) || c->pid == 0)
			continue;
		log_warning(
		    NULL, "%s[%d] did not stop in time: it is killed", role_name(c->role), (int)c->pid);
		kill(c->pid, SIGKILL);
	}
}

void
stop_begin(struct master *m)
{
	if (m->phase == MASTER_STOPPING)
		return;
	m->phase = MASTER_STOPPING;
	m->stop_step = 0;
	m->stop_deadline_us = clock_mono_us() + m->conf->values->shutdown_grace;
	m->stop_timer = event_new(m->base, -1, 0, on_time_is_over, m);
	sockets_close(m);
	stop_children(m);
	arm(m);
	stop_check(m);
}

void
stop_check(struct master *m)
{
	while (m->stop_step < STEP_COUNT && step_is_done(m)) {
		if (++m->stop_step == STEP_COUNT)
			break;
		stop_children(m);
		arm(m);
	}
	m->done = m->stop_step == STEP_COUNT;
	if (m->done)
		event_base_loopbreak(m->base);
}
