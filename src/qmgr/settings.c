/* What main.cf and master.cf say of a transport. */
#include "base/log.h"
#include "qmgr/qmgr.h"

static const char *transport_text(const struct config *cfg, const char *transport, const char *suffix)
{
	char *name = x_asprintf("%s%s", transport, suffix);
	const char *value = config_text(cfg, name);

	x_free(&name);
	if (value != NULL && *value != '\0')
		return value;
	name = x_asprintf("default%s", suffix);
	value = config_text(cfg, name);
	x_free(&name);
	return value ? value : "";
}

static struct feedback transport_feedback(const struct config *cfg, const char *transport, const char *suffix)
{
	struct feedback f = {1, FEEDBACK_CONSTANT};
	struct err err = {""};

	if (!feedback_parse(str_c(transport_text(cfg, transport, suffix)), &f, &err)) {
		log_warning("%s%s: %s", transport, suffix, err.text);
		f = (struct feedback){1, FEEDBACK_CONSTANT};
	}
	return f;
}

static int process_limit(const struct qmgr *q, const char *transport)
{
	const struct master_service *s = master_cf_find(q->master_cf, transport, SERVICE_UNIX);

	if (s == NULL || s->maxproc < 0)
		return q->cfg->default_process_limit;
	return s->maxproc;
}

static struct feedback_settings feedback_of(const struct config *cfg, const char *name)
{
	return (struct feedback_settings){
		.initial = config_transport_int(cfg, name, "_initial_destination_concurrency"),
		.limit = config_transport_int(cfg, name, "_destination_concurrency_limit"),
		.cohort_limit =
			config_transport_int(cfg, name, "_destination_concurrency_failed_cohort_limit"),
		.positive = transport_feedback(cfg, name, "_destination_concurrency_positive_feedback"),
		.negative = transport_feedback(cfg, name, "_destination_concurrency_negative_feedback"),
	};
}

void settings_transport(void *qmgr, const char *name, struct transport_settings *out)
{
	const struct qmgr *q = qmgr;
	const struct config *cfg = q->cfg;

	*out = (struct transport_settings){
		.feedback = feedback_of(cfg, name),
		.recipient_limit = config_transport_int(cfg, name, "_destination_recipient_limit"),
		.process_limit = process_limit(q, name),
		.rate_delay = config_transport_time(cfg, name, "_destination_rate_delay"),
		.transport_rate_delay = config_transport_time(cfg, name, "_transport_rate_delay"),
		.slot_cost = config_transport_int(cfg, name, "_delivery_slot_cost"),
		.slot_loan = config_transport_int(cfg, name, "_delivery_slot_loan"),
		.slot_discount = config_transport_int(cfg, name, "_delivery_slot_discount"),
		.minimum_slots = config_transport_int(cfg, name, "_minimum_delivery_slots"),
		.dead_time = cfg->minimal_backoff_time,
		.retry_time = cfg->transport_retry_time,
		.deferred = str_lists(cfg->defer_transports, name),
	};
	if (out->rate_delay > 0)
		out->feedback.initial = out->feedback.limit = 1;
	if (out->feedback.initial < 1)
		out->feedback.initial = 1;
}
