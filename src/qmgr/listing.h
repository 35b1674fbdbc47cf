/* The queue's listing for postqueue(1): read from the files by a thread of its own, so that neither the loop
 * nor its workers wait for a slow reader. */
#ifndef QMGR_LISTING_H
#define QMGR_LISTING_H

#include "qmgr/qmgr.h"

#define LISTINGS_MAX 4 /* at once */

/* Takes the connection over. false: too many listings, fd stays the caller's. */
bool listing_start(struct qmgr *q, int fd);

#endif
