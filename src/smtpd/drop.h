/* Stand-alone mode's way into the mail system: postdrop(1), which may write to the maildrop whoever runs it.
 */
#ifndef SMTPD_DROP_H
#define SMTPD_DROP_H

#include "cleanup/cleanup.h"

struct mail_options;
struct drop;

struct drop *drop_begin(
	const struct config *cfg, const char *sender, const struct mail_options *options, struct err *err);
void drop_recipient(struct drop *d, const char *address, int notify);
void drop_text(struct drop *d, struct str lines); /* lines with their ends */
bool drop_line(struct drop *d, struct str line, bool partial);
/* As cleanup_end; id becomes the one that postdrop tells. */
void drop_end(
	struct drop **d, struct cleanup_result *result, struct queue_id *id, char *text, size_t text_size);
void drop_abort(struct drop **d); /* NULL allowed */

#endif
