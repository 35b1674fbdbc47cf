/* Comparisons in ${{left} op {right} ...}. */
#ifndef CONFIG_COMPARE_H
#define CONFIG_COMPARE_H

#include "base/err.h"
#include "base/str.h"

enum compare_sign { COMPARE_EQ, COMPARE_NE, COMPARE_LT, COMPARE_LE, COMPARE_GE, COMPARE_GT };

struct compare_op {
	enum compare_sign sign;
	bool level; /* compatibility levels */
};

/* Takes an operator off *s, with blanks around it. */
bool compare_take(struct str *s, struct compare_op *op, struct err *err);
/* Two numbers compare as numbers, everything else as text. */
bool compare(struct compare_op op, struct str left, struct str right, bool *result, struct err *err);
/* "3", "3.6" or "3.6.1" as a number that compares like the level; false when malformed. */
bool compare_parse_level(struct str text, int64_t *level);

#endif
