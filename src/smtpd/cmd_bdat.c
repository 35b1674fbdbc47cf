/* BDAT (RFC 3030): the content in chunks, by count. A refused chunk is read and thrown away, so that its
 * bytes are not taken for commands. */
#include "base/log.h"
#include "smtpd/content.h"
#include "smtpd/ehlo.h"
#include "smtpd/filters.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

#define CHUNK_MAX ((uint64_t)1 << 62)
#define PIECE_MAX 65536

struct chunk {
	uint64_t size;
	bool last;
};

/* What follows is not a command any more: all that can be done is to hang up. */
static bool bdat_fatal(struct session *s, const char *text)
{
	reply(s, "%s", text);
	s->hangup = true;
	return false;
}

static bool chunk_parse(struct str rest, struct chunk *c)
{
	struct str count, word = {"", 0}, more;

	if (!str_word(&rest, " \t", &count) || count.p[0] == '+' || !str_to_u64(count, CHUNK_MAX, &c->size))
		return false;
	c->last = str_word(&rest, " \t", &word);
	return (!c->last || str_case_is(word, "LAST")) && !str_word(&rest, " \t", &more);
}

/* Reads the chunk without keeping it. false: the session ends. */
static bool chunk_discard(struct session *s, const struct chunk *c)
{
	uint64_t patience = content_patience(s), left = c->size,
		 *total = s->tx ? &s->tx->chunks.discarded : NULL;
	struct str piece;

	while (left > 0) {
		size_t n = left < PIECE_MAX ? (size_t)left : PIECE_MAX;

		if (stream_read(s->io, n, &piece) != STREAM_OK)
			return false;
		left -= piece.n;
		s->data_bytes += piece.n;
		if (total)
			*total += piece.n;
		if (s->data_bytes > patience || (total && *total > patience)) {
			s->hangup = true;
			break;
		}
	}
	return true;
}

/* Refuses the chunk. The transaction stays, in error, for the chunks that are already on their way; the last
 * one ends it. */
static bool chunk_refuse(struct session *s, const struct chunk *c, const char *text)
{
	if (s->tx)
		s->tx->chunks.used = s->tx->chunks.failed = true;
	if (!chunk_discard(s, c))
		return false;
	reply_lines(s, text);
	if (c->last)
		transaction_end(s);
	return false;
}

/* The reply that refuses the chunk as things stand, or NULL. */
static const char *chunk_problem(struct session *s, const struct chunk *c)
{
	struct transaction *tx = s->tx;
	uint64_t limit = s->cfg->message_size_limit > 0 ? (uint64_t)s->cfg->message_size_limit : CHUNK_MAX;

	if (c->size == 0 && !c->last) {
		log_warning("%s: null BDAT request from %s", session_queue_id(s), s->client.text);
		return "551 5.7.1 Null BDAT request";
	}
	if (!tx)
		return "503 5.5.1 Error: need RCPT command";
	if (tx->chunks.failed)
		return pool_printf(session_scratch(s), "551 5.0.0 Discarded %llu bytes after earlier error",
			(unsigned long long)c->size);
	if (tx->recipients == 0)
		return "554 5.5.1 Error: no valid recipients";
	if (c->size > limit || tx->chunks.bytes > limit - c->size) {
		log_warning("%s: BDAT request from %s exceeds message size limit", session_queue_id(s),
			s->client.text);
		return "552 5.3.4 Chunk exceeds message size limit";
	}
	return NULL;
}

static bool chunk_allowed(struct session *s, const struct chunk *c)
{
	const char *problem = chunk_problem(s, c);
	struct refusal refusal;

	if (problem)
		return chunk_refuse(s, c, problem);
	if (s->tx->chunks.used)
		return true;
	if (!access_data(s, "BDAT", &refusal))
		return chunk_refuse(s, c, refusal_text(s, &refusal));
	problem = filters_data(s, "BDAT");
	if (!problem)
		problem = message_data(s->tx->message);
	return !problem || chunk_refuse(s, c, problem);
}

/* One piece of a line; longer lines go out in several. */
static void line_out(struct transaction *tx, struct str line, bool partial)
{
	tx->chunks.stored += line.n + (partial ? 0 : 2);
	if (!tx->chunks.lost)
		tx->chunks.lost = !message_line(tx->message, line, partial);
}

/* Adds bytes without line end to the line in progress. */
static void line_add(struct transaction *tx, struct str part)
{
	struct chunks *k = &tx->chunks;

	while (part.n > 0) {
		size_t room = k->line.max - k->line.len;
		struct str head = str_first(part, room);

		if (room == 0) {
			line_out(tx, buf_slice(&k->line), true);
			buf_clear(&k->line);
			continue;
		}
		buf_str(&k->line, head);
		part = str_from(part, head.n);
	}
	k->in_line = true;
}

