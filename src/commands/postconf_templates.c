/* postconf -b and -t: the templates of reports, expanded or as they are. */
#include "bounce/bounce_template.h"
#include "commands/command_log.h"
#include "commands/postconf.h"
#include <errno.h>
#include <unistd.h>

static void tell(void *arg, const char *text)
{
	command_say(LOGL_WARNING, "%s", text);
}

static void print_expanded(const struct config *cfg, const struct bounce_template *t, const char *name)
{
	struct buf text = BUF(1 << 20);

	bounce_template_expand(cfg, t, &text);
	printf("expanded_%s_text = <<EOF\n%sEOF\n", name, buf_cstr(&text));
	buf_free(&text);
}

static void print_template(const struct config *cfg, const struct bounce_template *t, const char *name)
{
	printf("%s_template = <<EOF\nCharset: %s\nFrom: %s\nSubject: %s\n", name, t->charset,
		bounce_template_from(cfg, t), t->subject);
	if (t->postmaster_subject != NULL)
		printf("Postmaster-Subject: %s\n", t->postmaster_subject);
	printf("\n%sEOF\n", t->text);
}

int postconf_templates(int option, const char *directory, const char *file)
{
	struct config_source source = {.program = "postconf", .directory = directory};
	struct err err = {""};
	const struct config *cfg = config_load(&source, NULL, NULL, &err);
	struct bounce_templates *templates;

	if (cfg == NULL) {
		command_say(LOGL_FATAL, "%s", err.text);
		return 1;
	}
	if (!file)
		file = cfg->bounce_template_file;
	if (*file && access(file, R_OK) < 0) {
		command_say(LOGL_FATAL, "open %s: %s", file, strerror(errno));
		config_free(&cfg);
		return 1;
	}
	templates = bounce_templates_load(file, tell, NULL);
	for (enum bounce_template_kind kind = 0; kind < TEMPLATE_COUNT; kind++) {
		const struct bounce_template *t = bounce_template_get(templates, kind);

		if (kind > 0)
			putchar('\n');
		if (option == 'b')
			print_expanded(cfg, t, bounce_template_name(kind));
		else
			print_template(cfg, t, bounce_template_name(kind));
	}
	bounce_templates_free(&templates);
	config_free(&cfg);
	return 0;
}
