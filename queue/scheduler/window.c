#include "queue/scheduler/window.h"

/* Of the window, and what sums of fractions may miss. */
#define STEP 1.0
#define ROUNDING 1e-9

/* Whole windows suffice: no library of mathematics for one square root. */
static double
root(unsigned n)
{
	double x = n > 1 ? n / 2.0 : 1.0;

	for (int i = 0; i < 20; i++)
		x = (x + n / x) / 2.0;
	return x;
}

static double
feedback_value(const struct feedback *f, unsigned window)
{
	switch (f->kind) {
	case FEEDBACK_BY_WINDOW:
		return f->base / window;
	case FEEDBACK_BY_ROOT:
		return f->base / root(window);
	default:
		return f->base;
	}
}

void
window_init(struct window *w, const struct window_rules *rules)
{
	*w = (struct window){.size = rules->initial > 0 ? rules->initial : 1};
	window_limit(w, rules);
}

void
window_limit(struct window *w, const struct window_rules *rules)
{
	if (rules->most > 0 && w->size > rules->most)
		w->size = rules->most;
}

bool
window_success(struct window *w, const struct window_rules *rules, unsigned active)
{
	double value;

	w->cohorts = 0;
	/* Back from the dead: what it can take is anyone's guess. */
	if (w->down) {
		window_init(w, rules);
		return true;
	}
	/* A window much wider than what is used would make negative feedback useless. */
	if ((rules->most > 0 && w->size >= rules->most) || w->size >= active + 1 + rules->initial)
		return false;
	value = feedback_value(&rules->positive, w->size);
	w->success += value;
	while (w->success + value / 2 >= STEP && value > 0) {
		w->size++;
		w->success -= STEP;
		w->failure = 0;
	}
	window_limit(w, rules);
	return false;
}

bool
window_failure(struct window *w, const struct window_rules *rules)
{
	double value;

	if (w->down)
		return false;
	w->cohorts += 1.0 / w->size;
	/* Three thirds are one, however they are rounded. */
	if (rules->cohorts > 0 && w->cohorts + ROUNDING >= rules->cohorts) {
		w->down = true;
		w->size = 1;
		return true;
	}
	/* It is felt at once, unlike success: first the step, then the rest of what it took. */
	value = feedback_value(&rules->negative, w->size);
	w->failure -= value;
	while (w->failure < -ROUNDING && value > 0) {
		w->size = w->size > 1 ? w->size - 1 : 1;
		w->success = 0;
		w->failure += STEP;
	}
	return false;
}
