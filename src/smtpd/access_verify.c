/* reject_unverified_sender and _recipient: whether mail to the address would be taken, by what is known or a
 * probe finds out (ADDRESS_VERIFICATION_README). */
#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "smtpd/access.h"
#include "smtpd/session.h"

#define LOOK_AGAIN_MS 25

/* What the parameters say for senders, or recipients. */
struct verify_rules {
	const char *status;
	int reject_code, defer_code;
	const char *reason; /* takes the place of what was found out; "": none */
	const char *tempfail_action;
};

/* Puts the probe into the queue that verify_query() asked for. */
static bool send_probe(struct access *a, const char *address)
{
	const struct server *server = a->session->server;
	struct err err = {""};

	if (verify_probe(server->verify, server->cleanup, address, &err))
		return true;
	log_warning("%s", err.text);
	return false;
}

static bool ask_once(struct access *a, const char *address, int64_t begun_us, struct verify_answer *answer)
{
	struct err err = {""};

	if (!verify_query(a->session->server->verify, address, begun_us, a->pool, answer, &err)) {
		log_warning("%s", err.text);
		return false;
	}
	return !answer->probe || send_probe(a, address);
}

/* Waits for a first outcome as long as the parameters allow, and looks more often than they say. */
static bool ask(struct access *a, const char *address, struct verify_answer *answer)
{
	const struct config *cfg = a->session->cfg;
	int64_t begun_us = clock_real(), end = clock_mono() + (cfg->address_verify_poll_count - 1) *
								      cfg->address_verify_poll_delay *
								      NS_PER_SEC;

	for (;;) {
		if (!ask_once(a, address, begun_us, answer))
			return false;
		if (answer->status != VERIFY_UNKNOWN || clock_mono() >= end)
			return true;
		net_wait(-1, 0, clock_mono() + LOOK_AGAIN_MS * NS_PER_MS);
	}
}

/* A code of 2xx: the operator wants it taken all the same. */
static void refuse(struct access *a, const struct verify_rules *r, int code, bool defer, const char *text,
	struct answer *out)
{
	if (code / 100 == 2)
		return;
	answer_refuse(a, out, defer ? access_tempfail_verdict(r->tempfail_action) : VERDICT_REFUSE, code,
		r->status, "<%s>: %s rejected: %s address: %s", a->subject, a->subject_class,
		code / 100 == 5 ? "undeliverable" : "unverified", *r->reason ? r->reason : text);
}

static void check(struct access *a, const char *address, const struct verify_rules *r, struct answer *out)
{
	struct verify_answer answer;

	if (!ask(a, address, &answer))
		refuse(a, r, r->defer_code, true, "Address verification status unavailable", out);
	else if (answer.status == VERIFY_UNKNOWN)
		refuse(a, r, r->defer_code, true, "Address verification in progress", out);
	else if (answer.status == VERIFY_DEFERRED)
		refuse(a, r, r->defer_code, true, answer.text, out);
	else if (answer.status == VERIFY_UNDELIVERABLE)
		refuse(a, r, r->reject_code, false, answer.text, out);
}

static void check_rewritten(
	struct access *a, const char *address, const struct verify_rules *r, struct answer *out)
{
	struct buf canonical = BUF(2 * ADDRESS_MAX);

	rewrite_address(a->session->server->resolver, true, str_c(address), &canonical);
	check(a, buf_cstr(&canonical), r, out);
	buf_free(&canonical);
}

/* Bounces come from nowhere, and that is as it should be. */
void check_unverified_sender(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct config *cfg = a->session->cfg;
	const struct verify_rules rules = {.status = "4.1.7",
		.reject_code = cfg->unverified_sender_reject_code,
		.defer_code = cfg->unverified_sender_defer_code,
		.reason = cfg->unverified_sender_reject_reason,
		.tempfail_action = cfg->unverified_sender_tempfail_action};
	const char *subject = a->subject, *subject_class = a->subject_class;

	if (!a->sender || !*a->sender)
		return;
	a->subject = a->sender;
	a->subject_class = "Sender address";
	check_rewritten(a, a->sender, &rules, out);
	a->subject = subject;
	a->subject_class = subject_class;
}

void check_unverified_recipient(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct config *cfg = a->session->cfg;
	const struct verify_rules rules = {.status = "4.1.1",
		.reject_code = cfg->unverified_recipient_reject_code,
		.defer_code = cfg->unverified_recipient_defer_code,
		.reason = cfg->unverified_recipient_reject_reason,
		.tempfail_action = cfg->unverified_recipient_tempfail_action};
	const char *subject = a->subject, *subject_class = a->subject_class;

	if (!a->recipient)
		return;
	a->subject = a->recipient;
	a->subject_class = "Recipient address";
	check_rewritten(a, a->recipient, &rules, out);
	a->subject = subject;
	a->subject_class = subject_class;
}
