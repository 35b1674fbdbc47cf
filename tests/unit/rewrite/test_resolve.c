/* Expectations were obtained by asking a Postfix 3.7 for the same addresses with the same parameters. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "../support/test_config.h"
#include "rewrite/resolve.h"

enum { ROUTED = 1, BAD = 2 };

struct resolve_case {
	const char *sender, *address;
	enum address_class class;
	const char *transport, *nexthop, *recipient;
	int flags;
};

static const struct resolve_case plain_cases[] = {
	{"", "user@example.com", CLASS_LOCAL, "local", "mail.example.com", "user@example.com", 0},
	{"", "user@other.org", CLASS_DEFAULT, "smtp", "other.org", "user@other.org", 0},
	{"", "user@[127.0.0.1]", CLASS_LOCAL, "local", "mail.example.com", "user@[127.0.0.1]", 0},
	{"", "user@[1.2.3.4]", CLASS_DEFAULT, "smtp", "[1.2.3.4]", "user@[1.2.3.4]", 0},
	{"", "user@1.2.3.4", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user%other@example.com", CLASS_DEFAULT, "smtp", "other", "user@other", 0},
	{"", "user%x@other.org", CLASS_DEFAULT, "smtp", "other.org", "user%x@other.org", ROUTED},
	{"", "site!user@example.com", CLASS_DEFAULT, "smtp", "site", "user@site", 0},
	{"", "user@x.org@example.com", CLASS_DEFAULT, "smtp", "x.org", "user@x.org", 0},
	{"", "user", CLASS_LOCAL, "local", "mail.example.com", "user@mail.example.com", 0},
	{"", "", CLASS_LOCAL, "local", "mail.example.com", "MAILER-DAEMON@mail.example.com", 0},
	{"", "user@", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@.dom", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@dom..x", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@dom.", CLASS_DEFAULT, "smtp", "dom", "user@dom", 0},
	{"", "user@dom..", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@-dom", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@[bad", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@[]", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@[IPv6:::1]", CLASS_DEFAULT, "smtp", "[IPv6:::1]", "user@[IPv6:::1]", 0},
	{"", "user@[ipv6:zz]", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "-user@example.com", CLASS_LOCAL, NULL, NULL, NULL, BAD},
	{"", "@example.com", CLASS_LOCAL, "local", "mail.example.com", "MAILER-DAEMON@example.com", 0},
	{"", "user@EXAMPLE.com", CLASS_LOCAL, "local", "mail.example.com", "user@EXAMPLE.com", 0},
	{"", "user@dom_x.org", CLASS_DEFAULT, "smtp", "dom_x.org", "user@dom_x.org", 0},
	{"", "user@a b", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@dom%x", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user%a%b@example.com", CLASS_DEFAULT, "smtp", "b", "user%a@b", ROUTED},
	{"", "a@b@c@example.com", CLASS_DEFAULT, "smtp", "c", "a@b@c", ROUTED},
	{"", "user@x@other.org", CLASS_DEFAULT, "smtp", "other.org", "user@x@other.org", ROUTED},
	{"", "user@sub.example.com", CLASS_DEFAULT, "smtp", "sub.example.com", "user@sub.example.com", 0},
	{"", "u+ext@example.com", CLASS_LOCAL, "local", "mail.example.com", "u+ext@example.com", 0},
	{"", "%x@example.com", CLASS_DEFAULT, "smtp", "x", "@x", 0},
	{"", "x%@example.com", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "!x@example.com", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "a%b@[127.0.0.1]", CLASS_DEFAULT, "smtp", "b", "a@b", 0},
	{"", "user@127.0.0.1", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@xn--abc.org", CLASS_DEFAULT, "smtp", "xn--abc.org", "user@xn--abc.org", 0},
	{"", "üser@example.com", CLASS_LOCAL, "local", "mail.example.com", "üser@example.com", 0},
	{"", "user@x.org@example.com", CLASS_DEFAULT, "smtp", "x.org", "user@x.org", 0},
	{"", "a b@example.com", CLASS_LOCAL, "local", "mail.example.com", "a b@example.com", 0},
	{"", "a b!c@example.com", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "a b%c@example.com", CLASS_DEFAULT, "smtp", "c", "a b@c", 0},
	{"", "a!b!c@example.com", CLASS_DEFAULT, "smtp", "a", "b!c@a", ROUTED},
	{"", "a%b%c@example.com", CLASS_DEFAULT, "smtp", "c", "a%b@c", ROUTED},
	{"", "a!b%c@example.com", CLASS_DEFAULT, "smtp", "a", "b%c@a", ROUTED},
	{"", "a!b@c@example.com", CLASS_DEFAULT, "smtp", "c", "a!b@c", ROUTED},
	{"", "@a:user@x.org", CLASS_DEFAULT, "smtp", "x.org", "@a:user@x.org", ROUTED},
	{"", "@a:user@x.org@example.com", CLASS_DEFAULT, "smtp", "x.org", "user@x.org", 0},
	{"", "@", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "@@", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "x@@example.com", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "a!b@", CLASS_DEFAULT, "smtp", "a", "b@a", 0},
	{"", "a%b@", CLASS_DEFAULT, "smtp", "b", "a@b", 0},
	{"", "a%b", CLASS_DEFAULT, "smtp", "b", "a@b", 0},
	{"", "a!b", CLASS_DEFAULT, "smtp", "a", "b@a", 0},
	{"", "user%example.com@example.com", CLASS_LOCAL, "local", "mail.example.com", "user@example.com", 0},
	{"", "user%example.com@[127.0.0.1]", CLASS_LOCAL, "local", "mail.example.com", "user@example.com", 0},
	{"", "user@example.com@example.com", CLASS_LOCAL, "local", "mail.example.com", "user@example.com", 0},
	{"", "user%x.@example.com", CLASS_DEFAULT, "smtp", "x", "user@x", 0},
	{"", "user%[1.2.3.4]@example.com", CLASS_DEFAULT, "smtp", "[1.2.3.4]", "user@[1.2.3.4]", 0},
	{"", "a!b@other.org", CLASS_DEFAULT, "smtp", "other.org", "a!b@other.org", ROUTED},
	{"", "a@b@other.org", CLASS_DEFAULT, "smtp", "other.org", "a@b@other.org", ROUTED},
	{"", "a\"b@example.com", CLASS_LOCAL, "local", "mail.example.com", "a\"b@example.com", 0},
	{"", "a\\b@example.com", CLASS_LOCAL, "local", "mail.example.com", "a\\b@example.com", 0},
	{"", "user@ example.com", CLASS_LOCAL, "local", "mail.example.com", "user@example.com", 0},
	{"", "user @example.com", CLASS_LOCAL, "local", "mail.example.com", "user @example.com", 0},
	{"", "user@example.com ", CLASS_LOCAL, "local", "mail.example.com", "user@example.com", 0},
	{"", "(c)user@example.com", CLASS_LOCAL, "local", "mail.example.com", "(c)user@example.com", 0},
	{"", "user@dom-.org", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@a-b.org", CLASS_DEFAULT, "smtp", "a-b.org", "user@a-b.org", 0},
	{"", "user@123.org", CLASS_DEFAULT, "smtp", "123.org", "user@123.org", 0},
	{"", "user@org.123", CLASS_DEFAULT, "smtp", "org.123", "user@org.123", 0},
	{"", "user@123", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@[IPv6:0::1]", CLASS_DEFAULT, "smtp", "[IPv6:0::1]", "user@[IPv6:0::1]", 0},
	{"", "user@[::1]", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@[1.2.3]", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234.org", CLASS_DEFAULT, NULL,
		NULL, NULL, BAD},
	{"", "user@x.org.", CLASS_DEFAULT, "smtp", "x.org", "user@x.org", 0},
	{"", "user%x.org.@example.com", CLASS_DEFAULT, "smtp", "x.org", "user@x.org", 0},
	{"", "a.b@example.com", CLASS_LOCAL, "local", "mail.example.com", "a.b@example.com", 0},
	{"", "a..b@example.com", CLASS_LOCAL, "local", "mail.example.com", "a..b@example.com", 0},
	{"", "user@x_y", CLASS_DEFAULT, "smtp", "x_y", "user@x_y", 0},
	{"", "user@_x.org", CLASS_DEFAULT, "smtp", "_x.org", "user@_x.org", 0},
	{"", "user@x+y.org", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@x!y.org", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
	{"", "user@localhost.", CLASS_LOCAL, "local", "mail.example.com", "user@localhost", 0},
	{"", "a:b@example.com", CLASS_LOCAL, "local", "mail.example.com", "a:b@example.com", 0},
	{"", "<a>@example.com", CLASS_LOCAL, "local", "mail.example.com", "<a>@example.com", 0},
	{"", "a,b@example.com", CLASS_LOCAL, "local", "mail.example.com", "a,b@example.com", 0},
	{"", "user@example.com@", CLASS_LOCAL, "local", "mail.example.com", "user@example.com", 0},
	{"", "user@.", CLASS_DEFAULT, NULL, NULL, NULL, BAD},
};
static const struct resolve_case strict_cases[] = {
	{"", "user%x@example.com", CLASS_LOCAL, "local", "mail.example.com", "user%x@example.com", ROUTED},
	{"", "a!b@example.com", CLASS_LOCAL, "local", "mail.example.com", "a!b@example.com", ROUTED},
	{"", "user@", CLASS_LOCAL, "local", "mail.example.com", "user@mail.example.com", 0},
	{"", "user@1.2.3.4", CLASS_DEFAULT, "smtp", "[1.2.3.4]", "user@[1.2.3.4]", 0},
	{"", "user@x@example.com", CLASS_LOCAL, "local", "mail.example.com", "user@x@example.com", ROUTED},
	{"", "user@127.0.0.1", CLASS_LOCAL, "local", "mail.example.com", "user@[127.0.0.1]", 0},
	{"", "a@b@", CLASS_LOCAL, "local", "mail.example.com", "a@b@mail.example.com", ROUTED},
};
static const struct resolve_case class_cases[] = {
	{"", "-u@example.com", CLASS_LOCAL, "local", "example.com", "-u@example.com", 0},
	{"", "u@example.com", CLASS_LOCAL, "local", "example.com", "u@example.com", 0},
	{"", "u@relay.org", CLASS_RELAY, "relay", "[gw.org]:25", "u@relay.org", 0},
	{"", "u@sub.relay.org", CLASS_RELAY, "relay", "[gw.org]:25", "u@sub.relay.org", 0},
	{"", "u@va.org", CLASS_VIRTUAL_ALIAS, "error", "5.1.1 User unknown in virtual alias table",
		"u@va.org", 0},
	{"", "u@sub.va.org", CLASS_RELAY, "relay", "[gw.org]:25", "u@sub.va.org", 0},
	{"", "u@vm.org", CLASS_VIRTUAL_MAILBOX, "virtual", "vm.org", "u@vm.org", 0},
	{"", "u@else.org", CLASS_RELAY, "relay", "[gw.org]:25", "u@else.org", 0},
	{"", "u@[9.9.9.9]", CLASS_LOCAL, "local", "[9.9.9.9]", "u@[9.9.9.9]", 0},
	{"", "u@[8.8.8.8]", CLASS_RELAY, "relay", "[gw.org]:25", "u@[8.8.8.8]", 0},
	{"", "u@localhost", CLASS_LOCAL, "local", "localhost", "u@localhost", 0},
	{"", "u%x.org@relay.org", CLASS_RELAY, "relay", "[gw.org]:25", "u%x.org@relay.org", ROUTED},
	{"", "a!u@vm.org", CLASS_VIRTUAL_MAILBOX, "virtual", "vm.org", "a!u@vm.org", ROUTED},
	{"", "u@x@va.org", CLASS_VIRTUAL_ALIAS, "error", "5.1.1 User unknown in virtual alias table",
		"u@x@va.org", ROUTED},
};
static const struct resolve_case route_cases[] = {
	{"x", "u@relay.org", CLASS_RELAY, "relay", "rhost", "u@relay.org", 0},
	{"x", "u@vm.org", CLASS_VIRTUAL_MAILBOX, "lmtp", "unix:x", "u@vm.org", 0},
	{"x", "u@else.org", CLASS_DEFAULT, "smtp", "dhost", "u@else.org", 0},
	{"x", "t1@else.org", CLASS_DEFAULT, "t1", "hop1", "t1@else.org", 0},
	{"x", "t2@else.org", CLASS_DEFAULT, "smtp", "hop2", "t2@else.org", 0},
	{"x", "t3@else.org", CLASS_DEFAULT, "t3", "else.org", "t3@else.org", 0},
	{"x", "t4@else.org", CLASS_DEFAULT, "smtp", "dhost", "t4@else.org", 0},
	{"x", "t5+x@else.org", CLASS_DEFAULT, "t5", "else.org", "t5+x@else.org", 0},
	{"x", "t5+y@else.org", CLASS_DEFAULT, "smtp", "dhost", "t5+y@else.org", 0},
	{"x", "t1+y@else.org", CLASS_DEFAULT, "t1", "hop1", "t1+y@else.org", 0},
	{"x", "u@dom.org", CLASS_DEFAULT, "dt", "dhop", "u@dom.org", 0},
	{"x", "u@sub.dom.org", CLASS_DEFAULT, "smtp", "dhost", "u@sub.dom.org", 0},
	{"x", "u@par.org", CLASS_DEFAULT, "smtp", "dhost", "u@par.org", 0},
	{"x", "u@a.par.org", CLASS_DEFAULT, "pt", "php", "u@a.par.org", 0},
	{"x", "u@a.b.par.org", CLASS_DEFAULT, "pt", "php", "u@a.b.par.org", 0},
	{"x", "", CLASS_LOCAL, "nul", "x", "MAILER-DAEMON@mail.example.com", 0},
	{"x", "u@err.org", CLASS_DEFAULT, "error", "5.1.2 no way", "u@err.org", 0},
	{"x", "u@local.org", CLASS_DEFAULT, "local", "local.org", "u@local.org", 0},
	{"s@a.org", "u@else.org", CLASS_DEFAULT, "smtp", "dhost", "u@else.org", 0},
	{"s+x@a.org", "u@else.org", CLASS_DEFAULT, "smtp", "dhost", "u@else.org", 0},
	{"s@b.org", "u@else.org", CLASS_DEFAULT, "smtp", "dhost", "u@else.org", 0},
	{"x@c.org", "u@else.org", CLASS_DEFAULT, "smtp", "dhost", "u@else.org", 0},
	{"s@a.org", "u@relay.org", CLASS_RELAY, "relay", "rhost", "u@relay.org", 0},
	{"s@d.org", "u@else.org", CLASS_DEFAULT, "slow", "gw.org", "u@else.org", 0},
	{"s@e.org", "u@else.org", CLASS_DEFAULT, "slow", "ehop", "u@else.org", 0},
	{"g@g.org", "u@else.org", CLASS_DEFAULT, "smtp", "dhost", "u@else.org", 0},
	{"s@a.org", "t4@else.org", CLASS_DEFAULT, "smtp", "dhost", "t4@else.org", 0},
	{"s@a.org", "t3@else.org", CLASS_DEFAULT, "t3", "else.org", "t3@else.org", 0},
	{"", "bad@x.org", CLASS_DEFAULT, "nultr", "[1.2.3.4", "bad@x.org", 0},
	{"S@A.org", "u@else.org", CLASS_DEFAULT, "smtp", "dhost", "u@else.org", 0},
	{"", "T1@ELSE.ORG", CLASS_DEFAULT, "t1", "hop1", "T1@ELSE.ORG", 0},
	{"", "u@else.org", CLASS_DEFAULT, "nultr", "nullgw", "u@else.org", 0},
	{"x", "u@sp.org", CLASS_DEFAULT, "a", " b c", "u@sp.org", 0},
	{"", "u@relay.org", CLASS_RELAY, "relay", "rhost", "u@relay.org", 0},
	{"s@d.org", "t4@else.org", CLASS_DEFAULT, "slow", "gw.org", "t4@else.org", 0},
	{"s@d.org", "t2@else.org", CLASS_DEFAULT, "slow", "hop2", "t2@else.org", 0},
	{"x", "virt@vm.org", CLASS_VIRTUAL_MAILBOX, "lmtp", "vm.org", "virt@vm.org", 0},
	{"x", "v2@vm.org", CLASS_VIRTUAL_MAILBOX, "lmtp", "vhop", "v2@vm.org", 0},
	{"x", "n@relay.org", CLASS_RELAY, "relay", "rhost", "n@relay.org", 0},
	{"x", "m@relay.org", CLASS_RELAY, "relay", "relay.org", "m@relay.org", 0},
};
static const struct resolve_case star_cases[] = {
	{"s@a.org", "u@else.org", CLASS_DEFAULT, "star", "else.org", "u@else.org", 0},
	{"s@b.org", "u@else.org", CLASS_DEFAULT, "star", "else.org", "u@else.org", 0},
	{"", "u@else.org", CLASS_DEFAULT, "star", "else.org", "u@else.org", 0},
	{"x@d.org", "u@else.org", CLASS_DEFAULT, "star", "else.org", "u@else.org", 0},
	{"x@e.org", "u@else.org", CLASS_DEFAULT, "star", "else.org", "u@else.org", 0},
	{"", "moved@example.com", CLASS_LOCAL, "error", "5.1.6 User has moved to new@x.org",
		"moved@example.com", 0},
	{"", "MOVED+x@example.com", CLASS_LOCAL, "error", "5.1.6 User has moved to new@x.org",
		"MOVED+x@example.com", 0},
	{"", "z@gone.org", CLASS_DEFAULT, "error", "5.1.6 User has moved to nowhere", "z@gone.org", 0},
	{"", "user2@example.com", CLASS_LOCAL, "error", "5.1.6 User has moved to ha", "user2@example.com", 0},
	{"", "user2@else.org", CLASS_DEFAULT, "star", "else.org", "user2@else.org", 0},
	{"", "x@example.com", CLASS_LOCAL, "loc", "example.com", "x@example.com", 0},
	{"", "y@example.com", CLASS_LOCAL, "star", "example.com", "y@example.com", 0},
	{"", "x@relay.org", CLASS_RELAY, "star", "relay.org", "x@relay.org", 0},
	{"", "y@[127.0.0.1]", CLASS_LOCAL, "star", "[127.0.0.1]", "y@[127.0.0.1]", 0},
	{"", "u@va.org", CLASS_VIRTUAL_ALIAS, "error", "5.1.1 User unknown in virtual alias table",
		"u@va.org", 0},
	{"", "t@va.org", CLASS_VIRTUAL_ALIAS, "error", "5.1.1 User unknown in virtual alias table",
		"t@va.org", 0},
	{"", "moved@va.org", CLASS_VIRTUAL_ALIAS, "error", "5.1.6 User has moved to va", "moved@va.org", 0},
	{"", "e@else.org", CLASS_DEFAULT, "error", "Address is undeliverable", "e@else.org", 0},
	{"", "r@else.org", CLASS_DEFAULT, "retry", "Address is undeliverable", "r@else.org", 0},
};
static const struct resolve_case relayhost_cases[] = {
	{"s@a.org", "u@else.org", CLASS_DEFAULT, "slow", "sgw.org", "u@else.org", 0},
	{"s@b.org", "u@else.org", CLASS_DEFAULT, "smtp", "gw.org", "u@else.org", 0},
	{"", "u@else.org", CLASS_DEFAULT, "smtp", "nullgw", "u@else.org", 0},
	{"x@d.org", "u@else.org", CLASS_DEFAULT, "slow", "gw.org", "u@else.org", 0},
	{"x@e.org", "u@else.org", CLASS_DEFAULT, "slow", "ehop", "u@else.org", 0},
	{"x@c.org", "u@else.org", CLASS_DEFAULT, "smtp", "[cgw]:26", "u@else.org", 0},
	{"x@c.org", "u@relay.org", CLASS_RELAY, "relay", "[cgw]:26", "u@relay.org", 0},
	{"s@a.org", "u@relay.org", CLASS_RELAY, "relay", "sgw.org", "u@relay.org", 0},
};
static const struct resolve_case parent_cases[] = {
	{"", "u@par.org", CLASS_DEFAULT, "p", "par.org", "u@par.org", 0},
	{"", "u@a.par.org", CLASS_DEFAULT, "p", "a.par.org", "u@a.par.org", 0},
	{"", "u@a.dot.org", CLASS_DEFAULT, "smtp", "a.dot.org", "u@a.dot.org", 0},
	{"", "u@relay.org", CLASS_RELAY, "relay", "relay.org", "u@relay.org", 0},
	{"", "u@a.relay.org", CLASS_DEFAULT, "smtp", "a.relay.org", "u@a.relay.org", 0},
	{"", "u@a.dotted.org", CLASS_RELAY, "relay", "a.dotted.org", "u@a.dotted.org", 0},
	{"", "u@dotted.org", CLASS_DEFAULT, "smtp", "dotted.org", "u@dotted.org", 0},
	{"", "u@virt.org", CLASS_LOCAL, "local", "mail.example.com", "u@virt.org", 0},
};

static void check_case(struct resolver *r, const struct resolve_case *want)
{
	struct pool *pool = pool_new(1000);
	struct resolved got;
	struct err err = {""};
	bool same;

	assert_int_equal(resolve_address(r, want->sender, want->address, pool, &got, &err), TABLE_FOUND);
	same = got.error == ((want->flags & BAD) != 0);
	if (same && !got.error)
		same = got.class == want->class && got.routed == ((want->flags & ROUTED) != 0) &&
		       strcmp(got.transport, want->transport) == 0 &&
		       strcmp(got.nexthop, want->nexthop) == 0 && strcmp(got.recipient, want->recipient) == 0;
	if (!same)
		fail_msg("%s from %s: class %d transport %s nexthop %s recipient %s error %d routed %d",
			want->address, want->sender, got.class, got.transport, got.nexthop, got.recipient,
			got.error, got.routed);
	pool_free(&pool);
}

static void check_cases(const struct config *cfg, const struct resolve_case *cases, size_t count)
{
	struct err err = {""};
	struct resolver *r = resolver_new(cfg, &err);

	if (!r)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < count; i++)
		check_case(r, &cases[i]);
	resolver_free(&r);
}

#define CHECK(cfg, cases) check_cases(&cfg, cases, sizeof(cases) / sizeof(*cases))

static void test_plain(void **state)
{
	struct config cfg = test_config();

	CHECK(cfg, plain_cases);
}

static void test_strict(void **state)
{
	struct config cfg = test_config();

	cfg.append_at_myorigin = cfg.swap_bangpath = cfg.allow_percent_hack = cfg.resolve_dequoted_address =
		false;
	cfg.resolve_null_domain = cfg.resolve_numeric_domain = true;
	CHECK(cfg, strict_cases);
}

static void test_classes(void **state)
{
	struct config cfg = test_config();

	cfg.relay_domains = "relay.org, static:xx";
	cfg.virtual_alias_domains = "va.org";
	cfg.virtual_mailbox_domains = "vm.org";
	cfg.relayhost = "[gw.org]:25";
	cfg.allow_min_user = true;
	cfg.proxy_interfaces = "9.9.9.9";
	cfg.local_transport = "local";
	cfg.virtual_alias_maps = "inline:{a@va.org=b}";
	CHECK(cfg, class_cases);
}

static void test_routes(void **state)
{
	struct config cfg = test_config();

	cfg.relay_domains = "relay.org";
	cfg.virtual_mailbox_domains = "vm.org";
	cfg.relayhost = "gw.org";
	cfg.relay_transport = "relay:rhost";
	cfg.virtual_transport = "lmtp:unix:x";
	cfg.default_transport = "smtp:dhost";
	cfg.sender_dependent_relayhost_maps =
		"inline:{{s@a.org = sgw.org},{@b.org=DUNNO},{@c.org=[cgw]:26},{<>=nullgw}}";
	cfg.sender_dependent_default_transport_maps =
		"inline:{{@d.org = slow:},{@e.org=slow:ehop},{@f.org= :fhop},{g@g.org=DUNNO},{<>=nultr:}}";
	cfg.transport_maps =
		"inline:{{t1@else.org=t1:hop1},{t2@else.org= :hop2},{t3@else.org=t3:},{t4@else.org= :},"
		"{dom.org=dt:dhop},{.par.org=pt:php},{t5+x@else.org=t5:},"
		"{mailer-daemon@mail.example.com=nul:x},{err.org=error:5.1.2 no way},{local.org=local},"
		"{bad@x.org= :[1.2.3.4},{sp.org=a: b c},{virt@vm.org=lmtp:},{v2@vm.org= :vhop},"
		"{n@relay.org=:},{m@relay.org=relay:}}";
	cfg.recipient_delimiter = "+";
	CHECK(cfg, route_cases);
}

static void test_star(void **state)
{
	struct config cfg = test_config();

	cfg.relay_domains = "relay.org";
	cfg.relayhost = "gw.org";
	cfg.transport_maps = "inline:{{*=star:},{x@example.com=loc:},{t@va.org=loc:},{va.org=loc:},{e@else."
			     "org=error: },{r@else.org=retry}}";
	cfg.virtual_alias_domains = "va.org";
	cfg.relocated_maps =
		"inline:{{moved@example.com=new@x.org},{@gone.org=nowhere},{user2=ha},{moved@va.org=va}}";
	cfg.recipient_delimiter = "+";
	CHECK(cfg, star_cases);
}

static void test_relayhost(void **state)
{
	struct config cfg = test_config();

	cfg.relay_domains = "relay.org";
	cfg.relayhost = "gw.org";
	cfg.sender_dependent_relayhost_maps =
		"inline:{{s@a.org = sgw.org},{@b.org=DUNNO},{@c.org=[cgw]:26},{<>=nullgw}}";
	cfg.sender_dependent_default_transport_maps =
		"inline:{{@d.org = slow:},{@e.org=slow:ehop},{@f.org= :fhop},{g@g.org=DUNNO},{s@a.org=slow}}";
	CHECK(cfg, relayhost_cases);
}

static void test_parents(void **state)
{
	struct config cfg = test_config();

	cfg.transport_maps = "inline:{{par.org=p:},{.dot.org=d:}}";
	cfg.parent_domain_matches_subdomains = "transport_maps";
	cfg.relay_domains = "relay.org, .dotted.org";
	cfg.mydestination = cfg.virtual_alias_domains = cfg.virtual_mailbox_domains = "virt.org";
	CHECK(cfg, parent_cases);
}

static void test_null_transport(void **state)
{
	struct config cfg = test_config();
	struct pool *pool = pool_new(1000);
	struct resolved got;
	struct err err = {""};
	struct resolver *r;

	cfg.sender_dependent_default_transport_maps = "inline:{{@f.org= :fhop}}";
	r = resolver_new(&cfg, &err);
	assert_int_equal(resolve_address(r, "x@f.org", "u@else.org", pool, &got, &err), TABLE_MISCONFIGURED);
	resolver_free(&r);
	cfg.local_transport = ":x";
	assert_null(resolver_new(&cfg, &err));
	pool_free(&pool);
}

static void test_trouble(void **state)
{
	struct config cfg = test_config();
	struct pool *pool = pool_new(1000);
	struct resolved got;
	struct err err = {""};
	struct resolver *r;

	cfg.transport_maps = "fail:x";
	r = resolver_new(&cfg, &err);
	assert_int_equal(resolve_address(r, "", "u@else.org", pool, &got, &err), TABLE_RETRY);
	resolver_free(&r);
	cfg.transport_maps = "";
	cfg.relay_domains = "fail:x";
	r = resolver_new(&cfg, &err);
	assert_int_equal(resolve_address(r, "", "u@else.org", pool, &got, &err), TABLE_RETRY);
	assert_int_equal(resolve_address(r, "", "u@example.com", pool, &got, &err), TABLE_FOUND);
	resolver_free(&r);
	pool_free(&pool);
}

struct check_row {
	const char *address;
	enum table_status status;
	int code;
	const char *dsn, *text;
};

static void check_recipient(struct resolver *r, const struct check_row *want)
{
	struct pool *pool = pool_new(1000);
	struct recipient_check got;
	struct resolved to;
	struct err err = {""};

	assert_int_equal(resolve_address(r, "", want->address, pool, &to, &err), TABLE_FOUND);
	resolve_check_recipient(r, &to, &got, &err);
	if (got.status != want->status)
		fail_msg("%s: status %d", want->address, got.status);
	if (want->code) {
		assert_int_equal(got.code, want->code);
		assert_string_equal(got.dsn, want->dsn);
		assert_string_equal(got.text, want->text);
	}
	pool_free(&pool);
}

static void test_recipients(void **state)
{
	static const struct check_row rows[] = {
		{"root@example.com", TABLE_FOUND},
		{"root+ext@example.com", TABLE_FOUND},
		{"alias@example.com", TABLE_FOUND},
		{"double-bounce@mail.example.com", TABLE_FOUND},
		{"moved@example.com", TABLE_NOT_FOUND, 550, "5.1.6", "User has moved to x@y.org"},
		{"canon@example.com", TABLE_FOUND},
		{"nobody-here@example.com", TABLE_NOT_FOUND, 550, "5.1.1",
			"User unknown in local recipient table"},
		{"a@va.org", TABLE_FOUND},
		{"b@va.org", TABLE_NOT_FOUND, 550, "5.1.1", "User unknown in virtual alias table"},
		{"a@vm.org", TABLE_FOUND},
		{"b@vm.org", TABLE_NOT_FOUND, 550, "5.1.1", "User unknown in virtual mailbox table"},
		{"a@relay.org", TABLE_FOUND},
		{"b@relay.org", TABLE_NOT_FOUND, 551, "5.1.1", "User unknown in relay recipient table"},
		{"any@else.org", TABLE_FOUND},
		{"bad@-dom", TABLE_NOT_FOUND, 550, "5.1.3", "bad address syntax"},
		{"x@t.org", TABLE_NOT_FOUND, 550, "5.2.1", "later"},
		{"x@r.org", TABLE_NOT_FOUND, 450, "4.1.3", "soon"},
		{"x@e.org", TABLE_NOT_FOUND, 550, "5.1.1", "no status"},
		{"moved@va.org", TABLE_NOT_FOUND, 550, "5.1.6", "User has moved to z"},
	};
	struct config cfg = test_config();
	struct err err = {""};
	struct resolver *r;

	cfg.relay_domains = "relay.org";
	cfg.virtual_alias_domains = "va.org";
	cfg.virtual_alias_maps = "inline:{a@va.org=x}";
	cfg.virtual_mailbox_domains = "vm.org";
	cfg.virtual_mailbox_maps = "inline:{a@vm.org=x}";
	cfg.relay_recipient_maps = "inline:{a@relay.org=x}";
	cfg.local_recipient_maps = "proxy:unix:passwd.byname inline:{alias=x}";
	cfg.canonical_maps = "inline:{canon=root@x.org}";
	cfg.relocated_maps = "inline:{moved=x@y.org, moved@va.org=z}";
	cfg.transport_maps =
		"inline:{{t.org = error:4.2.1 later}, {r.org = retry:5.1.3 soon}, {e.org = error:no status}}";
	cfg.recipient_delimiter = "+";
	cfg.unknown_relay_recipient_reject_code = 551;
	r = resolver_new(&cfg, &err);
	assert_non_null(r);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		check_recipient(r, &rows[i]);
	resolver_free(&r);
}

static struct buf contradictions = BUF(2000); /* what table_report told */

