#include "config/service_config.h"

#include <unistd.h>

#include "base/mem.h"
#include "config/master_cf.h"
#include "config/names.h"

static bool load(const struct config *cfg, const struct master_service *service, const char *name,
	const char *program, const struct config **out, struct err *err)
{
	const struct config_source source = {
		.directory = config_directory(cfg),
		.overrides = service ? service->overrides : NULL,
		.override_count = service ? service->override_count : 0,
		.service = name,
		.program = program,
		.main_text = cfg->names->main_text,
		.master_text = cfg->names->master_text,
	};

	*out = config_load(&source, NULL, NULL, err);
	return *out != NULL || err_prefix(err, "service %s", name);
}

static bool has_master_cf(const struct config *cfg)
{
	char *path = x_asprintf("%s/master.cf", config_directory(cfg));
	bool there = cfg->names->master_text || access(path, F_OK) == 0;

	x_free(&path);
	return there;
}

bool service_config_load(const struct config *cfg, const char *name, const char *program, bool always,
	const struct config **out, struct err *err)
{
	const struct master_service *service;
	struct master_cf *master;
	bool ok = true;

	*out = NULL;
	if (!cfg->names || !has_master_cf(cfg))
		return true;
	master = master_cf_load(cfg, err);
	if (!master)
		return false;
	service = master_cf_find(master, name, SERVICE_UNIX);
	if (always || (service && service->override_count > 0))
		ok = load(cfg, service, name, program, out, err);
	master_cf_free(&master);
	return ok;
}
