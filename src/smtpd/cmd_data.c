/* DATA (RFC 5321 section 4.1.1.4). */
#include "smtpd/content.h"
#include "smtpd/filters.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static bool data_in_order(struct session *s, struct str rest)
{
	if (s->tx && s->tx->chunks.used) {
		reply(s, "503 5.5.1 Error: DATA after BDAT");
	} else if (!s->tx) {
		reply(s, "503 5.5.1 Error: need RCPT command");
	} else if (s->tx->recipients == 0) {
		notify_note(s, 0);
		reply(s, "554 5.5.1 Error: no valid recipients");
	} else if (rest.n > 0) {
		reply(s, "501 5.5.4 Syntax: DATA");
	} else {
		return true;
	}
	return false;
}

static bool data_finish(struct session *s, const struct content *c)
{
	if (c->too_long) {
		notify_note(s, NOTICE_BOUNCE);
		reply(s, "552 5.3.4 Error: message file too big");
		s->hangup = true;
	} else if (c->bare && s->bare_newline == BARE_REJECTED) {
		content_refuse_bare(s, "DATA content");
	} else {
		s->tx->content_size = c->stored;
		return transaction_finish(s, "");
	}
	transaction_end(s);
	return false;
}

bool cmd_data(struct session *s, struct str rest)
{
	struct refusal refusal;
	struct content content;
	const char *refused;

	if (!data_in_order(s, rest))
		return false;
	if (!access_data(s, "DATA", &refusal)) {
		reply_refusal(s, &refusal);
		return false;
	}
	refused = filters_data(s, "DATA");
	if (!refused)
		refused = message_data(s->tx->message);
	if (refused) {
		reply_lines(s, refused);
		return false;
	}
	transaction_prepend(s);
	reply(s, "354 End data with <CR><LF>.<CR><LF>");
	content_deadline(s, true);
	s->in_content = true;
	s->data_bytes = 0;
	if (!content_read(s, &content))
		return false;
	content_deadline(s, false);
	s->in_content = false;
	s->where = AFTER_MESSAGE;
	return data_finish(s, &content);
}
