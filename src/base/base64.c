#include "base/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool base64_encode(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i += 3) {
		size_t have = in.n - i < 3 ? in.n - i : 3;
		uint32_t bits = 0;
		char quad[4];

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < have ? (unsigned char)in.p[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			quad[k] = k <= have ? letters[bits >> (18 - 6 * k) & 63] : '=';
		buf_add(out, quad, 4);
	}
	return !out->over;
}

static int letter_value(char c)
{
	const char *hit = c ? strchr(letters, c) : NULL;

	return hit ? (int)(hit - letters) : -1;
}

/* Four letters; *padding counts the '=' at their end. */
static bool quad_take(const char *quad, uint32_t *bits, size_t *padding)
{
	*bits = 0;
	*padding = quad[3] == '=' ? 1 + (quad[2] == '=') : 0;
	for (size_t k = 0; k < 4; k++) {
		int value = k < 4 - *padding ? letter_value(quad[k]) : 0;

		if (value < 0)
			return false;
		*bits = *bits << 6 | (uint32_t)value;
	}
	return true;
}

bool base64_decode(struct str in, struct buf *out)
{
	size_t padding = 0;

	if (in.n % 4 != 0)
		return false;
	for (size_t i = 0; i < in.n; i += 4) {
		uint32_t bits;
		char bytes[3];

		if (padding > 0 || !quad_take(in.p + i, &bits, &padding))
			return false;
		bytes[0] = (char)(bits >> 16);
		bytes[1] = (char)(bits >> 8);
		bytes[2] = (char)bits;
		buf_add(out, bytes, 3 - padding);
	}
	return !out->over;
}
