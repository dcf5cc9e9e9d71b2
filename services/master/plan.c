/*
 * Which processes there are.
 */
#include "common/base/log.h"
#include "common/conf/back_end.h"
#include "services/keys/sources.h"
#include "services/master/master.h"

enum { PLAN_ROWS = 11 };

struct plan {
	enum role role;
	int64_t count;
};

static const unsigned with_queue_alone = ROLE_BIT(ROLE_LOG) | ROLE_BIT(ROLE_QUEUE);

static void
plan_make(const struct master *m, struct plan plan[PLAN_ROWS])
{
	/* In the order of their start: those that others write to first. */
	const struct plan rows[PLAN_ROWS] = {
	    {ROLE_LOG, 1},
	    {ROLE_RESOLVER, 1},
	    {ROLE_LOOKUP, 1},
	    {ROLE_POLICY, 1},
	    {ROLE_KEYS, key_sources_any(m->conf) ? 1 : 0},
	    {ROLE_AUTH, conf_authenticates_by(m->conf, CONF_SMTPD_SASL_TYPE_PAM) ? 1 : 0},
	    {ROLE_QUEUE, 1},
	    {ROLE_PICKUP, 1},
	    {ROLE_LOCAL, 1},
	    {ROLE_DELIVERY, m->conf->values->delivery_workers},
	    {ROLE_SMTPD, m->conf->values->smtpd_workers},
	};

	for (size_t i = 0; i < PLAN_ROWS; i++)
		plan[i] = (struct plan){rows[i].role,
		    m->alone && !(with_queue_alone & ROLE_BIT(rows[i].role)) ? 0 : rows[i].count};
}

static bool
is_there(const struct master *m, enum role role)
{
	for (size_t i = 0; i < m->child_count; i++) {
		if (m->children[i]->role == role)
			return true;
	}
	return false;
}

/* One process each, which a reload may start or end; the numbers of workers stay what they are. */
static bool
comes_and_goes(enum role role)
{
	return role == ROLE_KEYS || role == ROLE_AUTH;
}

bool
plan_wants(const struct master *m, enum role role)
{
	struct plan plan[PLAN_ROWS];
	bool wanted = false;

	plan_make(m, plan);
	for (size_t i = 0; i < PLAN_ROWS; i++)
		wanted = wanted || (plan[i].role == role && plan[i].count > 0);
	return wanted;
}

void
plan_children(struct master *m)
{
	struct plan plan[PLAN_ROWS];

	plan_make(m, plan);
	for (size_t i = 0; i < PLAN_ROWS; i++) {
		enum role role = plan[i].role;

		for (uint32_t index = 0; index < (uint32_t)plan[i].count; index++) {
			if (m->phase == MASTER_STARTING || (comes_and_goes(role) && !is_there(m, role)))
				child_new(m, role, index);
		}
	}
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = m->children[i];

		if (comes_and_goes(c->role) && !c->dismissed && !plan_wants(m, c->role)) {
			log_info(NULL, "%s is not needed any more", role_name(c->role));
			child_dismiss(c);
		}
	}
}
