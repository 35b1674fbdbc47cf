/*
 * The master.cf services whose settings hold for reports: bounce_service_name's for failures,
 * defer_service_name's for delays, trace_service_name's for successes and for reports that were asked for.
 */
#ifndef BOUNCE_BOUNCE_SERVICES_H
#define BOUNCE_BOUNCE_SERVICES_H

#include "bounce/bounce.h"

struct bounce_services;

/* Reads the entries' -o options, and their templates; trouble with a file of templates is told through warn.
 * NULL with err: settings that cannot be used. */
struct bounce_services *bounce_services_new(
	const struct config *cfg, config_warn_fn warn, void *arg, struct err *err);
void bounce_services_free(struct bounce_services **s);
/* Puts the configuration and templates for reports of this kind into env. */
void bounce_services_apply(const struct bounce_services *s, enum bounce_kind kind, struct bounce_env *env);

#endif
