/* cidr:, regexp: and pcre: tables, which have indexes, against trying one rule after the other. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <regex.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "../support/test_table.h"
#include "base/net.h"
#include "table/pattern_literals.h"

#define TABLES 300
#define RULES 40
#define KEYS 200

/* A rule as the test keeps it. */
struct model {
	enum { RULE, IF, ENDIF } kind;
	bool negated;
	char pattern[200];
};

typedef bool (*match_fn)(const struct model *rule, const char *key);

static unsigned seed;

static unsigned pick(unsigned n)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % n;
}

/* The rule that answers, by trying all in order; -1: none. */
static int plain_find(const struct model *rules, int count, match_fn match, const char *key)
{
	int off = 0; /* depth of ifs since the one that did not match, itself included */

	for (int i = 0; i < count; i++) {
		if (rules[i].kind == ENDIF)
			off -= off > 0;
		else if (off)
			off += rules[i].kind == IF;
		else if (rules[i].kind == IF)
			off = match(&rules[i], key) ? 0 : 1;
		else if (match(&rules[i], key))
			return i;
	}
	return -1;
}

/* Random rules with ifs that all end; the patterns are filled in by pattern(). */
static int random_rules(struct model *rules, void (*pattern)(struct model *rule))
{
	int count = 0, depth = 0;

	while (count < RULES - depth) {
		struct model *rule = &rules[count++];

		*rule = (struct model){.kind = RULE, .negated = pick(12) == 0};
		if (depth > 0 && pick(5) == 0) {
			rule->kind = ENDIF;
			depth--;
			continue;
		}
		if (pick(6) == 0 && count + depth < RULES - 2) {
			rule->kind = IF;
			depth++;
		}
		pattern(rule);
	}
	while (depth-- > 0)
		rules[count++] = (struct model){.kind = ENDIF};
	return count;
}

static struct table *table_of(const char *type, const struct model *rules, int count)
{
	struct buf text = BUF(1 << 20);
	const char *quote = strcmp(type, "cidr") == 0 ? "" : "~";
	struct table *t;

	for (int i = 0; i < count; i++) {
		const struct model *rule = &rules[i];

		if (rule->kind == ENDIF)
			buf_puts(&text, "endif\n");
		else
			buf_printf(&text, "%s%s%s%s%s", rule->kind == IF ? "if " : "",
				rule->negated ? "!" : "", quote, rule->pattern, quote);
		if (rule->kind == RULE)
			buf_printf(&text, " r%d", i);
		buf_putc(&text, '\n');
	}
	t = test_source(type, buf_cstr(&text), 0);
	buf_free(&text);
	return t;
}

static void compare(
	const char *type, void (*pattern)(struct model *rule), match_fn match, void (*key)(char out[64]))
{
	int found = 0;

	for (int round = 0; round < TABLES; round++) {
		struct model rules[RULES];
		int count = random_rules(rules, pattern);
		struct table *t = table_of(type, rules, count);

		for (int i = 0; i < KEYS; i++) {
			char text[64], answer[16];
			int wanted;

			key(text);
			wanted = plain_find(rules, count, match, text);
			snprintf(answer, sizeof(answer), "r%d", wanted);
			test_lookup(t, text, wanted < 0 ? NULL : answer);
			found += wanted > 0;
		}
		table_close(&t);
	}
	assert_true(found > TABLES * KEYS / 20);
}

/* Networks and addresses that are near each other, in both families; the first and the last of all too. */
static void random_network(struct model *rule)
{
	static const char *const v4[] = {"10.0.", "255.255.", "0.0."};
	static const char *const v6[] = {"2001:db8:", "ffff:ffff:", "0:0:"};
	unsigned bits = pick(9), low = pick(256) & ~(0xffu >> bits) & 0xff, top = pick(3);

	if (pick(20) == 0)
		snprintf(rule->pattern, sizeof(rule->pattern), "%s", pick(2) ? "0.0.0.0/0" : "::/0");
	else if (pick(2))
		snprintf(rule->pattern, sizeof(rule->pattern), "%s%u.0/%u", v4[top], low, bits + 16);
	else
		snprintf(rule->pattern, sizeof(rule->pattern), "%s%02x00::/%u", v6[top], low, bits + 32);
}

static void random_address(char out[64])
{
	static const char *const v4[] = {"10.0.", "10.0.", "255.255.", "0.0."};
	static const char *const v6[] = {"2001:db8:", "2001:db8:", "ffff:ffff:", "0:0:"};
	static const char *const last[] = {"00::", "ff:ffff:ffff:ffff:ffff:ffff", "12::1"};
	unsigned top = pick(4);

	if (pick(2))
		snprintf(out, 64, "%s%u.%u", v4[top], pick(256), pick(2) ? 0 : 255);
	else
		snprintf(out, 64, "%s%02x%s", v6[top], pick(256), last[pick(3)]);
}

static bool network_match(const struct model *rule, const char *key)
{
	struct net_cidr net;
	struct net_addr a;

	assert_true(net_parse_cidr(str_c(rule->pattern), &net, NULL));
	assert_true(net_parse_ip(str_c(key), 0, &a));
	if (net.family != a.ss.ss_family)
		return false;
	return net_cidr_match(&net, &a) != rule->negated;
}

