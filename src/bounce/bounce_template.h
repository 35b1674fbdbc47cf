/*
 * The text of reports for people, bounce(5): built in, or from bounce_template_file. A file gives any of
 * "failure_template", "delay_template", "success_template" and "verify_template", each "name = <<WORD",
 * header lines, an empty line and text up to a line WORD.
 */
#ifndef BOUNCE_BOUNCE_TEMPLATE_H
#define BOUNCE_BOUNCE_TEMPLATE_H

#include "base/buf.h"
#include "config/config.h"

enum bounce_template_kind {
	TEMPLATE_FAILURE,
	TEMPLATE_DELAY,
	TEMPLATE_SUCCESS,
	TEMPLATE_VERIFY,
	TEMPLATE_COUNT
};

struct bounce_template {
	const char *charset;
	const char *from; /* value of From:, without domain; NULL: header_from_format's */
	const char *subject;
	const char *postmaster_subject; /* of the postmaster's copy; NULL: none is sent */
	const char *text;		/* lines, with $name; ends in a line end */
};

struct bounce_templates;

/*
 * Reads the file over the built-in templates; path "" or NULL: none. Trouble with the file is told through
 * warn (which may be NULL) with file and line, and the built-in templates stand. Never fails.
 */
struct bounce_templates *bounce_templates_load(const char *path, config_warn_fn warn, void *arg);
/* The same from memory; path: for messages. */
struct bounce_templates *bounce_templates_parse(
	struct str text, const char *path, config_warn_fn warn, void *arg);
void bounce_templates_free(struct bounce_templates **t);
/* t NULL: built in. */
const struct bounce_template *bounce_template_get(
	const struct bounce_templates *t, enum bounce_template_kind kind);
/* "failure", "delay", "success", "verify" */
const char *bounce_template_name(enum bounce_template_kind kind);
const char *bounce_template_from(const struct config *cfg, const struct bounce_template *t);
/* The text with its names expanded. */
void bounce_template_expand(const struct config *cfg, const struct bounce_template *t, struct buf *out);

#endif
