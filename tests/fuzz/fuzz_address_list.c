/* Address lists of headers and command lines, and lines in pieces: the first byte is the size of the pieces.
 */
#include "base/lines.h"
#include "base/mem.h"
#include "mail/address.h"
#include "mail/address_list.h"
#include "mail/header_addresses.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Joined again, the pieces have as many bytes as came in, less the line ends. */
static void check_lines(struct str in, size_t step)
{
	size_t total = in.n, seen = 0;
	enum lines_result kind;
	struct lines l;
	struct str piece;

	lines_begin(&l);
	while ((kind = lines_next(&l, &piece)) != LINES_END) {
		if (kind == LINES_WANT) {
			struct str chunk = str_first(in, step);

			lines_feed(&l, chunk);
			in = str_from(in, chunk.n);
			continue;
		}
		if (str_find(piece, '\n') >= 0)
			__builtin_trap();
		seen += piece.n + (kind == LINES_LINE_CRLF ? 2 : kind == LINES_LINE);
	}
	if (seen != total && seen != total + 1)
		__builtin_trap();
	lines_free(&l);
}

static bool take_address(void *arg, struct str written, struct buf *to)
{
	address_unquote(written, to);
	buf_puts(to, "@x");
	return true;
}

/* Whatever stands there, the field keeps its name. */
static void check_header(struct str value)
{
	struct buf header = BUF(1 << 20), out = BUF(1 << 20);
	struct header_map map = {.address = take_address};

	buf_puts(&header, "To: ");
	buf_str(&header, value);
	if (header_addresses_map(buf_slice(&header), 10240, &map, &out) == HEADER_GIVEN_UP)
		__builtin_trap();
	if (!out.over && !str_starts(buf_slice(&out), STR("To:")))
		__builtin_trap();
	buf_free(&header);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address_list list = {0};
	struct str in;

	if (size == 0)
		return 0;
	in = (struct str){(const char *)data + 1, size - 1};
	check_lines(in, data[0] + (size_t)1);
	check_header(in);
	if (!address_list_parse(in, &list) && list.count > 0)
		__builtin_trap();
	for (size_t i = 0; i < list.count; i++) {
		if (strlen(list.items[i]) > 4 * size)
			__builtin_trap();
	}
	address_list_free(&list);
	return 0;
}
