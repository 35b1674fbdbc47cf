/* Entries of the address verification cache, which may be damaged; what is read must come back from its
 * print. */
#include "verify/verify_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_print(const struct verify_entry *e)
{
	struct buf out = BUF(VERIFY_VALUE_MAX);
	struct verify_entry back;

	verify_entry_print(e, &out);
	if (out.over || !verify_entry_parse(buf_slice(&out), &back) || back.status != e->status ||
		back.probed_us != e->probed_us || back.updated_us != e->updated_us)
		__builtin_trap();
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = {(const char *)data, size};
	struct verify_entry e, text = {.status = VERIFY_DEFERRED, .text = in};

	check_print(&text);
	if (verify_entry_parse(in, &e))
		check_print(&e);
	return 0;
}
