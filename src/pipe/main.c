/* pipe(8): delivery requests of the queue manager, one at a time; one command for all recipients of a
 * request. */
#include "base/log.h"
#include "pipe/pipe.h"

static bool open_filter(struct pipe_env *env, struct err *err)
{
	env->filter = maps_open("pipe_delivery_status_filter", env->cfg->pipe_delivery_status_filter, 0, err);
	if (env->filter)
		maps_warnings(env->filter, log_warn, NULL);
	return env->filter != NULL;
}

static bool start(struct service *s, struct err *err)
{
	struct pipe_env *env = x_alloc(sizeof(*env));
	struct deliver_environment variables;

	env->cfg = service_config(s);
	env->pool = pool_new(1024);
	env->time_limit = config_transport_time(env->cfg, service_name(s), "_time_limit");
	deliver_environment_begin(&variables, env->pool, env->cfg->export_environment);
	env->environment = variables.list;
	service_set_data(s, env);
	return pipe_attributes_parse(
		       service_arguments(s), env->cfg->mail_owner, env->pool, &env->attributes, err) &&
	       open_filter(env, err);
}

static void end(struct service *s)
{
	struct pipe_env *env = service_data(s);

	if (env->filter)
		maps_close(&env->filter);
	pool_free(&env->pool);
	x_free(&env);
}

static void deliver(struct agent_delivery *d)
{
	const struct dsn *dsn = pipe_deliver(service_data(d->service), d, &d->result.corrupt);

	if (!d->result.corrupt)
		agent_outcome_rest(d, dsn, service_name(d->service), false);
}

int main(int argc, char **argv)
{
	static const struct agent_ops ops = {
		.service = {.program = "pipe",
			.needs_root = true,
			.single_slot = true,
			.start = start,
			.end = end},
		.deliver = deliver,
	};

	return agent_main(argc, argv, &ops);
}
