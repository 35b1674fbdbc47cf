/*
 * The cleanup service of master.cf gives messages its settings: its -o options apply to the mail of every
 * listener whose cleanup_service_name names it.
 */
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "config/master_cf.h"
#include <unistd.h>

static bool load(const struct config *cfg, const struct master_service *service, const struct config **out,
	struct err *err)
{
	struct config_source source = {
		.directory = config_directory(cfg),
		.overrides = service->overrides,
		.override_count = service->override_count,
		.service = service->name,
		.program = "cleanup",
	};

	*out = config_load(&source, NULL, NULL, err);
	return *out != NULL || err_prefix(err, "service %s", service->name);
}

static bool has_master_cf(const struct config *cfg)
{
	char *path = x_asprintf("%s/master.cf", config_directory(cfg));
	bool there = access(path, F_OK) == 0;

	x_free(&path);
	return there;
}

bool cleanup_service_config(const struct config *cfg, const struct config **out, struct err *err)
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
	service = master_cf_find(master, cfg->cleanup_service_name, SERVICE_UNIX);
	if (service && service->override_count > 0)
		ok = load(cfg, service, out, err);
	master_cf_free(&master);
	return ok;
}
