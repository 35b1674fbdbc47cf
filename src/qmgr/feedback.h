/*
 * How many deliveries a destination gets at once. The window starts at initial_destination_concurrency; every
 * good delivery widens it by the positive feedback, every one that could not reach the destination narrows it
 * by the negative feedback, and after failed_cohort_limit whole windows of failures without a success the
 * destination is dead. Amounts may depend on the present window ("1/concurrency", "0.5/sqrt_concurrency"), so
 * that a wide window moves in smaller steps.
 */
#ifndef QMGR_FEEDBACK_H
#define QMGR_FEEDBACK_H

#include "base/err.h"
#include "base/str.h"

struct feedback {
	double amount;
	enum { FEEDBACK_CONSTANT, FEEDBACK_CONCURRENCY, FEEDBACK_SQRT } divisor;
};

struct feedback_settings {
	int initial;	     /* >= 1 */
	int limit;	     /* 0: no limit */
	double cohort_limit; /* 0: never dead */
	struct feedback positive, negative;
};

struct window {
	int size;	/* >= 1 */
	double credit;	/* collected feedback, a step is made at +1 or below 0 */
	double cohorts; /* failures since the last success, in windows */
};

/* "1", "0.25", "1/concurrency", "1/sqrt_concurrency"; false: syntax, or not in 0..1. */
bool feedback_parse(struct str text, struct feedback *out, struct err *err);
void window_init(struct window *w, const struct feedback_settings *s);
bool window_open(const struct window *w, const struct feedback_settings *s, int busy);
/* busy: deliveries in progress, the one that ended not counted. */
void window_success(struct window *w, const struct feedback_settings *s, int busy);
bool window_failure(struct window *w, const struct feedback_settings *s); /* true: dead now */

#endif
