/* What this build knows: lock methods, table types, SASL types, TLS. */
#include "commands/command_log.h"
#include "commands/postconf.h"
#include "table/table.h"
#include <openssl/crypto.h>
#include <openssl/opensslv.h>

static void list_lock_methods(void)
{
	puts("flock\nfcntl\ndotlock");
}

static void list_table_type(void *arg, const char *type)
{
	puts(type);
}

static void list_server_sasl(void)
{
	puts("dovecot");
}

static int tell_tls(const char *mode)
{
	if (strcmp(mode, "compile-version") == 0) {
		puts(OPENSSL_VERSION_TEXT);
	} else if (strcmp(mode, "run-version") == 0) {
		puts(OpenSSL_version(OPENSSL_VERSION));
	} else if (strcmp(mode, "public-key-algorithms") == 0) {
		puts("dsa\necdsa\nrsa");
	} else {
		command_say(LOGL_WARNING, "unknown 'postconf -T' mode: %s", mode);
		return 1;
	}
	return 0;
}

bool postconf_is_fact(int option)
{
	return strchr("aAblmtT", option) != NULL;
}

int postconf_facts(int option, const char *argument)
{
	switch (option) {
	case 'a':
		list_server_sasl();
		return 0;
	case 'A':
		return 0;
	case 'l':
		list_lock_methods();
		return 0;
	case 'm':
		table_each_type(list_table_type, NULL);
		return 0;
	default:
		return tell_tls(argument);
	}
}
