/*
 * feedback: what one result of a delivery is worth for the number of parallel deliveries to its destination: the
 * values of default_destination_concurrency_positive_feedback and _negative_feedback.
 */
#ifndef POSTERN_CONF_FEEDBACK_H
#define POSTERN_CONF_FEEDBACK_H

#include "common/base/error.h"

/* base, base / concurrency, or base / sqrt(concurrency). */
enum feedback_kind { FEEDBACK_FIXED, FEEDBACK_BY_WINDOW, FEEDBACK_BY_ROOT };

struct feedback {
	enum feedback_kind kind;
	double base; /* from 0 to 1 */
};

/* "1", "1/5", "0.5", "1 / concurrency", "1/sqrt_concurrency". */
int feedback_parse(const char *text, struct feedback *f, struct error *err);

#endif
