/* Replies, command lines with their parameters, NOTIFY lists, status codes and xtext. */
#include "base/buf.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "mail/smtp_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_reply(struct str in)
{
	struct smtp_reply reply;
	size_t used = smtp_reply_parse(in, &reply);

	if (used > in.n || (used > 0 && reply.code != NO_REPLY && (reply.code < 0 || reply.code > 999)))
		__builtin_trap();
	smtp_reply_free(&reply);
}

static void fuzz_command(struct str in)
{
	struct str verb, rest, keyword, value;

	smtp_split_command(in, &verb, &rest);
	while (smtp_next_parameter(&rest, &keyword, &value) == 1)
		if (keyword.n == 0)
			__builtin_trap();
}

/* What decodes must come back from its encoding. */
static void fuzz_xtext(struct str in)
{
	struct buf plain = BUF(4096), again = BUF(20000), back = BUF(4096);

	if (xtext_decode(in, &plain)) {
		xtext_encode(buf_slice(&plain), &again);
		if (!xtext_decode(buf_slice(&again), &back) || !str_eq(buf_slice(&plain), buf_slice(&back)))
			__builtin_trap();
	}
	buf_free(&plain);
	buf_free(&again);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	char text[32];
	int bits = 0;

	fuzz_reply(in);
	fuzz_command(in);
	fuzz_xtext(in);
	if (dsn_parse_notify(in, &bits))
		dsn_format_notify(bits, text);
	if (dsn_status_length(in) > size)
		__builtin_trap();
	return 0;
}
