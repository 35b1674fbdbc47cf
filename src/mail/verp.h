/* Variable envelope return paths (VERP_README): the sender address of one recipient's copy names the
 * recipient. */
#ifndef MAIL_VERP_H
#define MAIL_VERP_H

#include "base/buf.h"

/*
 * "list-owner@here" for user@example.org with delimiters "+=": "list-owner+user=example.org@here". The null
 * sender stays what it is, and so does every sender when there are not two delimiters. recipient: as the
 * sender wrote it, before aliases, who knows no other. Internal forms.
 */
void verp_sender(struct str sender, const char *delimiters, struct str recipient, struct buf *out);

#endif
