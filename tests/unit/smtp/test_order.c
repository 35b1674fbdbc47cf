#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "smtp/smtp_hosts.h"

#define HOSTS_MAX 40

/* "a4:10 b6:20": names with family and preference. */
static struct smtp_hosts make(const char *text, struct smtp_host list[HOSTS_MAX])
{
	struct smtp_hosts hosts = {list, 0, false};
	struct str rest = str_c(text), word;

	while (str_word(&rest, " ", &word)) {
		struct smtp_host *h = &list[hosts.count++];
		static const char *const names[] = {
			"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};
		uint64_t preference;

		*h = (struct smtp_host){.name = names[word.p[0] - 'a']};
		h->address.ss.ss_family = word.p[1] == '6' ? AF_INET6 : AF_INET;
		assert_true(str_to_u64(str_from(word, 3), 65535, &preference));
		h->preference = (int)preference;
	}
	return hosts;
}

static void expect(const struct config *cfg, const char *text, const char *wanted)
{
	struct smtp_host list[HOSTS_MAX];
	struct smtp_hosts hosts = make(text, list);
	char got[HOSTS_MAX * 2] = "";

	smtp_hosts_order(cfg, &hosts);
	for (size_t i = 0; i < hosts.count; i++)
		snprintf(got + i, sizeof(got) - i, "%s", hosts.list[i].name);
	assert_string_equal(got, wanted);
}

static void test_order(void **state)
{
	struct config cfg = {.smtp_address_preference = "any", .smtp_mx_address_limit = 0};

	expect(&cfg, "", "");
	expect(&cfg, "a4:30 b4:10 c4:20 d4:10", "bdca");
	cfg.smtp_address_preference = "ipv6";
	expect(&cfg, "a4:10 b6:10 c4:5 d6:20", "cbad");
	cfg.smtp_address_preference = "ipv4";
	expect(&cfg, "a6:10 b4:10 c6:5", "cba");
}

static void test_limit(void **state)
{
	struct config cfg = {.smtp_address_preference = "any", .smtp_mx_address_limit = 2};

	expect(&cfg, "a4:1 b4:2 c4:3", "ab");
	expect(&cfg, "a6:1 b6:2 c4:3", "ab");
	cfg.smtp_balance_inet_protocols = true;
	expect(&cfg, "a6:1 b6:2 c4:3", "ac");
	expect(&cfg, "a6:1 b6:2 c6:3", "ab");
	cfg.smtp_mx_address_limit = 1;
	expect(&cfg, "a6:1 b6:2 c4:3", "a");
	cfg.smtp_mx_address_limit = 5;
	expect(&cfg, "a6:1 b6:1 c6:1 d6:1 e6:1 f6:1 g4:9 h4:9 i4:9", "abcgh");
	expect(&cfg, "a6:1 b4:1 c6:1 d4:1 e6:1 f6:1", "abcde");
	cfg.smtp_mx_address_limit = 0;
	expect(&cfg, "a6:1 b6:1 c6:1 d6:1 e6:1 f6:1 g4:9", "abcdefg");
}

/* Equal preferences are mixed: over many rounds each comes first sometimes. */
static void test_shuffle(void **state)
{
	struct config cfg = {.smtp_address_preference = "any", .smtp_randomize_addresses = true};
	struct smtp_host list[HOSTS_MAX];
	int first[3] = {0};

	for (int i = 0; i < 300; i++) {
		struct smtp_hosts hosts = make("a4:10 b4:10 c4:10 d4:20", list);

		smtp_hosts_order(&cfg, &hosts);
		assert_string_equal(hosts.list[3].name, "d");
		first[hosts.list[0].name[0] - 'a']++;
	}
	for (int i = 0; i < 3; i++)
		assert_true(first[i] > 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_shuffle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
