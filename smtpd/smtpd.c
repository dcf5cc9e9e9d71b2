#include "smtpd/smtpd.h"

#include "common/base/log.h"
#include "smtpd/auth_dovecot.h"
#include "smtpd/reply.h"
#include "smtpd/resolution.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

/* Of session_max: from here on the host is under stress, as Postfix calls it. */
enum { STRESS_PERCENT = 80 };

void
smtpd_init(struct smtpd *d, struct event_base *base, uint8_t index)
{
	*d = (struct smtpd){.base = base, .ids = {.giver = index}, .session_max = 1000};
	TAILQ_INIT(&d->sessions);
	TAILQ_INIT(&d->ended);
	TAILQ_INIT(&d->stalled);
	resolution_forget_all(d);
}

void
smtpd_reap(struct smtpd *d)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&d->ended))) {
		TAILQ_REMOVE(&d->ended, s, link);
		session_free(s);
	}
}

void
smtpd_fini(struct smtpd *d)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&d->sessions)))
		session_end(s, "lost connection");
	smtpd_reap(d);
	table_free(&d->resolutions);
	table_free(&d->names);
	table_free(&d->scram_tables);
	dovecot_close_all(d);
}

bool
smtpd_stressed(const struct smtpd *d)
{
	return d->session_count * 100 >= d->session_max * STRESS_PERCENT;
}

void
smtpd_queue_progress(struct smtpd *d)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&d->stalled); s; s = next) {
		next = TAILQ_NEXT(s, stalled_link);
		if (submission_room(s) > 0)
			session_unstall(s);
	}
}

int
smtpd_on_id_floor(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct smtpd *d = context;

	(void)c;
	(void)err;
	queue_id_raise_floor(&d->ids, f->id_floor.id);
	d->has_floor = true;
	return 0;
}

int
smtpd_on_queue_full(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct smtpd *d = context;

	(void)c;
	(void)err;
	if (f->queue_full.full && !d->queue_full)
		log_warning(
		    NULL, "not enough free space in mail queue: %.*s", SPAN_ARG(f->queue_full.reason));
	d->queue_full = f->queue_full.full != 0;
	return 0;
}

int
smtpd_on_lookup_changed(struct ipc_channel *c, const struct ipc_frame *f, void *context, struct error *err)
{
	struct smtpd *d = context;

	(void)c;
	(void)err;
	d->generation = f->lookup_changed.generation;
	resolution_forget_all(d);
	return 0;
}
