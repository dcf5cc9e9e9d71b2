#include "queue/log/commit_group.h"

enum {
	WORTH_US = 1000, /* flushes that are faster are not worth a thought */
	AT_ONCE_US = 100, /* who is there then had waited for the flush to end */
	PENALTY_MAX = 63,
	WEIGHT = 8
};

void
commit_group_flushed(struct commit_group *g, unsigned messages, int64_t begun_us, int64_t now_us)
{
	int64_t took = now_us - begun_us;

	g->flush_us += g->ended_us == 0 ? took : (took - g->flush_us) / WEIGHT;
	g->ended_us = now_us;
	g->answered = messages;
	g->open = false;
}

/* Waiting is over with so many: was it worth it? */
static void
judge(struct commit_group *g, unsigned messages)
{
	if (messages >= g->expected - g->expected / 4) {
		g->penalty = 0;
		return;
	}
	g->penalty = g->penalty * 2 + 1 < PENALTY_MAX ? g->penalty * 2 + 1 : PENALTY_MAX;
	g->rests = g->penalty;
}

int64_t
commit_group_wait(struct commit_group *g, unsigned messages, int64_t now_us)
{
	int64_t since = now_us - g->ended_us;
	bool first = !g->open;

	if (messages == 0 || g->flush_us < WORTH_US)
		return 0;
	if (first) {
		g->open = true;
		g->expected = since < AT_ONCE_US ? g->answered + messages : g->answered;
		if (g->rests > 0) {
			g->rests--;
			g->expected = 0;
		}
	}
	if (messages < g->expected && since < g->flush_us)
		return g->flush_us - since;
	if (g->expected > 1 && !(first && since >= g->flush_us))
		judge(g, messages);
	return 0;
}
