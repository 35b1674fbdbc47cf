#include "base/clock.h"
#include "base/sys.h"
#include "bounce/bounce_private.h"
#include "mail/event.h"
#include "mail/received.h"

static const char *subject(const struct report *r)
{
	const struct bounce_template *t = r->template;

	return r->audience == AUDIENCE_POSTMASTER && t->postmaster_subject ? t->postmaster_subject
									   : t->subject;
}

static void log_report(const struct report *r, const struct queue_id *id)
{
	static const char *const kinds[][2] = {
		[BOUNCE_FAILURE] = {"sender non-delivery notification",
			"postmaster non-delivery notification"},
		[BOUNCE_DELAY] = {"sender delay notification", "postmaster delay notification"},
		[BOUNCE_SUCCESS] = {"sender delivery status notification",
			"postmaster delivery status notification"},
		[BOUNCE_STATUS] = {"sender delivery status notification",
			"postmaster delivery status notification"},
	};

	EVENT_LOG(BOUNCE, ev_text("qid", report_message_id(r)), ev_text("kind", kinds[r->kind][r->audience]),
		ev_text("report_qid", id->text));
}

/* ---- the header */

static void received_field(struct report *r)
{
	struct buf out = BUF(4096);
	const struct received field = {
		.my_name = r->env->cfg->myhostname,
		.mail_name = r->env->cfg->mail_name,
		.queue_id = cleanup_id(r->out)->text,
		.uid = -1,
		.when_us = r->now_us,
	};

	received_format(&field, &out);
	cleanup_prepend(r->out, buf_slice(&out));
	buf_free(&out);
}

/* Only a plain, single id is quoted: it comes from the sender. */
static bool plain_message_id(const char *id)
{
	size_t n = strlen(id);

	if (n < 3 || n > 900 || id[0] != '<' || id[n - 1] != '>')
		return false;
	for (size_t i = 1; i + 1 < n; i++)
		if ((unsigned char)id[i] <= ' ' || (unsigned char)id[i] >= 0x7f || id[i] == '<' ||
			id[i] == '>')
			return false;
	return true;
}

static void thread_fields(struct report *r)
{
	const char *id = envelope_attribute(r->e, "message_id");

	if (!r->env->cfg->enable_threaded_bounces || id == NULL || !plain_message_id(id))
		return;
	bounce_line(r, "References: %s", id);
	bounce_line(r, "In-Reply-To: %s", id);
}

static void message_id_field(struct report *r)
{
	struct buf id = BUF(1024);

	message_id_make(cleanup_id(r->out)->text, r->env->cfg->myhostname, r->now_us, &id);
	bounce_line(r, "Message-Id: %s", buf_cstr(&id));
	buf_free(&id);
}

static bool is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

static bool has_8bit(const struct report *r)
{
	return r->utf8 || (r->e->flags & ENVELOPE_8BIT) != 0 || !is_ascii(r->template->text);
}

static void encoding_field(struct report *r)
{
	if (has_8bit(r))
		bounce_line(r, "Content-Transfer-Encoding: 8bit");
}

static void write_header(struct report *r)
{
	char date[64];

	bounce_line(r, "Date: %s", clock_rfc5322(r->now_us, date, sizeof(date)));
	bounce_line(r, "From: %s", bounce_template_from(r->env->cfg, r->template));
	bounce_line(r, "Subject: %s", subject(r));
	bounce_line(r, "To: %s", bounce_address(r, r->to));
	bounce_line(r, "Auto-Submitted: auto-replied");
	thread_fields(r);
	bounce_line(r, "MIME-Version: 1.0");
	bounce_line(r, "Content-Type: multipart/report; report-type=delivery-status;");
	cleanup_line(
		r->out, str_c(pool_printf(cleanup_pool(r->out), "\tboundary=\"%s\"", r->boundary)), false);
	encoding_field(r);
	message_id_field(r);
	bounce_line(r, "%s", "");
	bounce_line(r, "This is a MIME-encapsulated message.");
	bounce_line(r, "%s", "");
}

/* ---- the parts */

