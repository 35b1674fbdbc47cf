#include "local/local.h"
#include "mail/address.h"

#define LINE_PIECE 65536
#define SPOOL_PIECE 65536
#define DELIVERED_TO_MAX (4 * ADDRESS_MAX) /* folded, with comment; more is no address of ours */

void local_content_begin(struct local_content *c, struct spool_reader *reader)
{
	*c = (struct local_content){.reader = reader, .ahead = BUF(LINE_PIECE + SPOOL_PIECE + 16)};
}

void local_content_free(struct local_content *c)
{
	buf_free(&c->ahead);
}

static enum spool_status read_ahead(struct local_content *c, struct err *err)
{
	struct str piece;
	enum spool_status status = spool_read_content(c->reader, &piece, err);

	if (status != SPOOL_OK)
		return status;
	buf_remove(&c->ahead, 0, c->at);
	c->at = 0;
	c->end = piece.n == 0;
	buf_str(&c->ahead, piece);
	return SPOOL_OK;
}

/* A CR at the end stays back until it is known whether an LF follows. */
enum spool_status local_content_next(
	struct local_content *c, struct str *piece, bool *line_end, bool *more, struct err *err)
{
	for (;;) {
		struct str rest = str_from(buf_slice(&c->ahead), c->at);
		ptrdiff_t lf = str_find(rest, '\n');
		enum spool_status status;

		*more = true;
		*line_end = lf >= 0 || c->end;
		if (lf >= 0) {
			c->at += (size_t)lf + 1;
			*piece = str_first(rest, (size_t)lf - (lf > 0 && rest.p[lf - 1] == '\r'));
			return SPOOL_OK;
		}
		if (c->end || rest.n > LINE_PIECE) {
			*piece = str_first(rest, c->end ? rest.n : rest.n - 1);
			*more = rest.n > 0;
			c->at += piece->n;
			return SPOOL_OK;
		}
		status = read_ahead(c, err);
		if (status != SPOOL_OK)
			return status;
	}
}

/* Comments and quoting aside, in any case: <user@Example>, "user"@example. */
static bool same_address(struct str value, const char *address)
{
	struct buf internal = BUF(DELIVERED_TO_MAX);
	bool same;

	value = str_trim(value);
	if (value.n > 1 && value.p[0] == '<' && value.p[value.n - 1] == '>')
		value = str_first(str_from(value, 1), value.n - 2);
	address_unquote(value, &internal);
	same = str_case_eq(buf_slice(&internal), str_c(address));
	buf_free(&internal);
	return same;
}

/* The header field being put together. Only Delivered-To: is kept. */
struct field {
	struct buf value;
	bool wanted;
};

static void field_piece(struct field *f, struct str piece, bool line_start)
{
	static const struct str name = {"Delivered-To:", sizeof("Delivered-To:") - 1};
	bool continued = line_start && piece.n && (piece.p[0] == ' ' || piece.p[0] == '\t');

	if (line_start && !continued) {
		f->wanted = str_case_starts(piece, name);
		piece = str_from(piece, name.n);
		buf_clear(&f->value);
	}
	if (f->wanted)
		buf_str(&f->value, piece);
}

static bool field_matches(const struct field *f, const char *address)
{
	return f->wanted && !f->value.over && same_address(buf_slice(&f->value), address);
}

static bool starts_field(struct str piece)
{
	return piece.n && piece.p[0] != ' ' && piece.p[0] != '\t';
}

enum spool_status local_content_delivered_to(
	struct spool_reader *reader, const char *address, bool *found, struct err *err)
{
	struct local_content c;
	struct field f = {.value = BUF(DELIVERED_TO_MAX)};
	bool line_start = true, line_end = true, more = true;
	enum spool_status status;
	struct str piece;

	*found = false;
	local_content_begin(&c, reader);
	while ((status = local_content_next(&c, &piece, &line_end, &more, err)) == SPOOL_OK && more &&
		!*found) {
		if (line_start && line_end && piece.n == 0)
			break;
		if (line_start && starts_field(piece))
			*found = field_matches(&f, address);
		field_piece(&f, piece, line_start);
		line_start = line_end;
	}
	*found = *found || field_matches(&f, address);
	local_content_free(&c);
	buf_free(&f.value);
	return status;
}
