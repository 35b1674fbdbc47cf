/* Files with the texts of reports, bounce(5). */
#include "bounce/bounce_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_header(const char *value)
{
	for (; value != NULL && *value != '\0'; value++)
		if ((unsigned char)*value < 0x20 || (unsigned char)*value >= 0x7f)
			__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bounce_templates *t =
		bounce_templates_parse((struct str){(const char *)data, size}, "file", NULL, NULL);

	for (enum bounce_template_kind kind = 0; kind < TEMPLATE_COUNT; kind++) {
		const struct bounce_template *one = bounce_template_get(t, kind);

		check_header(one->charset);
		check_header(one->from);
		check_header(one->subject);
		check_header(one->postmaster_subject);
		if (one->text == NULL)
			__builtin_trap();
	}
	bounce_templates_free(&t);
	return 0;
}
