/*
 * job_state: what a worker is doing for a job at this moment. Only explain asks, and whoever wonders after half an hour whether the
 * worker still has the job, so nothing of it costs mail anything.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "queue/control/control.h"
#include "queue/scheduler/job.h"

void
job_ask_state(const struct recipient *r)
{
	struct job *job = r->job;
	struct ipc_channel *peer = job ? server_peer(job->q->server, job->role, job->worker) : NULL;

	if (!peer || job->call == 0)
		return;
	if (!job->state)
		job->state = mem_alloc(sizeof(*job->state));
	else if (!job->state->told)
		return; /* asked for another of its recipients, and the answer is to come */
	*job->state = (struct job_state){0};
	ipc_send(peer, IPC_JOB_WHERE, job->call, &(struct msg_job_where){0});
}

static void
look_for_slow(struct queue *q, int64_t before)
{
	struct job *job;

	TAILQ_FOREACH (job, &q->scheduler->under_way, link) {
		const struct transport *t = job->hop->transport;

		if (!t->is_of_mailboxes || t->rules.most == 1 || job->slow || job->begun_us > before ||
		    job->hop->slow >= JOBS_SLOW_MAX)
			continue;
		job->slow = true;
		job->hop->slow++;
		hop_touch(q, job->hop);
	}
}

void
jobs_look(struct queue *q)
{
	struct job_list *all = &q->scheduler->under_way;
	int64_t now = clock_mono_us(), before = now - JOB_SILENT_S / 4 * US_PER_SECOND;
	struct job *job;

	look_for_slow(q, now - JOB_SLOW_S * US_PER_SECOND);
	while ((job = TAILQ_FIRST(all)) && job->asked_us <= before) {
		TAILQ_REMOVE(all, job, link);
		TAILQ_INSERT_TAIL(all, job, link);
		job->asked_us = now;
		if (job->call != 0)
			ipc_send(server_peer(q->server, job->role, job->worker), IPC_JOB_WHERE, job->call,
			    &(struct msg_job_where){0});
	}
}

void
job_take_state(struct job *job, const struct msg_job_state *said)
{
	struct job_state *s = job->state;

	if (!s)
		return;
	s->told = true;
	s->since_us = said->since_us;
	s->until_us = said->until_us;
	span_copy(said->relay, s->relay, sizeof(s->relay));
	span_copy(said->doing, s->doing, sizeof(s->doing));
	control_explain_told(job->q, job->message->id);
}

void
job_state_free(struct job *job)
{
	if (!job->state)
		return;
	free(job->state);
	job->state = NULL;
	control_explain_told(job->q, job->message->id);
}

bool
jobs_owe_state(const struct message *m)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct job *job = m->recipients[i]->job;

		if (job && job->state && !job->state->told)
			return true;
	}
	return false;
}
