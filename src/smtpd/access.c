/* Evaluation: lists, stages, deferrals that wait for the outcome, the trace, and the log of what was refused.
 */
#include "smtpd/access.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/event.h"
#include "smtpd/dialogue.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define CLASS_DEPTH_MAX 100 /* restriction classes and table results within each other */

void answer_refuse(struct access *a, struct answer *out, enum verdict verdict, int code, const char *status,
	const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = pool_vprintf(a->pool, fmt, ap);
	va_end(ap);
	out->verdict = verdict;
	out->refusal = (struct refusal){.code = code, .text = text};
	snprintf(out->refusal.status, sizeof(out->refusal.status), "%s", status);
	/* The first digit follows the code, which is the operator's. */
	if (out->refusal.status[0])
		out->refusal.status[0] = code >= 500 ? '5' : '4';
}

enum verdict access_tempfail_verdict(const char *action)
{
	return strcmp(action, "defer") == 0 ? VERDICT_REFUSE : VERDICT_DEFER_IF_PERMIT;
}

void access_log(struct access *a, const char *action, const char *text)
{
	struct session *s = a->session;

	EVENT_LOG(REJECT, ev_text("qid", session_queue_id(s)), ev_text("action", action),
		ev_text("where", a->where), ev_text("client", s->client.text), ev_text("reply", text),
		ev_address("from", a->sender), ev_address("to", a->recipient), ev_text("proto", s->protocol),
		ev_text("helo", s->helo));
}

static void trace_add(
	struct access *a, const char *list, const struct rule *rule, const struct answer *answer)
{
	if (a->trace_count == a->trace_cap) {
		size_t cap = a->trace_cap ? a->trace_cap * 2 : 16;
		struct trace_step *trace = pool_alloc(a->pool, cap * sizeof(*trace));

		if (a->trace_count > 0)
			memcpy(trace, a->trace, a->trace_count * sizeof(*trace));
		a->trace = trace;
		a->trace_cap = cap;
	}
	a->trace[a->trace_count++] = (struct trace_step){.list = list,
		.rule = rule->name,
		.argument = rule->argument,
		.verdict = answer->verdict,
		.reason = answer->refusal.text};
	dialogue_step(a->session, &a->trace[a->trace_count - 1]);
}

static void misconfigured(struct access *a, const struct rule *rule, struct answer *out)
{
	log_warning("%s", rule->error);
	answer_refuse(a, out, VERDICT_REFUSE, 451, "4.3.5", "Server configuration error");
	out->refusal.classes = NOTICE_SOFTWARE;
}

static void run_class(struct access *a, const struct rule_list *list, struct answer *out)
{
	if (a->depth >= CLASS_DEPTH_MAX) {
		log_warning("restriction classes are nested too deep at %s", list->parameter);
		answer_refuse(a, out, VERDICT_REFUSE, 451, "4.3.5", "Server configuration error");
		return;
	}
	a->depth++;
	out->verdict = access_list(a, list);
	if (out->verdict == VERDICT_REFUSE)
		out->refusal = a->refusal;
	a->depth--;
}

static void run_rule(struct access *a, const struct rule *rule, struct answer *out)
{
	if (rule->error)
		misconfigured(a, rule, out);
	else if (rule->class_list)
		run_class(a, rule->class_list, out);
	else
		rule->row->check(rule, a, out);
}

static void remember(struct deferral *d, const struct refusal *refusal)
{
	if (!d->active)
		*d = (struct deferral){.active = true, .refusal = *refusal};
}

static void note_refusal(struct access *a, const struct refusal *r)
{
	notify_note(a->session, r->classes ? r->classes : NOTICE_POLICY);
}

/* Takes one answer in: true when it ends the list. */
static bool take_answer(struct access *a, const struct answer *answer)
{
	if (answer->verdict == VERDICT_DUNNO)
		return false;
	if (answer->verdict == VERDICT_PERMIT)
		return true;
	/* What nobody understands refuses, warn_if_reject or not. */
	if (a->warn && answer->refusal.classes != NOTICE_SOFTWARE) {
		note_refusal(a, &answer->refusal);
		access_log(a, "reject_warning", refusal_text(a->session, &answer->refusal));
		return false;
	}
	if (answer->verdict == VERDICT_DEFER_IF_PERMIT)
		remember(&a->if_permit, &answer->refusal);
	else if (answer->verdict == VERDICT_DEFER_IF_REJECT)
		remember(&a->if_reject, &answer->refusal);
	else
		a->refusal = answer->refusal;
	return answer->verdict == VERDICT_REFUSE;
}