static void note_contradiction(enum log_level level, const char *text)
{
	assert_int_equal(level, LOGL_WARNING);
	buf_printf(&contradictions, "%s\n", text);
}

static void check_contradiction(struct resolver *r, const char *domain, const char *expected)
{
	struct pool *pool = pool_new(512);
	struct resolved out;
	struct err err = {""};
	char *address = x_asprintf("u@%s", domain);

	buf_clear(&contradictions);
	assert_int_equal(resolve_address(r, "", address, pool, &out, &err), TABLE_FOUND);
	assert_string_equal(buf_cstr(&contradictions), expected);
	x_free(&address);
	pool_free(&pool);
}

/* The first list counts, and the others are told of. */
static void test_listed_twice(void **state)
{
	struct config cfg = test_config();
	struct err err = {""};
	struct resolver *r;

	cfg.mydestination = "all.org, relayed.org";
	cfg.virtual_alias_domains = "all.org, va.org, three.org";
	cfg.virtual_mailbox_domains = "all.org, vm.org, three.org, fail:x";
	cfg.relay_domains = "all.org, relayed.org, va.org, vm.org, three.org, fail:x";
	r = resolver_new(&cfg, &err);
	table_report_to(note_contradiction);
	check_contradiction(r, "All.org",
		"do not list domain All.org in BOTH mydestination and virtual_alias_domains\n"
		"do not list domain All.org in BOTH mydestination and virtual_mailbox_domains\n");
	check_contradiction(r, "relayed.org", "");
	check_contradiction(
		r, "va.org", "do not list domain va.org in BOTH virtual_alias_domains and relay_domains\n");
	check_contradiction(
		r, "vm.org", "do not list domain vm.org in BOTH virtual_mailbox_domains and relay_domains\n");
	check_contradiction(r, "three.org",
		"do not list domain three.org in BOTH virtual_alias_domains and virtual_mailbox_domains\n"
		"do not list domain three.org in BOTH virtual_alias_domains and relay_domains\n");
	table_report_to(NULL);
	resolver_free(&r);
	buf_free(&contradictions);
}

