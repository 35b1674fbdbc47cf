/* smtpd(8): the SMTP server. */
#include "base/log.h"
#include "sasl/sasl_server.h"
#include "service/service.h"
#include "smtpd/client_limits.h"
#include "smtpd/server.h"
#include "smtpd/session.h"
#include "smtpd/standalone.h"

#define HOLDS_SIZE ((size_t)1 << 20)

static bool smtpd_before_jail(struct service *s, struct err *err)
{
	struct server *server = server_new(service_config(s), service_spool(s), err);

	if (!server)
		return false;
	server->service = s;
	server->stress_banner = server_banner(server, service_stress_config(s));
	service_set_data(s, server);
	if (server->milters)
		service_session_keeps(s, 1 + (int)milter_set_count(server->milters));
	return true;
}

static void limit_policy(struct policy_client *client, void *slots)
{
	policy_client_limit(client, *(int *)slots);
}

static void tidy_policy(struct policy_client *client, void *arg)
{
	policy_client_tidy(client);
}

static bool is_alive(void *service, uint64_t identity)
{
	return service_is_alive(service, identity);
}

static bool smtpd_start(struct service *s, struct err *err)
{
	struct server *server = service_data(s);
	unsigned char *counters;
	size_t size;
	int slots = service_slot_limit(s);

	server->slots = service_slots(s);
	counters = service_shared_clients(s, &size);
	holds_init(&server->holds, counters, HOLDS_SIZE, service_identity(s), is_alive, s);
	limits_init(&server->limits, counters + HOLDS_SIZE, size - HOLDS_SIZE,
		service_config(s)->anvil_rate_time_unit);
	client_limits_reclaim(server);
	rules_each_policy(&server->rules, limit_policy, &slots);
	return true;
}

static void smtpd_accepted(struct service *s, int fd, const struct net_addr *peer)
{
	session_accept(service_data(s), fd, peer, service_stressed(s));
}

static void smtpd_tick(struct service *s)
{
	struct server *server = service_data(s);

	rules_each_policy(&server->rules, tidy_policy, NULL);
}

static void smtpd_end(struct service *s)
{
	struct server *server = service_data(s);

	server_free(&server);
	service_set_data(s, NULL);
}

static void *smtpd_slot_start(void *service)
{
	struct smtpd_slot *slot = x_alloc(sizeof(*slot));

	slot->server = service_data(service);
	return slot;
}

static void smtpd_slot_end(void *cache, void *service)
{
	struct smtpd_slot *slot = cache;

	dns_free(&slot->dns);
	sasl_server_free(&slot->sasl);
	x_free(&slot);
}

int main(int argc, char **argv)
{
	static const struct service_ops ops = {.program = "smtpd",
		.before_jail = smtpd_before_jail,
		.start = smtpd_start,
		.accepted = smtpd_accepted,
		.tick = smtpd_tick,
		.end = smtpd_end,
		.slot_start = smtpd_slot_start,
		.slot_end = smtpd_slot_end};

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "-S") == 0)
			return standalone_main(argc, argv);
	return service_main(argc, argv, &ops);
}
