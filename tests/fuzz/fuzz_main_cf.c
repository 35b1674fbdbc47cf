/* main.cf: whatever it says, loading ends with a configuration or an error. */
#include "base/mem.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore_warning(void *arg, const char *text)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = x_strndup((const char *)data, size);
	struct config_source source = {.directory = "/cf",
		.main_text = text,
		.program = size % 2 ? "smtpd" : "lmtp",
		.lmtp = size % 2 == 0};
	struct err err;
	const struct config *cfg = config_load(&source, ignore_warning, NULL, &err);

	if (cfg) {
		char *expanded = config_expand(cfg, text, NULL, NULL);

		config_transport_int(cfg, text, "_destination_concurrency_limit");
		x_free(&expanded);
	}
	config_free(&cfg);
	x_free(&text);
	return 0;
}