static void test_recipient_trouble(void **state)
{
	static const struct check_row row = {"nobody-here@example.com", TABLE_RETRY};
	struct config cfg = test_config();
	struct err err = {""};
	struct resolver *r;

	cfg.local_recipient_maps = "unix:passwd.byname fail:x";
	r = resolver_new(&cfg, &err);
	check_recipient(r, &row);
	resolver_free(&r);
	cfg.local_recipient_maps = "unix:passwd.byname";
	cfg.show_user_unknown_table_name = false;
	r = resolver_new(&cfg, &err);
	check_recipient(r, &(const struct check_row){
				   "nobody-here@example.com", TABLE_NOT_FOUND, 550, "5.1.1", "User unknown"});
	resolver_free(&r);
}

static void test_own_addresses(void **state)
{
	struct config cfg = test_config();
	struct err err = {""};
	struct resolver *r;

	cfg.inet_interfaces = "loopback-only, 192.0.2.7";
	cfg.proxy_interfaces = "[2001:db8::1]";
	r = resolver_new(&cfg, &err);
	assert_true(resolve_is_own_address(r, "127.0.0.1"));
	assert_true(resolve_is_own_address(r, "::ffff:192.0.2.7"));
	assert_true(resolve_is_own_address(r, "2001:db8:0::1"));
	assert_false(resolve_is_own_address(r, "192.0.2.8"));
	assert_false(resolve_is_own_address(r, "nonsense"));
	assert_int_equal(resolve_is_bare_domain(r, STR("[IPv6:2001:db8::1]"), &err), TABLE_FOUND);
	assert_int_equal(resolve_is_bare_domain(r, STR("[192.0.2.8]"), &err), TABLE_NOT_FOUND);
	assert_int_equal(resolve_is_bare_domain(r, STR("EXAMPLE.com"), &err), TABLE_FOUND);
	resolver_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_star),
		cmocka_unit_test(test_relayhost),
		cmocka_unit_test(test_parents),
		cmocka_unit_test(test_null_transport),
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_listed_twice),
		cmocka_unit_test(test_recipient_trouble),
		cmocka_unit_test(test_own_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
