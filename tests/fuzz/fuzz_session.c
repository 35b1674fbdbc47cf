/*
 * A whole SMTP dialogue, from the PROXY header to the message in the queue. The first byte chooses where the
 * client is and what the server is like. What is queued must be readable again, and must end in a line end.
 */
#include "../unit/smtpd/smtpd_fixture.h"
#include "mail/dsn_parameters.h"
#include "smtpd/haproxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NORMAL, FILTERING, PROXIED, SERVERS };

static struct smtpd_fixture *servers[SERVERS];

static void remove_servers(void)
{
	for (int i = 0; i < SERVERS; i++)
		if (servers[i])
			smtpd_fixture_free(&servers[i]);
}

static struct smtpd_fixture *server(int which)
{
	static const char *const filtering[] = {"smtpd_forbid_bare_newline", "reject",
		"strict_rfc821_envelopes", "yes", "smtpd_delay_reject", "no",
		"smtpd_forbid_unauth_pipelining", "yes", "smtpd_helo_restrictions",
		"reject_invalid_helo_hostname", "smtpd_sender_restrictions", "reject_non_fqdn_sender",
		"smtpd_recipient_restrictions",
		"check_recipient_access inline:{{user@test=HOLD} {post=FILTER x:y}}, "
		"reject_unlisted_recipient",
		"line_length_limit", "512", "message_size_limit", "5000", "smtpd_recipient_limit", "3",
		"smtpd_reject_footer", "\\c; $client_name\\nsee $localtime", NULL};
	static const char *const proxied[] = {"smtpd_upstream_proxy_protocol", "haproxy", NULL};
	static const char *const *const overrides[SERVERS] = {
		[NORMAL] = NULL, [FILTERING] = filtering, [PROXIED] = proxied};
	static bool first = true;

	if (first)
		atexit(remove_servers);
	first = false;
	if (!servers[which])
		servers[which] = smtpd_fixture_new(overrides[which]);
	return servers[which];
}

static void check_queue(struct smtpd_fixture *f)
{
	struct buf content = BUF(64 << 20);
	struct pool *pool = pool_new(1000);
	struct envelope *e;

	if (smtpd_take_message(f, pool, &e, &content) &&
		(e->recipient_count == 0 || content.len < 2 ||
			memcmp(content.data + content.len - 2, "\r\n", 2) != 0))
		__builtin_trap();
	pool_free(&pool);
	buf_free(&content);
}

static void parse_parts(struct str in)
{
	struct buf out = BUF(4096);
	struct haproxy header;
	struct err err;

	haproxy_parse(in, &header, &err);
	if (dsn_parse_orcpt(in, &out) && str_has_nul(buf_slice(&out)))
		__builtin_trap();
	buf_clear(&out);
	if (dsn_parse_envid(in, &out) && str_has_nul(buf_slice(&out)))
		__builtin_trap();
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf replies = BUF(64 << 20);
	struct smtpd_fixture *f;

	if (size < 1)
		return 0;
	f = server(data[0] % SERVERS);
	smtpd_dialogue(f, data[0] & 0x80 ? "198.51.100.7" : "127.0.0.1",
		(struct str){(const char *)data + 1, size - 1}, &replies);
	buf_free(&replies);
	check_queue(f);
	parse_parts((struct str){(const char *)data, size});
	return 0;
}
