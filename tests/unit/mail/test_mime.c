#include "mail/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define OUT_MAX 200

/* What each line of text belongs to: p, m (part), n (nested) of headers, b of the body, - of a boundary, . of
 * the empty line after a header; ! a level that is too deep, ? an encoding that may not be. */
static void walk(const char *text, const struct mime_options *options, char out[OUT_MAX])
{
	struct mime *m = mime_new(options);
	struct str rest = str_c(text), line;
	enum mime_encoding declared;
	size_t n = 0;

	for (; rest.n && n < OUT_MAX - 4; rest = str_from(rest, line.n + 1)) {
		ptrdiff_t colon;

		line = str_first(rest, (size_t)str_find(rest, '\n'));
		colon = str_find(line, ':');
		if (mime_section(m) != MIME_BODY && line.n && colon > 0) {
			out[n++] = "pmn"[mime_section(m)];
			if (!mime_header(m, line))
				out[n++] = '!';
			continue;
		}
		if (mime_section(m) != MIME_BODY) {
			if (!mime_end_header(m, line.n == 0, &declared))
				out[n++] = '?';
			if (line.n == 0) {
				out[n++] = '.';
				continue;
			}
		}
		out[n++] = mime_boundary(m, line) ? '-' : 'b';
	}
	out[n] = '\0';
	mime_free(&m);
	assert_null(m);
}

#define MULTI(boundary) "Content-Type: multipart/mixed; boundary=" boundary "\n\n"

static const struct {
	const char *text, *wanted;
} structures[] = {
	{"A: b\n\nx\n--b\n", "p.bb"},
	{MULTI("b") "x\n--b\nA: b\n\nx\n--b--\nA: b\n", "p.b-m.b-b"},
	{MULTI("\"a b\"") "--a b  \nA: b\n\n--a b-- \nx: y\n--a b\n", "p.-m.-bb"},
	{MULTI("\"b\\\"c\"") "--b\"c\nA: b\n", "p.-m"},
	{MULTI("\"b") "--b\nA: b\n", "p.-m"},
	{MULTI("b c") "--b c\n--bcd\n", "p.--"},
	{MULTI("b/c?d") "--b\nA: b\n", "p.-m"},
	{MULTI("@b") "--b\n--@b\n", "p.b-"},
	{MULTI("") "--\nA: b\n", "p.bb"},
	{MULTI("\"\"") "--\nA: b\n", "p.-m"},
	{MULTI("b; boundary=c") "--c\nA: b\n\n--b\nA: b\n\n--c\n", "p.-m.-m.b"},
	{MULTI("b") "--b\nA: b\n--b\nC: d\nnone\nE: f\n", "p.-m-mbb"},
	{MULTI("b") "--b\n--b: x\nA: b\n\nx\n--b: x\nC: d\n", "p.-mm.b-m"},
	{MULTI("b") "--b\n" MULTI("c") "--c\nI: j\n\n--b\nK: l\n\n--c\nx\n--b--\n--b\n", "p.-m.-m.-m.bb-b"},
	{MULTI("bc") "--bc\n" MULTI("b") "--bc\nA: b\n\nx\n--b\nC: d\n", "p.-m.-m.b-m"},
	{"Content-Type: multipart/mixed boundary=b\n\n--b\n", "p.b"},
	{"Content-Type: multipart/mixed; x=\"a;boundary=b\"; boundary=c\n\n--b\n--c\n", "p.b-"},
	{"Content-Type: multipart/mixed; x=a boundary=c\n\n--c\n", "p.b"},
	{"Content-Type: multipart/mixed;; boundary=c (\n\n--c\n", "p.-"},
	{"Content-Type: multipart; boundary=c\n\n--c\n", "p.-"},
	{"Content-Type: \"multipart\"/mixed; boundary=c\n\n--c\n", "p.b"},
	{"Content-Type: (c (d)) multipart (x) / (y) mixed (\\)) ; (w) x=y; boundary (u) = (v) b\n\n--b\nA: "
	 "b\n",
		"p.-m"},
	{"Content-Type: multipart/digest; boundary=b\n\n--b\nA: b\n\nC: d\n\nx\n--b\n\nE: f\n",
		"p.-m.n.b-.n"},
	{"Content-Type: multipart/digest; boundary=b\n\n--b\nContent-Type: text/plain\n\nC: d\n", "p.-m.b"},
	{"Content-Type: multipart/digest; boundary=b\n\n--b\nContent-Type: image/png\n\nC: d\n", "p.-m.n"},
	{"Content-Type: MESSAGE/RFC822; x\n\nA: b\n\nA: b\n", "p.n.b"},
	{"Content-Type: message/global\n\nA: b\n\nA: b\n", "p.n.b"},
	{"Content-Type: message/rfc822\nnone\nA: b\n", "pbb"},
	{"Content-Type: message/delivery-status\n\nA: b\n", "p.b"},
	{"Content-Type: message/external-body\n\nA: b\n", "p.b"},
	{"Content-Type: message rfc822\n\nA: b\n", "p.b"},
	{"Content-Type: text/plain\nContent-Type: message/rfc822\n\nA: b\n", "pp.n"},
	{"Content-Type: message/rfc822\nContent-Type: text/plain\n\nA: b\n", "pp.b"},
	{"Content-Type: message/rfc822\nContent-Transfer-Encoding: (x) base64\n\n", "pp?."},
	{"Content-Transfer-Encoding: BASE64\nContent-Type: multipart/mixed\n\n", "pp?."},
	{"Content-Type: message/partial\nContent-Transfer-Encoding: 8bit\n\n", "pp?."},
	{"Content-Type: message/global\nContent-Transfer-Encoding: base64\n\nA: b\n", "pp.n"},
	{"Content-Type: message/foo\nContent-Transfer-Encoding: base64\n\n", "pp."},
	{"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n", "pp."},
};

