#include "smtpd/content.h"

#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

uint64_t content_patience(const struct session *s)
{
	uint64_t limit =
		s->cfg->message_size_limit > 0 ? (uint64_t)s->cfg->message_size_limit : UINT64_MAX / 4;

	return limit + limit / 2 + 65536;
}

void content_deadline(struct session *s, bool content)
{
	stream_start_request(s->io);
	stream_set_min_rate(s->io, content ? (size_t)s->cfg->smtpd_min_data_rate : 0);
}

/*
 * Whether a line that is "." ends the message: with the standard form required, only CR LF . CR LF does.
 * Otherwise what another server took for content could be the end here (SMTP smuggling).
 */
static bool ends_message(const struct session *s, enum line_end before, enum line_end end)
{
	return s->bare_newline == BARE_ALLOWED || (before == LINE_CRLF && end == LINE_CRLF);
}

bool content_read(struct session *s, struct content *c)
{
	enum line_end before = s->line_ended_bare ? LINE_LF : LINE_CRLF, end;
	size_t limit = (size_t)s->cfg->line_length_limit;
	uint64_t patience = content_patience(s);
	bool wanted = true, starts;
	struct str line;

	*c = (struct content){0};
	while (stream_line(s->io, limit, &line, &end) == STREAM_OK) {
		starts = before != LINE_PARTIAL;
		c->bytes += line.n + (end == LINE_PARTIAL ? 0 : end == LINE_LF ? 1 : 2);
		s->data_bytes = c->bytes;
		if (starts && line.n > 0 && line.p[0] == '.') {
			if (line.n == 1 && end != LINE_PARTIAL) {
				if (ends_message(s, before, end))
					return true;
				c->bare = true;
				before = end;
				continue;
			}
			line = str_from(line, 1);
		}
		c->bare |= end == LINE_LF;
		before = end;
		c->stored += line.n + (end == LINE_PARTIAL ? 0 : 2);
		if (wanted)
			wanted = message_line(s->tx->message, line, end == LINE_PARTIAL);
		if (c->bytes > patience) {
			c->too_long = true;
			return true;
		}
	}
	return false;
}

void content_refuse_bare(struct session *s, const char *where)
{
	const struct transaction *tx = s->tx;

	session_log_refusal(
		s, where, tx ? tx->sender : NULL, tx ? tx->recipient : NULL, "bare <LF> received");
	reply(s, "%d 5.5.2 %s Error: bare <LF> received", s->cfg->smtpd_forbid_bare_newline_reject_code,
		s->cfg->myhostname);
}
