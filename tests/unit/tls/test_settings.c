#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/mem.h"
#include "make_keys.h"
#include "tls/tls_internal.h"

#define ALL (SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TLSv1_3)

static void test_protocols(void **state)
{
	static const struct {
		const char *list;
		bool ok;
		int low, high;
		uint64_t off;
	} rows[] = {
		{"", true, 0, 0, 0},
		{">=TLSv1.2", true, TLS1_2_VERSION, 0, 0},
		{">=TLSv1, <=0x0303", true, TLS1_VERSION, TLS1_2_VERSION, 0},
		{"!SSLv2, !SSLv3:!tlsv1", true, 0, 0, SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1},
		{"TLSv1.2 TLSv1.3", true, 0, 0, SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1},
		{"SSLv2", false, 0, 0, 0},
		{">=TLSv9", false, 0, 0, 0},
		{">=03x3", false, 0, 0, 0},
		{"!TLSv1.2, !nonsense", false, 0, 0, 0},
		{"TLSv1.3 !TLSv1.3", false, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
		struct err err = {""};

		assert_int_equal(tls_set_protocols(ctx, rows[i].list, &err), rows[i].ok);
		assert_int_equal(err.text[0] == '\0', rows[i].ok);
		if (rows[i].ok) {
			assert_int_equal(SSL_CTX_get_min_proto_version(ctx), rows[i].low);
			assert_int_equal(SSL_CTX_get_max_proto_version(ctx), rows[i].high);
			assert_int_equal(SSL_CTX_get_options(ctx) & ALL, rows[i].off);
		}
		SSL_CTX_free(ctx);
	}
}

static void test_ciphers(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct err err = {""};

	assert_true(tls_set_ciphers(ctx, "aNULL:-aNULL:HIGH:@STRENGTH", "aNULL, MD5", &err));
	assert_true(tls_set_ciphers(ctx, NULL, NULL, &err));
	assert_false(tls_set_ciphers(ctx, "nonsense", "", &err));
	assert_true(err.text[0] != '\0');
	SSL_CTX_free(ctx);
}

struct files {
	char dir[64];
	struct made a, b;
};

static int set_up(void **state)
{
	struct files *f = x_alloc(sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/test_tls.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->a = make_keys("a.example");
	f->b = make_keys("b.example");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct files *f = *state;

	made_free(&f->a);
	made_free(&f->b);
	rmdir(f->dir);
	x_free(&f);
	return 0;
}

static bool chain_loads(const char *files)
{
	struct tls_server_options o = {.chain_files = files};
	struct err err = {""};
	struct tls_context *c = tls_server_context(&o, &err);
	bool ok = c;

	assert_int_equal(ok, err.text[0] == '\0');
	tls_context_free(&c);
	return ok;
}

static void test_chain_files(void **state)
{
	struct files *f = *state;
	static const struct {
		int first, second; /* parts of a's file and of a second file; 0: none */
		bool second_is_b, ok;
	} rows[] = {
		{WRITE_KEY | WRITE_CERT, 0, false, true},
		{WRITE_JUNK | WRITE_KEY | WRITE_CERT, 0, false, true},
		{WRITE_KEY, WRITE_CERT, false, true},
		{WRITE_KEY | WRITE_CERT, WRITE_KEY | WRITE_CERT, true, true},
		{WRITE_KEY, WRITE_CERT, true, false},
		{WRITE_CERT | WRITE_KEY_AFTER, 0, false, false},
		{WRITE_KEY, 0, false, false},
		{WRITE_KEY | WRITE_CERT, WRITE_KEY, true, false},
		{WRITE_JUNK, 0, false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char one[128], two[128] = "", list[300];

		write_pem(f->dir, "one.pem", &f->a, rows[i].first, one);
		if (rows[i].second)
			write_pem(
				f->dir, "two.pem", rows[i].second_is_b ? &f->b : &f->a, rows[i].second, two);
		snprintf(list, sizeof(list), "%s, %s", one, two);
		assert_int_equal(chain_loads(list), rows[i].ok);
		unlink(one);
		unlink(two);
	}
	assert_false(chain_loads("/nonexistent.pem"));
}

static bool pair_loads(const char *cert, const char *key)
{
	struct tls_server_options o = {.cert_file = cert, .key_file = key};
	struct err err = {""};
	struct tls_context *c = tls_server_context(&o, &err);
	bool ok = c;

	assert_int_equal(ok, err.text[0] == '\0');
	tls_context_free(&c);
	return ok;
}

static void test_pairs(void **state)
{
	struct files *f = *state;
	char before[128], after[128], cert[128], key[128], other[128];

	write_pem(f->dir, "before", &f->a, WRITE_JUNK | WRITE_KEY | WRITE_CERT, before);
	write_pem(f->dir, "after", &f->a, WRITE_CERT | WRITE_KEY_AFTER, after);
	write_pem(f->dir, "cert", &f->a, WRITE_CERT, cert);
	write_pem(f->dir, "key", &f->a, WRITE_KEY, key);
	write_pem(f->dir, "other", &f->b, WRITE_KEY, other);
	assert_true(pair_loads(before, NULL));
	assert_true(pair_loads(after, after));
	assert_true(pair_loads(cert, key));
	assert_true(pair_loads("none", ""));
	assert_false(pair_loads(cert, other));
	assert_false(pair_loads(cert, ""));
	assert_false(pair_loads("", ""));
	assert_false(pair_loads("/nonexistent", ""));
	unlink(before);
	unlink(after);
	unlink(cert);
	unlink(key);
	unlink(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_ciphers),
		cmocka_unit_test(test_chain_files),
		cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
