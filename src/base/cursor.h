/*
 * A cursor over bytes with checked reads: every read says whether it succeeded, and a failed read moves
 * nothing and makes the cursor bad for good, so a parser may check once at its end. Integers are
 * little-endian on disk and between processes.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/str.h"

struct cursor {
	const unsigned char *p;
	size_t left;
	bool bad;
};

struct cursor cursor_of(const void *data, size_t n);
bool cursor_u8(struct cursor *c, uint8_t *out);
bool cursor_u16(struct cursor *c, uint16_t *out);
bool cursor_u32(struct cursor *c, uint32_t *out);
bool cursor_u64(struct cursor *c, uint64_t *out);
bool cursor_bytes(struct cursor *c, size_t n, struct str *out);
bool cursor_skip(struct cursor *c, size_t n);
struct str cursor_rest(const struct cursor *c);

#endif
