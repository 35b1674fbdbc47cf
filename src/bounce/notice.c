#include "bounce/notice.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "mail/address.h"
#include "mail/received.h"

#define TRANSCRIPT_MAX 16384
#define LINE_KEPT 1000 /* bytes of one line */
#define WIDTH 79

/* ---- the transcript */

/* The older half goes, up to the end of a line. */
static void forget_oldest(struct transcript *t)
{
	struct str rest = str_from(buf_slice(&t->text), t->text.len / 2);
	ptrdiff_t end = str_find(rest, '\n');
	size_t n = end < 0 ? t->text.len : t->text.len - rest.n + (size_t)end + 1;

	buf_remove(&t->text, 0, n);
	t->cut = true;
}

static void transcript_add(struct transcript *t, const char *mark, struct str line)
{
	size_t start;

	if (t->text.max == 0)
		buf_init(&t->text, TRANSCRIPT_MAX);
	line = str_first(line, LINE_KEPT);
	if (t->text.len + strlen(mark) + line.n + 1 > TRANSCRIPT_MAX)
		forget_oldest(t);
	buf_puts(&t->text, mark);
	start = t->text.len;
	buf_str(&t->text, line);
	utf8_hide_controls(t->text.data + start, line.n, '?');
	buf_putc(&t->text, '\n');
	t->lines++;
}

void transcript_received(struct transcript *t, struct str line)
{
	transcript_add(t, " In:  ", line);
}

void transcript_sent(struct transcript *t, struct str line)
{
	transcript_add(t, " Out: ", line);
}

void transcript_free(struct transcript *t)
{
	buf_free(&t->text);
	t->lines = 0;
	t->cut = false;
}

/* ---- classes */

bool notice_wants(const char *notify_classes, const char *name)
{
	return str_case_lists(notify_classes, name) ||
	       (strcmp(name, "2bounce") == 0 && str_case_lists(notify_classes, "bounce"));
}

unsigned notice_classes(const char *notify_classes)
{
	static const struct {
		const char *name;
		enum notice_class class;
	} names[] = {{"bounce", NOTICE_BOUNCE}, {"data", NOTICE_DATA}, {"policy", NOTICE_POLICY},
		{"protocol", NOTICE_PROTOCOL}, {"resource", NOTICE_RESOURCE}, {"software", NOTICE_SOFTWARE}};
	unsigned classes = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (notice_wants(notify_classes, names[i].name))
			classes |= names[i].class;
	return classes;
}

/* ---- the message */

static void put(struct cleanup *c, const char *text)
{
	cleanup_line(c, str_c(text), false);
}

/* Up to WIDTH columns, continued after blanks under the line's text. */
static void put_folded(struct cleanup *c, struct str line)
{
	struct buf out = BUF(LINE_KEPT + 16);
	size_t room = WIDTH;

	while (line.n > 0) {
		size_t n = line.n, at = 0;

		for (size_t i = 6; i < line.n && (i <= room || at == 0); i++)
			if (line.p[i] == ' ')
				at = i;
		if (line.n > room && at > 0)
			n = at;
		buf_str(&out, str_first(line, n));
		cleanup_line(c, buf_slice(&out), false);
		line = str_trim(str_from(line, n));
		buf_clear(&out);
		buf_puts(&out, "     ");
		room = WIDTH - 5;
	}
	buf_free(&out);
}

static void put_transcript(struct cleanup *c, const struct transcript *t)
{
	struct str rest = buf_slice(&t->text);
	ptrdiff_t end;

	if (t->cut)
		put(c, " (The beginning is left out.)");
	while ((end = str_find(rest, '\n')) >= 0) {
		put_folded(c, str_first(rest, (size_t)end));
		rest = str_from(rest, (size_t)end + 1);
	}
}

static bool is_ascii(struct str text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] >= 0x80)
			return false;
	return true;
}

static void put_received(const struct config *cfg, struct cleanup *c)
{
	const struct received field = {.my_name = cfg->myhostname,
		.mail_name = cfg->mail_name,
		.queue_id = cleanup_id(c)->text,
		.uid = -1,
		.when_us = cleanup_time(c)};
	struct buf out = BUF(4096);

	received_format(&field, &out);
	cleanup_prepend(c, buf_slice(&out));
	buf_free(&out);
}

static const char *from_field(const struct config *cfg)
{
	return strcmp(cfg->header_from_format, "obsolete") == 0
		       ? "From: MAILER-DAEMON (Mail Delivery System)"
		       : "From: Mail Delivery System <MAILER-DAEMON>";
}

static void put_header(const struct config *cfg, struct cleanup *c, const struct notice *n, const char *to)
{
	struct buf address = BUF(4 * ADDRESS_MAX), id = BUF(1024);
	struct pool *pool = cleanup_pool(c);
	char date[64];

	address_quote(str_c(to), &address);
	message_id_make(cleanup_id(c)->text, cfg->myhostname, cleanup_time(c), &id);
	put(c, pool_printf(pool, "Date: %s", clock_rfc5322(cleanup_time(c), date, sizeof(date))));
	put(c, from_field(cfg));
	put(c, pool_printf(pool, "To: Postmaster <%s>", buf_cstr(&address)));
	put(c, pool_printf(pool, "Subject: %s %s: errors from %s", cfg->mail_name, n->program, n->peer));
	put(c, pool_printf(pool, "Message-Id: %s", buf_cstr(&id)));
	put(c, "Auto-Submitted: auto-generated");
	if (!is_ascii(buf_slice(&n->transcript->text))) {
		put(c, "MIME-Version: 1.0");
		put(c, "Content-Type: text/plain; charset=utf-8");
		put(c, "Content-Transfer-Encoding: 8bit");
	}
	put(c, "");
	buf_free(&address);
	buf_free(&id);
}

static void put_body(struct cleanup *c, const struct notice *n)
{
	if (n->first) {
		put(c, n->first);
		put(c, "");
	}
	put(c, "Transcript of session follows.");
	put(c, "");
	put_transcript(c, n->transcript);
	put(c, "");
	if (n->aborted)
		put(c, pool_printf(cleanup_pool(c), "Session aborted, reason: %s", n->aborted));
	put(c, "");
	put(c, "For other details, see the local mail logfile");
}

bool notice_send(const struct config *cfg, struct cleanup_env *cleanup, const struct notice *n,
	struct queue_id *id, struct err *err)
{
	const bool filtered = str_lists(cfg->internal_mail_filter_classes, "notify");
	const struct cleanup_options options = {.local_rewrite = true,
		.origin = "notify",
		.internal = !filtered,
		.no_session = filtered,
		.queue = QUEUE_INCOMING,
		.client = "local"};
	const char *to =
		n->classes & NOTICE_BOUNCE ? cfg->bounce_notice_recipient : cfg->error_notice_recipient;
	bool ascii = is_ascii(buf_slice(&n->transcript->text));
	struct cleanup *c = cleanup_begin(cleanup, &options, err);
	struct cleanup_result result;
	char text[512] = "";

	if (!c)
		return false;
	*id = *cleanup_id(c);
	cleanup_sender(c, cfg->double_bounce_sender, NULL, RET_NONE,
		ENVELOPE_INTERNAL | (ascii ? 0 : ENVELOPE_8BIT));
	cleanup_recipient(c, to, NULL, NULL, NOTIFY_NEVER);
	put_received(cfg, c);
	put_header(cfg, c, n, to);
	put_body(c, n);
	cleanup_end(&c, &result, text, sizeof(text));
	return result.status == CLEANUP_OK || err_set(err, "notice %s: %s", id->text, text);
}
