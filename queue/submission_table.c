/*
 * Submissions by the connection and the conversation in which they come.
 */
#include "common/base/clock.h"
#include "queue/submission.h"

enum {
	SLOTS = 4096,
	PATIENCE_S = 5 /* while the log cannot be written */
};

static struct submission *slots[SLOTS];

static struct submission **
slot_of(const struct ipc_channel *channel, uint32_t call)
{
	return &slots[((uintptr_t)channel / 64 * 31 + call) % SLOTS];
}

struct submission *
submission_find(const struct ipc_channel *channel, uint32_t call)
{
	struct submission *s = *slot_of(channel, call);

	while (s && (s->channel != channel || s->call != call))
		s = s->next;
	return s;
}

void
submission_attach(struct submission *s)
{
	struct submission **slot = slot_of(s->channel, s->call);

	s->next = *slot;
	*slot = s;
}

void
submission_detach(struct submission *s)
{
	struct submission **slot = slot_of(s->channel, s->call);

	while (*slot && *slot != s)
		slot = &(*slot)->next;
	if (*slot)
		*slot = s->next;
	s->next = NULL;
}

static void
give_up(struct submission *s)
{
	submission_answer(s, SUBMIT_NO_SPACE, "4.3.1 Insufficient system storage");
	if (!s->closing) {
		submission_end(s);
		return;
	}
	submission_detach(s);
	s->channel = NULL;
	s->given_up = true;
}

void
submission_give_up(struct queue *q)
{
	int64_t before = clock_mono_us() - PATIENCE_S * US_PER_SECOND;
	bool log_waits = trouble_is(q, TROUBLE_LOG) || trouble_is(q, TROUBLE_SPACE);

	for (size_t i = 0; i < SLOTS; i++) {
		struct submission *s, *next;

		for (s = slots[i]; s; s = next) {
			next = s->next;
			if (s->message ? log_waits && s->commit_us <= before : q->files_hang && s->spilled)
				give_up(s);
		}
	}
}

void
submission_peer_down(struct queue *q, struct ipc_channel *peer)
{
	(void)q;
	for (size_t i = 0; i < SLOTS; i++) {
		struct submission *s, *next;

		for (s = slots[i]; s; s = next) {
			next = s->next;
			if (s->channel != peer)
				continue;
			submission_detach(s);
			s->channel = NULL;
			if (!s->closing)
				submission_end(s);
		}
	}
}
