#include "mail/encoded_word.h"

#include "base/utf8.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_charset(void **state)
{
	char name[201];

	memset(name, 'a', sizeof(name));
	assert_true(encoded_word_charset(STR("utf-8")));
	assert_true(encoded_word_charset((struct str){name, 40}));
	assert_true(encoded_word_charset((struct str){name, 56}));
	assert_false(encoded_word_charset((struct str){name, 57}));
	assert_false(encoded_word_charset((struct str){name, 200}));
	assert_false(encoded_word_charset(STR("")));
	assert_false(encoded_word_charset(STR("utf 8")));
	assert_false(encoded_word_charset(STR("utf?8")));
}

static void test_words(void **state)
{
	struct buf out = BUF(1000);

	encoded_word_add(STR("J\303\244 \"Q\" (x)=?_\0!"), STR("utf-8"), &out);
	assert_string_equal(buf_cstr(&out), "=?utf-8?Q?J=C3=A4_=22Q=22_=28x=29=3D=3F=5F=00!?=");
	buf_clear(&out);
	encoded_word_add(STR("\344\377"), STR("iso-8859-1"), &out);
	assert_string_equal(buf_cstr(&out), "=?iso-8859-1?Q?=E4=FF?=");
	buf_free(&out);
}

/* Every word is short enough and, decoded, whole UTF-8; wherever the characters fall. */
static void check_word(struct str word, struct str charset)
{
	struct buf text = BUF(100);

	assert_true(word.n <= 75);
	word = str_from(word, charset.n + 5);
	word = str_first(word, word.n - 2);
	for (size_t i = 0; i < word.n; i++) {
		unsigned value = 0;

		if (word.p[i] != '=') {
			buf_putc(&text, word.p[i]);
			continue;
		}
		sscanf(word.p + i + 1, "%2X", &value);
		buf_putc(&text, (char)value);
		i += 2;
	}
	assert_true(utf8_valid(buf_slice(&text)));
	buf_free(&text);
}

static void test_splits(void **state)
{
	static const char *const characters[] = {"x", "\303\244", "\342\202\254", "\360\237\230\200"};

	for (size_t shift = 0; shift < 12; shift++) {
		struct buf text = BUF(10000), out = BUF(100000);
		struct str rest, word;

		for (size_t i = 0; i < shift; i++)
			buf_putc(&text, 'a');
		for (size_t i = 0; i < 2000; i++)
			buf_puts(&text, characters[(i * 7 + i / 5) % 4]);
		encoded_word_add(buf_slice(&text), STR("utf-8"), &out);
		rest = buf_slice(&out);
		while (str_word(&rest, "\r\n ", &word))
			check_word(word, STR("utf-8"));
		buf_free(&text);
		buf_free(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_charset),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_splits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
