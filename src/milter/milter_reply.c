/* What clients are told: the fixed replies, and those that filters make. */
#include "mail/dsn.h"
#include "milter/milter_private.h"

#define LINES_MAX 32

const char *reply_for_answer(int answer)
{
	switch (answer) {
	case ANSWER_REJECT:
		return "550 5.7.1 Command rejected";
	case ANSWER_SHUTDOWN:
		return "421 4.7.0 Server closing connection";
	default:
		return "451 4.7.1 Service unavailable - try again later";
	}
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "550 text", "550-5.7.1 text": an enhanced status must be of the code's class. */
static bool line_is_good(struct str line, const char code[3], bool last)
{
	struct str text = str_from(line, 4);

	if (line.n < 5 || memcmp(line.p, code, 3) != 0 || line.p[3] != (last ? ' ' : '-'))
		return false;
	return dsn_status_length(text) == 0 || text.p[0] == code[0];
}

/* "%%" is a percent sign to the library that filters are made with; a single one was meant for nothing. */
static void add_text(struct buf *out, struct str line)
{
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == '%' && i + 1 < line.n)
			i++;
		buf_putc(out, line.p[i]);
	}
}

bool reply_parse(struct str text, struct buf *out)
{
	char code[3];
	int lines = 0;
	bool last;

	buf_clear(out);
	if (text.n < 3 || (text.p[0] != '4' && text.p[0] != '5') || !is_digit(text.p[1]) ||
		!is_digit(text.p[2]))
		return false;
	memcpy(code, text.p, 3);
	do {
		const char *end = memmem(text.p, text.n, "\r\n", 2);
		struct str line = end ? str_first(text, (size_t)(end - text.p)) : text;

		last = !end;
		if (++lines > LINES_MAX || !line_is_good(line, code, last))
			return false;
		if (lines > 1)
			buf_puts(out, "\r\n");
		add_text(out, line);
		text = str_from(text, line.n + 2);
	} while (!last);
	return !out->over;
}