enum verdict access_list(struct access *a, const struct rule_list *list)
{
	bool outer_warn = a->warn;
	enum verdict result = VERDICT_DUNNO;

	/* What is thrown away needs no further decisions. */
	if (a->effects.discard)
		return result;
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];
		struct answer answer = {.verdict = VERDICT_DUNNO};
		bool ends;

		if (!rule->error && rule->row && !rule->row->check) {
			a->warn = true;
			continue;
		}
		run_rule(a, rule, &answer);
		trace_add(a, list->parameter, rule, &answer);
		if (answer.verdict == VERDICT_PERMIT && !rule->error && rule->row)
			access_log_permitted(a, rule);
		ends = take_answer(a, &answer);
		a->warn = outer_warn;
		if (ends) {
			result = answer.verdict;
			break;
		}
	}
	return result;
}

static void access_begin(struct access *a, struct session *s, enum access_stage stage, const char *where)
{
	*a = (struct access){.session = s,
		.stage = stage,
		.stage_of_command = stage,
		.where = where,
		.pool = session_scratch(s)};
	if (s->tx)
		a->sender = s->tx->sender;
}

const char *access_stage_class(enum access_stage stage)
{
	static const char *const classes[STAGE_COUNT] = {[STAGE_CLIENT] = "Client host",
		[STAGE_HELO] = "Helo command",
		[STAGE_MAIL] = "Sender address",
		[STAGE_RCPT] = "Recipient address",
		[STAGE_DATA] = "Data command",
		[STAGE_END_OF_DATA] = "End-of-data",
		[STAGE_ETRN] = "Etrn command"};

	return classes[stage];
}

static void access_subject(struct access *a, enum access_stage stage, const char *name)
{
	a->stage = stage;
	a->subject = name;
	a->subject_class = access_stage_class(stage);
}

static enum verdict access_stage_list(struct access *a, enum access_stage stage, const char *name)
{
	const struct rule_list *list = &a->session->server->restrictions[stage];

	if (list->count == 0)
		return VERDICT_DUNNO;
	access_subject(a, stage, name);
	return access_list(a, list);
}

/* A permanent refusal gives way to a deferral that asked for it. */
static void access_settle(struct access *a, struct refusal *out)
{
	*out = a->refusal.code >= 500 && a->if_reject.active ? a->if_reject.refusal : a->refusal;
}

static bool access_refused(struct access *a, struct refusal *out)
{
	access_settle(a, out);
	note_refusal(a, out);
	access_log(a, "reject", refusal_text(a->session, out));
	return false;
}

static bool access_deferred(struct access *a, const struct deferral *d, struct refusal *out)
{
	*out = d->refusal;
	note_refusal(a, out);
	access_log(a, "reject", refusal_text(a->session, out));
	return false;
}

/* Keeps a deferral for a later stage; its strings move to a pool that lives long enough. */
static void keep_deferral(struct pool *pool, struct deferral *to, const struct deferral *from)
{
	if (to->active || !from->active)
		return;
	*to = *from;
	to->refusal.text = pool_strdup(pool, from->refusal.text);
}

static const char *client_subject(const struct session *s)
{
	return s->client.text;
}

bool access_client(struct session *s, const char *where, struct refusal *refusal)
{
	struct access a;

	if (s->cfg->smtpd_delay_reject || s->server->standalone)
		return true;
	access_begin(&a, s, STAGE_CLIENT, where);
	if (access_stage_list(&a, STAGE_CLIENT, client_subject(s)) == VERDICT_REFUSE)
		return access_refused(&a, refusal);
	keep_deferral(s->pool, &s->if_permit, &a.if_permit);
	effects_merge(s->pool, &s->effects, &a.effects);
	return true;
}