static void begin_part(struct report *r, const char *description, const char *type)
{
	bounce_line(r, "--%s", r->boundary);
	bounce_line(r, "Content-Description: %s", description);
	bounce_line(r, "Content-Type: %s", type);
}

static void notice_part(struct report *r)
{
	const char *charset = r->utf8 ? "utf-8" : r->template->charset;

	begin_part(r, "Notification", pool_printf(cleanup_pool(r->out), "text/plain; charset=%s", charset));
	if (r->utf8 || !is_ascii(r->template->text))
		bounce_line(r, "Content-Transfer-Encoding: 8bit");
	bounce_line(r, "%s", "");
	bounce_notice(r);
	bounce_line(r, "%s", "");
}

static void status_part(struct report *r)
{
	begin_part(
		r, "Delivery report", r->utf8 ? "message/global-delivery-status" : "message/delivery-status");
	if (r->utf8)
		encoding_field(r);
	bounce_line(r, "%s", "");
	bounce_status(r);
	bounce_line(r, "%s", "");
}

static bool original_part(struct report *r, struct err *err)
{
	const char *full = r->utf8 ? "message/global" : "message/rfc822";
	const char *header = r->utf8 ? "message/global-headers" : "text/rfc822-headers";
	bool whole = !r->headers_only;

	begin_part(r,
		!whole			    ? "Message Headers"
		: r->kind == BOUNCE_FAILURE ? "Undelivered Message"
					    : "Message",
		whole ? full : header);
	encoding_field(r);
	bounce_line(r, "%s", "");
	if (!bounce_original(r, err))
		return false;
	bounce_line(r, "%s", "");
	bounce_line(r, "--%s--", r->boundary);
	return true;
}

/* ---- all together */

static void make_boundary(struct report *r)
{
	uint64_t random[2];

	sys_random(random, sizeof(random));
	snprintf(r->boundary, sizeof(r->boundary), "%016llX%016llX/%s", (unsigned long long)random[0],
		(unsigned long long)random[1], cleanup_id(r->out)->text);
}

static bool begin(struct report *r, struct err *err)
{
	const bool filtered = str_lists(r->env->cfg->internal_mail_filter_classes, "bounce");
	const struct cleanup_options options = {
		.origin = "bounce",
		.local_rewrite = true,
		.internal = !filtered,
		.no_session = filtered,
		.queue = QUEUE_INCOMING,
		.client = "local",
	};
	int flags = ENVELOPE_INTERNAL | (has_8bit(r) ? ENVELOPE_8BIT : 0) | (r->e->flags & ENVELOPE_SMTPUTF8);

	r->out = cleanup_begin(r->env->cleanup, &options, err);
	if (r->out == NULL)
		return false;
	r->now_us = clock_real();
	make_boundary(r);
	cleanup_sender(r->out, r->from, NULL, RET_NONE, flags);
	cleanup_attribute(r->out, "log_ident", report_message_id(r));
	cleanup_recipient(r->out, r->to, NULL, NULL, NOTIFY_NEVER);
	return true;
}

bool bounce_write(struct report *r, struct queue_id *id, struct err *err)
{
	struct cleanup_result result;
	char text[512] = "";

	static const enum bounce_template_kind kinds[] = {[BOUNCE_FAILURE] = TEMPLATE_FAILURE,
		[BOUNCE_DELAY] = TEMPLATE_DELAY,
		[BOUNCE_SUCCESS] = TEMPLATE_SUCCESS,
		[BOUNCE_STATUS] = TEMPLATE_VERIFY};

	r->template = bounce_template_get(r->env->templates, kinds[r->kind]);
	if (!begin(r, err))
		return false;
	*id = *cleanup_id(r->out);
	received_field(r);
	write_header(r);
	notice_part(r);
	status_part(r);
	if (!original_part(r, err)) {
		cleanup_abort(&r->out);
		return false;
	}
	cleanup_end(&r->out, &result, text, sizeof(text));
	if (result.status != CLEANUP_OK)
		return err_set(err, "report %s: %s", id->text, text);
	log_report(r, id);
	return true;
}
