#include "base/log.h"
#include "smtp/smtp_edit.h"
#include "smtp/smtp_session.h"

#define SPOOL_LONG_LINE 998 /* what ENVELOPE_LONG_LINES speaks of */

static enum content_end read_failed(enum spool_status status)
{
	return status == SPOOL_CORRUPT || status == SPOOL_UNFINISHED ? CONTENT_DAMAGED : CONTENT_UNREADABLE;
}

static struct smtp_writer writer_for(const struct smtp_session *s, int envelope_flags)
{
	size_t limit = (size_t)s->client->cfg->smtp_line_length_limit;

	return (struct smtp_writer){
		.out = s->stream,
		.dots = envelope_flags & ENVELOPE_DOTS,
		.fold = limit > 0 && (limit < SPOOL_LONG_LINE || envelope_flags & ENVELOPE_LONG_LINES),
		.limit = limit,
		.first_of_line = true,
	};
}

static enum content_end put_piece(
	struct smtp_edit *edit, struct smtp_writer *w, struct str piece, struct err *err)
{
	if (edit)
		return smtp_edit_feed(edit, piece, err);
	return smtp_writer_put(w, piece) ? CONTENT_SENT : CONTENT_LOST;
}

enum content_end smtp_send_content(struct smtp_session *s, struct spool_reader *reader,
	const struct delivery_request *request, bool *first_of_line, struct err *err)
{
	struct smtp_writer w = writer_for(s, request->flags);
	struct smtp_edit *edit = smtp_edit_new(s, request, &w);
	enum content_end end = CONTENT_SENT;
	struct str piece = STR("");

	smtp_set_timeout(s, s->client->cfg->smtp_data_xfer_timeout);
	do {
		enum spool_status status = spool_read_content(reader, &piece, err);

		end = status == SPOOL_OK ? put_piece(edit, &w, piece, err) : read_failed(status);
	} while (end == CONTENT_SENT && piece.n > 0);
	smtp_edit_free(&edit);
	if (w.broke)
		log_info("%s: breaking line > %zu bytes with <CR><LF>SPACE", request->qid.text, w.limit);
	*first_of_line = w.first_of_line;
	if (end == CONTENT_LOST) {
		s->failed = true;
		s->timed_out = stream_status(s->stream) == STREAM_TIMEOUT;
	}
	return end;
}
