#include "smtpd/server_names.h"

#include "base/log.h"
#include "mail/address.h"
#include "smtpd/session.h"

/* The name, then its parents with a leading dot. */
static enum table_status look_up(struct maps *maps, const char *name, struct buf *pem, struct err *err)
{
	enum table_status status = maps_lookup(maps, str_c(name), pem, err);

	for (const char *dot = strchr(name, '.'); dot && status == TABLE_NOT_FOUND;
		dot = strchr(dot + 1, '.'))
		status = maps_lookup(maps, str_c(dot), pem, err);
	return status;
}

enum tls_name server_name_find(void *session, const char *name, struct buf *pem)
{
	struct session *s = session;
	struct err err = {0};

	if (!address_valid_hostname(str_c(name))) {
		log_warning("TLS SNI from %s is invalid: %.100s", s->client.text, name);
		return TLS_NAME_DEFAULT;
	}
	switch (look_up(s->server->tls_names, name, pem, &err)) {
	case TABLE_FOUND:
		return TLS_NAME_FOUND;
	case TABLE_NOT_FOUND:
		log_info("TLS SNI %s from %s not matched, using default chain", name, s->client.text);
		return TLS_NAME_DEFAULT;
	default:
		log_warning("tls_server_sni_maps: %s map lookup problem: %s", name, err.text);
		return TLS_NAME_TROUBLE;
	}
}
