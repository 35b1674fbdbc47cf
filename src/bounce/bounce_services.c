#include "bounce/bounce_services.h"

#include "base/mem.h"
#include "config/service_config.h"

enum { KIND_COUNT = BOUNCE_STATUS + 1 };

struct settings {
	const struct config *cfg;
	const struct config *own; /* ours to free; NULL: the program's do as well */
	struct bounce_templates *templates;
};

struct bounce_services {
	struct settings of[KIND_COUNT];
};

struct bounce_services *bounce_services_new(
	const struct config *cfg, config_warn_fn warn, void *arg, struct err *err)
{
	const char *const services[KIND_COUNT] = {
		[BOUNCE_FAILURE] = cfg->bounce_service_name,
		[BOUNCE_DELAY] = cfg->defer_service_name,
		[BOUNCE_SUCCESS] = cfg->trace_service_name,
		[BOUNCE_STATUS] = cfg->trace_service_name,
	};
	struct bounce_services *s = x_alloc(sizeof(*s));

	for (int kind = 0; kind < KIND_COUNT; kind++) {
		struct settings *set = &s->of[kind];

		if (!service_config_load(cfg, services[kind], "bounce", false, &set->own, err)) {
			bounce_services_free(&s);
			return NULL;
		}
		set->cfg = set->own ? set->own : cfg;
		/* the file of main.cf, which is the same for all, is complained of once */
		set->templates = bounce_templates_load(
			set->cfg->bounce_template_file, set->own || kind == 0 ? warn : NULL, arg);
	}
	config_make_latest(cfg);
	return s;
}

void bounce_services_free(struct bounce_services **s)
{
	if (!*s)
		return;
	for (int kind = 0; kind < KIND_COUNT; kind++) {
		if ((*s)->of[kind].templates)
			bounce_templates_free(&(*s)->of[kind].templates);
		config_free(&(*s)->of[kind].own);
	}
	x_free(s);
}

void bounce_services_apply(const struct bounce_services *s, enum bounce_kind kind, struct bounce_env *env)
{
	env->cfg = s->of[kind].cfg;
	env->templates = s->of[kind].templates;
}
