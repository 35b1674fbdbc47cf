/* Who gets which report. */
#include "bounce/bounce_private.h"
#include "bounce/bounce_services.h"
#include "bounce/notice.h"
#include "mail/address.h"
#include "mail/verp.h"

/* confirm_delay_cleared: who was warned hears of the delivery too. */
static bool told_of_delay(const struct report *r)
{
	return r->env->cfg->confirm_delay_cleared && r->e->warned_us != 0;
}

/* RFC 3461 section 4.1; without NOTIFY the sender hears of failures, and of delays if this host tells them.
 */
static bool wanted(const struct report *r, int notify)
{
	static const int bit[] = {[BOUNCE_FAILURE] = NOTIFY_FAILURE,
		[BOUNCE_DELAY] = NOTIFY_DELAY,
		[BOUNCE_SUCCESS] = NOTIFY_SUCCESS};

	if (r->kind == BOUNCE_STATUS)
		return (notify & NOTIFY_NEVER) == 0;
	if (r->kind == BOUNCE_SUCCESS && told_of_delay(r) && (notify == 0 || (notify & NOTIFY_DELAY)))
		return true;
	if (notify == 0)
		return r->kind != BOUNCE_SUCCESS;
	return (notify & bit[r->kind]) != 0 && (notify & NOTIFY_NEVER) == 0;
}

static size_t select_wanted(const struct report *all, uint32_t *chosen)
{
	size_t n = 0;

	for (size_t i = 0; i < all->count; i++)
		if (wanted(all, all->e->recipients[all->indexes[i]].notify))
			chosen[n++] = all->indexes[i];
	return n;
}

/* RFC 3461 section 4.3 and bounce_size_limit. */
static bool headers_only(const struct report *r)
{
	int limit = r->env->cfg->bounce_size_limit;

	if (r->kind != BOUNCE_FAILURE || r->e->ret == RET_HDRS)
		return true;
	return limit > 0 && r->e->content_size > (uint64_t)limit;
}

/* ---- to the sender */

static bool send_one(struct report *r, const char *to, struct queue_id *id, struct err *err)
{
	r->audience = AUDIENCE_SENDER;
	r->from = "";
	r->to = to;
	r->headers_only = headers_only(r);
	return bounce_write(r, id, err);
}

/* With VERP every recipient has a sender address of its own. */
static bool send_verp(struct report *r, const char *delimiters, struct queue_id *id, struct err *err)
{
	const uint32_t *indexes = r->indexes;
	size_t count = r->count;
	bool ok = true;

	r->count = 1;
	for (size_t i = 0; i < count && ok; i++) {
		const struct spool_recipient *rcpt = &r->e->recipients[indexes[i]];
		struct buf to = BUF(2 * ADDRESS_MAX);

		r->indexes = &indexes[i];
		verp_sender(str_c(r->e->sender), delimiters,
			str_c(rcpt->original ? rcpt->original : rcpt->address), &to);
		ok = send_one(r, buf_cstr(&to), id, err);
		buf_free(&to);
	}
	return ok;
}

static bool send_to_sender(struct report r, struct queue_id *id, struct err *err)
{
	const char *verp = envelope_attribute(r.e, "verp_delimiters");
	uint32_t *chosen = x_alloc((r.count + 1) * sizeof(*chosen));
	bool ok = true;

	r.count = select_wanted(&r, chosen);
	r.indexes = chosen;
	if (r.count > 0 && verp != NULL && r.kind == BOUNCE_FAILURE && !r.env->cfg->disable_verp_bounces)
		ok = send_verp(&r, verp, id, err);
	else if (r.count > 0)
		ok = send_one(&r, r.e->sender, id, err);
	x_free(&chosen);
	return ok;
}

/* ---- to the postmaster */

static bool send_to_postmaster(
	struct report r, const char *to, bool full, struct queue_id *id, struct err *err)
{
	r.audience = AUDIENCE_POSTMASTER;
	r.from = r.env->cfg->double_bounce_sender;
	r.to = to;
	r.headers_only = !full || headers_only(&r);
	return bounce_write(&r, id, err);
}

static bool send_copy(const struct report *r, struct queue_id *id, struct err *err)
{
	const struct config *cfg = r->env->cfg;

	if (r->kind == BOUNCE_FAILURE && notice_wants(cfg->notify_classes, "bounce"))
		return send_to_postmaster(*r, cfg->bounce_notice_recipient, false, id, err);
	if (r->kind == BOUNCE_DELAY && notice_wants(cfg->notify_classes, "delay"))
		return send_to_postmaster(*r, cfg->delay_notice_recipient, false, id, err);
	return true;
}

/* A report could not be delivered: its sender is nobody. */
static bool send_double(const struct report *r, struct queue_id *id, struct err *err)
{
	const struct config *cfg = r->env->cfg;

	if (r->kind != BOUNCE_FAILURE || !notice_wants(cfg->notify_classes, "2bounce"))
		return true;
	return send_to_postmaster(*r, cfg->_2bounce_notice_recipient, true, id, err);
}

/* Notices to the postmaster have this sender; their failure is the end of it. */
static bool from_double_bounce(const struct report *r)
{
	return str_case_is(address_local(str_c(r->e->sender)), r->env->cfg->double_bounce_sender);
}

bool bounce_send(const struct bounce_env *env, enum bounce_kind kind, enum spool_queue queue,
	const struct envelope *e, const uint32_t *indexes, size_t count, struct queue_id *report_id,
	struct err *err)
{
	struct bounce_env own = *env;
	struct report r = {
		.env = &own, .kind = kind, .queue = queue, .e = e, .indexes = indexes, .count = count};
	struct queue_id copy_id;

	if (env->services)
		bounce_services_apply(env->services, kind, &own);
	*report_id = (struct queue_id){""};
	r.utf8 = (e->flags & ENVELOPE_SMTPUTF8) != 0;
	if (count == 0 || from_double_bounce(&r))
		return true;
	if (*e->sender == '\0')
		return send_double(&r, report_id, err);
	return send_to_sender(r, report_id, err) && send_copy(&r, &copy_id, err);
}
