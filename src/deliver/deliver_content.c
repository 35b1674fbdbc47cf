#include "deliver/deliver.h"
#include "mail/address.h"
#include "spool/spool_lines.h"

#define DELIVERED_TO_MAX (4 * ADDRESS_MAX) /* folded, with comment; more is no address of ours */

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

enum spool_status deliver_content_delivered_to(
	struct spool_reader *reader, const char *address, bool *found, struct err *err)
{
	struct field f = {.value = BUF(DELIVERED_TO_MAX)};
	enum lines_result kind = LINES_LINE;
	bool line_start = true;
	enum spool_status status;
	struct spool_lines l;
	struct str piece;

	*found = false;
	spool_lines_begin(&l, reader);
	while ((status = spool_lines_next(&l, &piece, &kind, err)) == SPOOL_OK && kind != LINES_END) {
		if (line_start && kind != LINES_PART && piece.n == 0)
			break;
		if (line_start && starts_field(piece) && field_matches(&f, address))
			break;
		field_piece(&f, piece, line_start);
		line_start = kind != LINES_PART;
	}
	*found = status == SPOOL_OK && field_matches(&f, address);
	spool_lines_free(&l);
	buf_free(&f.value);
	return status;
}
