/*
 * A slice: bytes that belong to somebody else, with an explicit length and no terminator. Input from outside
 * is handled as slices until it is known to hold no NUL; then it may become a C string.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_c(const char *s) /* NULL gives the empty slice */
{
	return (struct str){s ? s : "", s ? strlen(s) : 0};
}

bool str_eq(struct str a, struct str b);
bool str_case_eq(struct str a, struct str b); /* ASCII case only, whatever the locale */
bool str_is(struct str a, const char *b);     /* str_eq with a C string */
bool str_case_is(struct str a, const char *b);
bool str_starts(struct str s, struct str prefix);
bool str_case_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_has_nul(struct str s);
bool str_all_digits(struct str s);	  /* false: empty */
ptrdiff_t str_find(struct str s, char c); /* index or -1 */
ptrdiff_t str_rfind(struct str s, char c);
struct str str_until(struct str s, char c);	 /* what stands before the first c; all if there is none */
struct str str_from(struct str s, size_t start); /* clamped */
struct str str_first(struct str s, size_t n);	 /* clamped */
struct str str_trim(struct str s);		 /* both ends, " \t\r\n" */
struct str str_strip(struct str s); /* both ends, form feeds and vertical tabs too: files of the operator */
/* Takes the next word off *rest, separated by any byte of seps; false when none is left. */
bool str_word(struct str *rest, const char *seps, struct str *word);
/* Whether a list of words, separated by commas and blanks, has this one. */
bool str_lists(const char *list, const char *word);
bool str_case_lists(const char *list, const char *word);
/* As str_word, but words may be grouped by { }; the outer braces stay on the word. */
bool str_group(struct str *rest, const char *seps, struct str *word);
/* Whole-slice decimal conversion; false on empty input, other characters or overflow past max. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *out);
bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *out);
bool str_has_control(struct str s);
void ascii_lower(char *s);			 /* in place, ASCII only */
void ascii_hide_controls(char *s, char instead); /* in place */
int ascii_casecmp(const char *a, const char *b);

static inline bool ascii_is_control(char c) /* whatever the locale; DEL is one */
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* Takes an escape of C off *p, which points behind its backslash: \\a, \\n and the like, one to three octal
 * digits. The byte; -1: it is none, and nothing is taken. */
int str_take_escape(const char **p);
bool str_has_8bit(struct str s); /* a byte beyond ASCII */

static inline bool ascii_is_space(char c) /* whatever the locale */
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

#endif