static void test_structure(void **state)
{
	const struct mime_options options = {10, 100};
	char out[OUT_MAX];

	for (size_t i = 0; i < sizeof(structures) / sizeof(*structures); i++) {
		walk(structures[i].text, &options, out);
		assert_string_equal(out, structures[i].wanted);
	}
}

static void test_limits(void **state)
{
	char out[OUT_MAX];

	walk(MULTI("a1") "--a1\n" MULTI("a2") "--a2\n" MULTI("a3") "--a3\n" MULTI("a4") "--a4\nA: b\n",
		&(struct mime_options){1, 100}, out);
	assert_string_equal(out, "p.-m.-m.-m!.bb");
	walk(MULTI("abcdefgh") "--abcdxxxx\nA: b\n\n--abcd--\n--abcdefgh\n", &(struct mime_options){10, 4},
		out);
	assert_string_equal(out, "p.-m.-b");
}

/* A quoted boundary over two lines has no line end in it, nor the blanks before. */
static void test_folded(void **state)
{
	struct mime *m = mime_new(&(struct mime_options){10, 100});
	enum mime_encoding declared;

	assert_true(mime_header(m, STR("Content-Type: multipart/mixed; boundary = \"ab\\cd \r\n ef\" x")));
	assert_true(mime_end_header(m, true, &declared));
	assert_false(mime_boundary(m, STR("--abcd  ef")));
	assert_true(mime_boundary(m, STR("--abcd ef")));
	mime_free(&m);
}

static void test_encoding(void **state)
{
	struct mime *m = mime_new(&(struct mime_options){10, 100});
	enum mime_encoding declared;

	assert_true(mime_header(m, STR("Content-Type: multipart/mixed; boundary=b")));
	assert_true(mime_header(m, STR("content-transfer-encoding: 8BIT (yes)")));
	assert_true(mime_header(m, STR("Content-Transfer-Encoding: unknown")));
	assert_int_equal(mime_encoding(m), MIME_8BIT);
	assert_true(mime_end_header(m, true, &declared));
	assert_int_equal(declared, MIME_8BIT);
	assert_int_equal(mime_encoding(m), MIME_7BIT);
	assert_true(mime_boundary(m, STR("--b")));
	assert_true(mime_header(m, STR("Content-Transfer-Encoding: quoted-printable")));
	assert_true(mime_end_header(m, true, &declared));
	assert_int_equal(mime_encoding(m), MIME_QUOTED_PRINTABLE);
	assert_true(mime_boundary(m, STR("--b--")));
	assert_int_equal(mime_encoding(m), MIME_7BIT);
	mime_free(&m);
	assert_string_equal(mime_encoding_name(MIME_BASE64), "base64");
}

static void test_names(void **state)
{
	assert_true(mime_is_header(STR("CONTENT-TYPE")));
	assert_true(mime_is_header(STR("Mime-Version")));
	assert_false(mime_is_header(STR("Content-Length")));
	assert_false(mime_is_header(STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_folded),
		cmocka_unit_test(test_encoding),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
