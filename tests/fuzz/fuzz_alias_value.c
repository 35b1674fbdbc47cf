/* The right-hand side of an alias: what it names is not much longer than itself: blanks may come between the
 * parts of an address. */
#include "local/local.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pool *pool = pool_new(4096);
	struct local_targets targets = {0};

	local_value_parse(pool, (struct str){(const char *)data, size}, &targets);
	for (size_t i = 0; i < targets.count; i++) {
		if (!targets.list[i].text[0] || strlen(targets.list[i].text) > 2 * size + 2)
			__builtin_trap();
	}
	pool_free(&pool);
	return 0;
}
