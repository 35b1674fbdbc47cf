#include "base/str.h"

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_case_eq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	}
	return true;
}

/* Most words differ in their first byte: b is not measured before. */
bool str_is(struct str a, const char *b)
{
	size_t i = 0;

	while (b && i < a.n && b[i] && a.p[i] == b[i])
		i++;
	return i == a.n && (!b || !b[i]);
}

bool str_case_is(struct str a, const char *b)
{
	size_t i = 0;

	while (b && i < a.n && b[i] && lower(a.p[i]) == lower(b[i]))
		i++;
	return i == a.n && (!b || !b[i]);
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq(str_first(s, prefix.n), prefix);
}

bool str_case_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_case_eq(str_first(s, prefix.n), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

bool str_has_nul(struct str s)
{
	return str_find(s, '\0') >= 0;
}

bool str_all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

ptrdiff_t str_find(struct str s, char c)
{
	const char *p = s.n ? memchr(s.p, c, s.n) : NULL;

	return p ? p - s.p : -1;
}

ptrdiff_t str_rfind(struct str s, char c)
{
	const char *p = s.n ? memrchr(s.p, c, s.n) : NULL;

	return p ? p - s.p : -1;
}

struct str str_from(struct str s, size_t start)
{
	if (start > s.n)
		start = s.n;
	return (struct str){s.n ? s.p + start : s.p, s.n - start};
}

struct str str_until(struct str s, char c)
{
	ptrdiff_t at = str_find(s, c);

	return at < 0 ? s : str_first(s, (size_t)at);
}

struct str str_first(struct str s, size_t n)
{
	return (struct str){s.p, n < s.n ? n : s.n};
}

static bool among(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

struct str str_trim(struct str s)
{
	while (s.n && among(s.p[0], " \t\r\n"))
		s = str_from(s, 1);
	while (s.n && among(s.p[s.n - 1], " \t\r\n"))
		s.n--;
	return s;
}

struct str str_strip(struct str s)
{
	while (s.n && ascii_is_space(s.p[0]))
		s = str_from(s, 1);
	while (s.n && ascii_is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

static bool skip_separators(struct str *rest, const char *seps)
{
	while (rest->n && among(rest->p[0], seps))
		*rest = str_from(*rest, 1);
	return rest->n > 0;
}

bool str_word(struct str *rest, const char *seps, struct str *word)
{
	size_t n = 0;

	if (!skip_separators(rest, seps))
		return false;
	while (n < rest->n && !among(rest->p[n], seps))
		n++;
	*word = str_first(*rest, n);
	*rest = str_from(*rest, n);
	return true;
}

static bool lists(const char *list, const char *wanted, bool (*is)(struct str a, const char *b))
{
	struct str rest = str_c(list), word;

	while (str_word(&rest, ", \t\r\n", &word))
		if (is(word, wanted))
			return true;
	return false;
}

bool str_lists(const char *list, const char *word)
{
	return lists(list, word, str_is);
}

bool str_case_lists(const char *list, const char *word)
{
	return lists(list, word, str_case_is);
}

bool str_group(struct str *rest, const char *seps, struct str *word)
{
	size_t n = 0, depth = 0;

	if (!skip_separators(rest, seps))
		return false;
	for (; n < rest->n; n++) {
		char c = rest->p[n];

		if (c == '{')
			depth++;
		else if (c == '}' && depth > 0)
			depth--;
		else if (depth == 0 && among(c, seps))
			break;
	}
	*word = str_first(*rest, n);
	*rest = str_from(*rest, n);
	return true;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';

		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (v > max)
		return false;
	*out = v;
	return true;
}

static bool negative_to_i64(struct str digits, int64_t min, int64_t *out)
{
	uint64_t v;

	if (!str_to_u64(digits, (uint64_t)INT64_MAX + 1, &v))
		return false;
	if (min > 0 || v > -(uint64_t)min)
		return false;
	*out = (int64_t)-v;
	return true;
}

bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *out)
{
	uint64_t v;
	int64_t value;

	if (s.n && s.p[0] == '-') {
		if (!negative_to_i64(str_from(s, 1), min, &value))
			return false;
	} else {
		if (max < 0 || !str_to_u64(s, (uint64_t)max, &v))
			return false;
		value = (int64_t)v;
	}
	if (value < min || value > max)
		return false;
	*out = value;
	return true;
}

bool str_has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_is_control(s.p[i]))
			return true;
	return false;
}

void ascii_hide_controls(char *s, char instead)
{
	for (; *s; s++)
		if (ascii_is_control(*s))
			*s = instead;
}

void ascii_lower(char *s)
{
	for (; *s; s++)
		*s = lower(*s);
}

int ascii_casecmp(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return (unsigned char)lower(*a) - (unsigned char)lower(*b);
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

int str_take_escape(const char **p)
{
	static const char letters[] = "abfnrtv\\", meant[] = "\a\b\f\n\r\t\v\\";
	const char *known = **p ? strchr(letters, **p) : NULL;
	int value = 0;

	if (known) {
		(*p)++;
		return meant[known - letters];
	}
	if (!is_octal(**p))
		return -1;
	for (int i = 0; i < 3 && is_octal(**p); i++)
		value = value * 8 + *(*p)++ - '0';
	return value & 255;
}

bool str_has_8bit(struct str s)
{
	uint64_t word, high = 0;

	while (s.n >= sizeof(word)) {
		memcpy(&word, s.p, sizeof(word));
		high |= word;
		s.p += sizeof(word);
		s.n -= sizeof(word);
	}
	for (size_t i = 0; i < s.n; i++)
		high |= (unsigned char)s.p[i];
	return (high & UINT64_C(0x8080808080808080)) != 0;
}