bool access_helo(struct session *s, const char *verb, const char *name, struct refusal *refusal)
{
	struct access a;

	if (s->cfg->smtpd_delay_reject || s->server->standalone)
		return true;
	access_begin(&a, s, STAGE_HELO, verb);
	if (access_stage_list(&a, STAGE_HELO, name) == VERDICT_REFUSE)
		return access_refused(&a, refusal);
	keep_deferral(s->pool, &s->if_permit, &a.if_permit);
	effects_merge(s->pool, &s->effects, &a.effects);
	return true;
}

static const char *sender_subject(const struct session *s, const char *sender)
{
	return *sender ? sender : "<>";
}

static bool check_sender_listed(struct access *a)
{
	struct answer answer = {.verdict = VERDICT_DUNNO};

	if (!a->session->cfg->smtpd_reject_unlisted_sender || a->sender_checked || a->effects.discard)
		return true;
	access_subject(a, STAGE_MAIL, sender_subject(a->session, a->sender));
	check_unlisted_sender(NULL, a, &answer);
	return !take_answer(a, &answer);
}

bool access_mail(struct session *s, const char *sender, struct refusal *refusal)
{
	struct access a;

	if (s->cfg->smtpd_delay_reject || s->server->standalone)
		return true;
	access_begin(&a, s, STAGE_MAIL, "MAIL");
	a.sender = sender;
	if (access_stage_list(&a, STAGE_MAIL, sender_subject(s, sender)) == VERDICT_REFUSE ||
		!check_sender_listed(&a))
		return access_refused(&a, refusal);
	keep_deferral(s->tx->pool, &s->tx->if_permit, &a.if_permit);
	effects_merge(s->tx->pool, &s->tx->effects, &a.effects);
	return true;
}

/* The lists that smtpd_delay_reject puts off until more is known. */
static enum verdict access_delayed(struct access *a)
{
	struct session *s = a->session;

	if (!s->cfg->smtpd_delay_reject)
		return VERDICT_DUNNO;
	if (access_stage_list(a, STAGE_CLIENT, client_subject(s)) == VERDICT_REFUSE)
		return VERDICT_REFUSE;
	if (s->helo && access_stage_list(a, STAGE_HELO, s->helo) == VERDICT_REFUSE)
		return VERDICT_REFUSE;
	if (a->stage == STAGE_ETRN || !a->sender)
		return VERDICT_DUNNO;
	if (access_stage_list(a, STAGE_MAIL, sender_subject(s, a->sender)) == VERDICT_REFUSE ||
		!check_sender_listed(a))
		return VERDICT_REFUSE;
	return VERDICT_DUNNO;
}

static enum verdict access_rcpt_lists(struct access *a)
{
	const struct rule_list *relay = &a->session->server->relay_restrictions;
	bool relay_first = a->session->cfg->smtpd_relay_before_recipient_restrictions;

	access_subject(a, STAGE_RCPT, a->recipient);
	if (relay_first && access_list(a, relay) == VERDICT_REFUSE)
		return VERDICT_REFUSE;
	if (access_stage_list(a, STAGE_RCPT, a->recipient) == VERDICT_REFUSE)
		return VERDICT_REFUSE;
	if (!relay_first && access_list(a, relay) == VERDICT_REFUSE)
		return VERDICT_REFUSE;
	return VERDICT_DUNNO;
}

static bool check_recipient_listed(struct access *a)
{
	struct answer answer = {.verdict = VERDICT_DUNNO};

	if (!a->session->cfg->smtpd_reject_unlisted_recipient || a->recipient_checked)
		return true;
	access_subject(a, STAGE_RCPT, a->recipient);
	check_unlisted_recipient(NULL, a, &answer);
	return !take_answer(a, &answer);
}

static const struct deferral *pending_deferral(struct access *a)
{
	struct session *s = a->session;

	if (s->if_permit.active)
		return &s->if_permit;
	if (s->tx && s->tx->if_permit.active)
		return &s->tx->if_permit;
	return a->if_permit.active ? &a->if_permit : NULL;
}