static void line_finish(struct transaction *tx)
{
	line_out(tx, buf_slice(&tx->chunks.line), false);
	buf_clear(&tx->chunks.line);
	tx->chunks.in_line = false;
}

/* A line that lies whole in the piece needs no copy. */
static void line_whole(struct transaction *tx, struct str line)
{
	if (tx->chunks.line.len > 0 || line.n > tx->chunks.line.max) {
		line_add(tx, line);
		line_finish(tx);
	} else {
		line_out(tx, line, false);
		tx->chunks.in_line = false;
	}
}

/* A CR at the end of a piece is kept back: its LF may come next. */
static void take_piece(struct transaction *tx, struct str piece)
{
	struct chunks *k = &tx->chunks;

	while (piece.n > 0) {
		ptrdiff_t lf = str_find(piece, '\n');
		struct str line = lf < 0 ? piece : str_first(piece, (size_t)lf);
		bool cr;

		piece = str_from(piece, lf < 0 ? piece.n : (size_t)lf + 1);
		cr = line.n > 0 ? line.p[line.n - 1] == '\r' : k->end_pending && lf >= 0;
		if (k->end_pending && (line.n > 0 || lf < 0))
			line_add(tx, STR("\r"));
		k->end_pending = false;
		if (cr && line.n > 0)
			line.n--;
		if (lf >= 0) {
			k->bare |= !cr;
			line_whole(tx, line);
		} else {
			line_add(tx, line);
			k->end_pending = cr;
		}
	}
}

static bool chunk_read(struct session *s, const struct chunk *c)
{
	uint64_t left = c->size;
	struct str piece;

	while (left > 0) {
		size_t n = left < PIECE_MAX ? (size_t)left : PIECE_MAX;

		if (stream_read(s->io, n, &piece) != STREAM_OK)
			return false;
		left -= piece.n;
		s->data_bytes += piece.n;
		take_piece(s->tx, piece);
	}
	s->tx->chunks.bytes += c->size;
	return true;
}

/* The message is complete: its last line gets an end if it has none. */
static bool message_finish(struct session *s)
{
	struct transaction *tx = s->tx;
	char prefix[40];

	if (tx->chunks.end_pending)
		line_add(tx, STR("\r"));
	if (tx->chunks.in_line)
		line_finish(tx);
	tx->content_size = tx->chunks.stored;
	snprintf(prefix, sizeof(prefix), "%llu bytes ", (unsigned long long)tx->chunks.stored);
	return transaction_finish(s, prefix);
}

static bool chunk_refuse_bare(struct session *s, const struct chunk *c)
{
	s->tx->chunks.failed = true;
	content_refuse_bare(s, "BDAT content");
	if (c->last)
		transaction_end(s);
	return false;
}

static bool chunk_take(struct session *s, const struct chunk *c)
{
	if (!s->tx->chunks.used) {
		s->tx->chunks.used = true;
		s->tx->chunks.line = BUF((size_t)s->cfg->line_length_limit);
		transaction_prepend(s);
	}
	s->in_content = true;
	s->data_bytes = s->tx->chunks.bytes;
	if (!chunk_read(s, c))
		return false;
	if (s->tx->chunks.bare && s->bare_newline == BARE_REJECTED)
		return chunk_refuse_bare(s, c);
	if (c->last) {
		s->in_content = false;
		s->where = AFTER_MESSAGE;
		return message_finish(s);
	}
	reply(s, "250 2.0.0 Ok: %llu bytes", (unsigned long long)c->size);
	return true;
}

bool cmd_bdat(struct session *s, struct str rest)
{
	struct chunk c;
	bool good;

	if (ehlo_hidden(s) & EHLO_CHUNKING)
		return bdat_fatal(s, "521 5.5.1 Error: command not implemented");
	if (!chunk_parse(rest, &c)) {
		log_warning("%s: malformed BDAT command syntax from %s: BDAT " STR_FMT, session_queue_id(s),
			s->client.text, STR_ARG(str_first(rest, 100)));
		return bdat_fatal(s, "521 5.5.4 Syntax: BDAT count [LAST]");
	}
	s->data_bytes = 0;
	content_deadline(s, true);
	good = chunk_allowed(s, &c) && chunk_take(s, &c);
	content_deadline(s, false);
	if (!good && stream_status(s->io) == STREAM_OK)
		s->in_content = false;
	return good;
}
