#include "commands/command_pickup.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"

void command_wake_pickup(const struct config *cfg)
{
	char *path = x_asprintf("public/%s", cfg->pickup_service_name);
	struct err err = {""};

	if (!net_trigger(path, &err))
		log_debug("%s", err.text);
	x_free(&path);
}