bool access_rcpt(struct session *s, const char *where, const char *recipient, struct refusal *refusal)
{
	const struct deferral *deferral;
	struct access a;

	if (s->server->standalone || (s->tx && s->tx->effects.discard))
		return true;
	/* RFC 5321 section 4.5.1: nothing may refuse mail for <postmaster>. */
	if (ascii_casecmp(recipient, "postmaster") == 0)
		return true;
	/* Who probes our sender address must not be probed in turn. */
	if (verify_is_sender(s->cfg, recipient, clock_real()))
		return true;
	access_begin(&a, s, STAGE_RCPT, where);
	a.recipient = recipient;
	if (access_delayed(&a) == VERDICT_REFUSE ||
		(!a.effects.discard && access_rcpt_lists(&a) == VERDICT_REFUSE) ||
		(!a.effects.discard && !check_recipient_listed(&a)))
		return access_refused(&a, refusal);
	deferral = pending_deferral(&a);
	if (deferral && !a.effects.discard)
		return access_deferred(&a, deferral, refusal);
	if (s->tx)
		effects_merge(s->tx->pool, &s->tx->effects, &a.effects);
	return true;
}

static bool access_message(struct session *s, enum access_stage stage, const char *where, const char *subject,
	struct refusal *refusal)
{
	struct access a;

	if (s->server->standalone || s->tx->effects.discard)
		return true;
	access_begin(&a, s, stage, where);
	if (s->tx->recipients == 1)
		a.recipient = s->tx->recipient;
	if (access_stage_list(&a, stage, subject) == VERDICT_REFUSE)
		return access_refused(&a, refusal);
	if (a.if_permit.active)
		return access_deferred(&a, &a.if_permit, refusal);
	effects_merge(s->tx->pool, &s->tx->effects, &a.effects);
	return true;
}

bool access_data(struct session *s, const char *where, struct refusal *refusal)
{
	return access_message(s, STAGE_DATA, where, "DATA", refusal);
}

bool access_end_of_data(struct session *s, struct refusal *refusal)
{
	return access_message(s, STAGE_END_OF_DATA, AFTER_MESSAGE, AFTER_MESSAGE, refusal);
}

bool access_etrn(struct session *s, const char *domain, struct refusal *refusal)
{
	struct access a;

	if (s->server->standalone)
		return true;
	access_begin(&a, s, STAGE_ETRN, "ETRN");
	a.etrn_domain = domain;
	a.sender = NULL;
	if (access_delayed(&a) == VERDICT_REFUSE ||
		access_stage_list(&a, STAGE_ETRN, domain) == VERDICT_REFUSE)
		return access_refused(&a, refusal);
	if (a.if_permit.active)
		return access_deferred(&a, &a.if_permit, refusal);
	return true;
}

bool access_local_rewrite(struct session *s)
{
	struct access a;

	access_begin(&a, s, STAGE_CLIENT, "MAIL");
	a.silent = true;
	access_subject(&a, STAGE_CLIENT, client_subject(s));
	return access_list(&a, &s->server->local_rewrite_clients) == VERDICT_PERMIT;
}

const struct resolved *access_resolve(struct access *a, const char *address, struct answer *out)
{
	struct resolver *resolver = a->session->server->resolver;
	struct buf canonical = BUF(2 * ADDRESS_MAX);
	bool cached = a->recipient && address == a->recipient;
	struct resolved *resolved;
	enum table_status status;
	struct err err = {0};

	if (cached && a->resolved)
		return a->resolved;
	resolved = pool_alloc(a->pool, sizeof(*resolved));
	rewrite_address(resolver, true, str_c(address), &canonical);
	/* What is sent to the sender of a message has no sender itself. */
	status = resolve_address(resolver, address != a->sender && a->sender ? a->sender : "",
		buf_cstr(&canonical), a->pool, resolved, &err);
	buf_free(&canonical);
	if (status != TABLE_FOUND) {
		log_warning("%s: resolving <%s>: %s", session_queue_id(a->session), address, err.text);
		answer_refuse(
			a, out, VERDICT_REFUSE, 451, "4.3.0", "<%s>: Temporary lookup failure", address);
		out->refusal.classes = NOTICE_DATA;
		return NULL;
	}
	if (cached)
		a->resolved = resolved;
	return resolved;
}
