#include "queue/scheduler/kept.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/octets.h"
#include "common/mail/remembered.h"
#include "queue/scheduler/hop.h"

/* WORKERS: what delivery_workers allows. */
enum { WAIT_US = 2 * US_PER_SECOND, KEPT_MAX = 1 << 20, FIRST_CAP = 1024, WORKERS_MAX = 64 };

static void
add(struct kept *k, uint64_t hash, uint32_t worker)
{
	if (k->count == KEPT_MAX)
		return;
	if (k->count == k->cap) {
		k->cap = k->cap ? 2 * k->cap : FIRST_CAP;
		k->attempts = mem_resize(k->attempts, k->cap * sizeof(*k->attempts));
	}
	k->attempts[k->count++] = (struct kept_attempt){.hash = hash, .worker = worker};
	k->sorted = false;
}

int
kept_told(struct ipc_channel *channel, const struct ipc_frame *frame, void *context, struct error *err)
{
	struct queue *q = queue_of(context);
	struct span hashes = frame->job_kept.hashes;
	uint32_t worker = ipc_peer_index(channel);

	if (worker >= WORKERS_MAX || hashes.len % 8 != 0)
		return error_set(err, "worker %u tells of %zu octets", worker, hashes.len);
	for (size_t at = 0; at < hashes.len; at += 8)
		add(&q->scheduler->kept, octets_load(hashes.ptr + at, 8), worker);
	if (frame->job_kept.last) {
		q->scheduler->kept.told |= (uint64_t)1 << worker;
		scheduler_worker_up(q);
	}
	return 0;
}

/* Those that a reload replaced tell beside their successors, and are more than there should be. */
static bool
all_told(const struct queue *q)
{
	const struct kept *k = &q->scheduler->kept;

	if (__builtin_popcountll(k->told) < q->conf->delivery_workers)
		return false;
	for (uint32_t i = 0; i < WORKERS_MAX; i++)
		if ((k->told & ((uint64_t)1 << i)) == 0 && server_peer(q->server, ROLE_DELIVERY, i))
			return false;
	return true;
}

bool
kept_may_start(const struct queue *q, const struct message *m)
{
	return m->id > q->id_high_at_start || clock_mono_us() >= q->scheduler->kept.since_us + WAIT_US ||
	       all_told(q);
}

static int
compare(const void *a, const void *b)
{
	const struct kept_attempt *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

bool
kept_worker(struct queue *q, const struct message *m, const struct recipient *r, uint32_t *worker)
{
	struct kept *k = &q->scheduler->kept;
	struct remembered_key key = {
	    .id = m->id, .attempt = r->p.attempt + 1, .recipient = r->p.recipient, .orig_to = r->p.orig_to};
	struct kept_attempt wanted = {0}, *found;

	if (k->count == 0 || m->id > q->id_high_at_start)
		return false;
	if (!k->sorted)
		qsort(k->attempts, k->count, sizeof(*k->attempts), compare);
	k->sorted = true;
	wanted.hash = remembered_hash(&key);
	found = bsearch(&wanted, k->attempts, k->count, sizeof(*k->attempts), compare);
	if (found)
		*worker = found->worker;
	return found != NULL;
}
