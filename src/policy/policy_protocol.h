/*
 * What is said between us and a policy server (SMTPD_POLICY_README): the request is lines "name=value", the
 * answer is such lines too, of which "action" counts; an empty line ends each.
 */
#ifndef POLICY_POLICY_PROTOCOL_H
#define POLICY_POLICY_PROTOCOL_H

#include "base/buf.h"
#include "base/err.h"

#define POLICY_LINE_MAX 65536	/* bytes of one line of an answer */
#define POLICY_ANSWER_LINES 100 /* lines of one answer */
#define POLICY_REQUEST_MAX 65536

/* Adds an attribute to a request; NULL is the empty value. What a value may not hold becomes '?'. */
void policy_attribute(struct buf *request, const char *name, const char *value);

enum policy_step { POLICY_MORE, POLICY_DONE, POLICY_MALFORMED };

struct policy_answer {
	struct buf action; /* set once has_action */
	bool has_action;
	int lines;
};

/* Takes the next line of an answer, without its end. MALFORMED: err says why, and nothing more can be read.
 */
enum policy_step policy_answer_line(struct policy_answer *a, struct str line, struct err *err);

#endif
