#include <unicase.h>
#include <unistr.h>

#include "base/mem.h"
#include "table/table_type.h"

static void fold_ascii(struct str key, struct buf *out)
{
	for (size_t i = 0; i < key.n; i++) {
		char c = key.p[i];

		buf_putc(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
	}
}

static bool has_high_bytes(struct str key)
{
	for (size_t i = 0; i < key.n; i++) {
		if ((unsigned char)key.p[i] >= 0x80)
			return true;
	}
	return false;
}

void table_fold(struct str key, struct buf *out)
{
	const uint8_t *bytes = (const uint8_t *)key.p;
	uint8_t *folded = NULL;
	size_t n = 0;

	if (has_high_bytes(key) && u8_check(bytes, key.n) == NULL)
		folded = u8_casefold(bytes, key.n, NULL, NULL, NULL, &n);
	if (folded)
		buf_add(out, folded, n);
	else
		fold_ascii(key, out);
	free(folded);
}
