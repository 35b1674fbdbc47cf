/* What a user's program may send to postdrop: whole streams of frames. What is accepted has no control bytes
 * and bounded addresses. */
#include "ipc/submission.h"
#include "mail/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	for (; text && *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			__builtin_trap();
	}
}

static void check_envelope(struct cursor fields)
{
	struct pool *pool = pool_new(1024);
	struct submission s;
	struct err err;

	if (submission_decode(fields, pool, &s, &err)) {
		if (s.recipient_count == 0 || s.ret > RET_HDRS || !s.sender)
			__builtin_trap();
		check_text(s.sender);
		check_text(s.full_name);
		check_text(s.envid);
		for (size_t i = 0; i < s.recipient_count; i++) {
			check_text(s.recipients[i]);
			if (strlen(s.recipients[i]) > ADDRESS_MAX)
				__builtin_trap();
		}
	}
	pool_free(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size}, piece;
	struct cursor fields;
	uint16_t type;
	size_t used;

	while (frame_parse(in, &type, &fields, &used) == 1) {
		if (type == FRAME_SUBMIT_ENVELOPE)
			check_envelope(fields);
		else if (submission_content_decode(fields, &piece) && piece.n > size)
			__builtin_trap();
		in = str_from(in, used);
	}
	return 0;
}