static void test_cidr(void **state)
{
	seed = 1;
	compare("cidr", random_network, network_match, random_address);
}

static const char *const parts[] = {"abc", "bca", "cab", "ab", "a", "b", "c", "ABC", "abca", "bcab", "abc",
	"cabc", "a+", "b*", "c?", "a{2}", "b{0,1}", "c{0}", "b{1,}", "a{x", "(abc|bca)", "(cab)*", "(cab)+",
	"(?:bca)", "(abc)?", "(ab(ca|bc))", "(cab){0}", "()", ".", ".*", "^", "$", "|", "|", "\\.", "[.]",
	"[ab]", "[^a]", "[]a]", "[[:alpha:]]", "[a", "]", "\\", "(", ")", "\\w", "\\bab", "\\1", "[\\]ab",
	"{", "}", "+", "*", "?", "#", "+?", "{,2}", "\\`", "\\<abc", "[\\[:alpha:]bca]", "(?=abc)", "(?!abc)",
	"\\Qa*b\\E", "(?i)", "\\x61", "x", "-"};

static void random_text(char *out, size_t size, unsigned most)
{
	struct buf text = BUF(size - 1);

	for (unsigned n = 1 + pick(most); n > 0; n--)
		buf_puts(&text, parts[pick(pick(3) ? 12 : sizeof(parts) / sizeof(*parts))]);
	snprintf(out, size, "%s", buf_cstr(&text));
	buf_free(&text);
}

static void random_key(char out[64])
{
	static const char letters[] = "abcabcabcabcABC.-[]x*";
	unsigned n = pick(13);

	for (unsigned i = 0; i < n; i++)
		out[i] = letters[pick(sizeof(letters) - 1)];
	out[n] = '\0';
}

static pcre2_code *pcre_of(const struct model *rule)
{
	PCRE2_SIZE offset;
	int error;

	return pcre2_compile((PCRE2_SPTR)rule->pattern, PCRE2_ZERO_TERMINATED, PCRE2_CASELESS | PCRE2_DOTALL,
		&error, &offset, NULL);
}

/* Without a backslash at the end, which would protect the delimiter; both engines know that one as an error.
 */
static void random_pcre(struct model *rule)
{
	pcre2_code *code = NULL;

	while (!code) {
		random_text(rule->pattern, sizeof(rule->pattern), 5);
		code = pcre_of(rule);
	}
	pcre2_code_free(code);
}

static bool pcre_match(const struct model *rule, const char *key)
{
	pcre2_code *code = pcre_of(rule);
	pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
	bool hit = pcre2_match(code, (PCRE2_SPTR)key, strlen(key), 0, 0, data, NULL) > 0;

	pcre2_match_data_free(data);
	pcre2_code_free(code);
	return hit != rule->negated;
}

static void test_pcre(void **state)
{
	seed = 2;
	compare("pcre", random_pcre, pcre_match, random_key);
}

static void random_regexp(struct model *rule)
{
	regex_t re;

	do
		random_text(rule->pattern, sizeof(rule->pattern), 5);
	while (regcomp(&re, rule->pattern, REG_EXTENDED | REG_ICASE) != 0);
	regfree(&re);
}

static bool regexp_match(const struct model *rule, const char *key)
{
	regex_t re;
	bool hit;

	assert_int_equal(regcomp(&re, rule->pattern, REG_EXTENDED | REG_ICASE), 0);
	hit = regexec(&re, key, 0, NULL, 0) == 0;
	regfree(&re);
	return hit != rule->negated;
}

static void test_regexp(void **state)
{
	seed = 3;
	compare("regexp", random_regexp, regexp_match, random_key);
}

/* wanted: the literals, each with a comma behind it; "": nothing is known. */
static void check_literals(const char *pattern, const char *wanted)
{
	struct literals l;
	struct buf shown = BUF(1000);

	pattern_literals(str_c(pattern), &l);
	for (size_t i = 0; l.shortest && i < l.text.len; i++)
		buf_putc(&shown, l.text.data[i] ? l.text.data[i] : ',');
	assert_string_equal(buf_cstr(&shown), wanted);
	buf_free(&shown);
	buf_free(&l.text);
}

static void test_literals(void **state)
{
	check_literals("^User\\.name@example[.]com$", "user.name@example.com,");
	check_literals("viagra|cialis+x", "viagra,cialis,");
	check_literals("^Subject:.*(free|cheap) money!", "subject:,");
	check_literals("ab(longer|words)?", "ab,");
	check_literals("ab(longer|words)+", "longer,words,");
	check_literals("longer|.", "");
	check_literals("abcx?de", "abc,");
	check_literals("abcx+*de", "abc,");
	check_literals("abcx{0,3}de", "abc,");
	check_literals("(?i)abc", "");
	check_literals("(*UTF)abc", "");
	check_literals("\\Qabc\\E", "");
	check_literals("abc)", "");
	check_literals("abc(", "");
	check_literals("abc\\", "");
	check_literals("", "");
}

static int remove_files(void **state)
{
	test_files_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_cidr),
		cmocka_unit_test(test_pcre),
		cmocka_unit_test(test_regexp),
	};

	return cmocka_run_group_tests(tests, NULL, remove_files);
}
