#include "base/log.h"
#include "smtp/smtp_cache.h"
#include "smtp/smtp_client.h"

static bool before_jail(struct service *s, struct err *err)
{
	struct smtp_client *c = smtp_client_new(s, service_config(s), service_is_lmtp(s), err);

	service_set_data(s, c);
	return c;
}

static bool start(struct service *s, struct err *err)
{
	struct smtp_client *c = service_data(s);

	c->cache = smtp_cache_new(service_slots(s));
	return true;
}

static void retire(struct service *s)
{
	struct smtp_client *c = service_data(s);

	smtp_cache_close(c->cache);
}

static void end(struct service *s)
{
	struct smtp_client *c = service_data(s);

	smtp_cache_free(&c->cache);
	smtp_client_free(&c);
}

static void *slot_start(void *service)
{
	struct smtp_client *c = service_data(service);
	struct err err = {""};
	struct dns *dns = dns_clone(c->dns, &err);

	if (!dns)
		log_fatal("%s", err.text);
	return dns;
}

static void slot_end(void *cache, void *service)
{
	struct dns *dns = cache;

	dns_free(&dns);
}

int main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.service =
			{
				.program = "smtp",
				.before_jail = before_jail,
				.start = start,
				.retire = retire,
				.end = end,
				.slot_start = slot_start,
				.slot_end = slot_end,
				.lmtp_capable = true,
			},
		.deliver = smtp_deliver,
		.probe = smtp_deliver,
	};

	return agent_main(argc, argv, &ops);
}
