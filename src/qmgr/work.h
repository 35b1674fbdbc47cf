/*
 * The worker threads of the queue manager: whatever may block (files, tables, reports) is a job that a worker
 * runs and hands back finished. Jobs are collected during one turn of the loop and handed over together;
 * finished ones wake the loop once, however many there are.
 *
 * Shared state: the two job lists of struct workers, guarded by its lock (work.c). A job is owned by whoever
 * holds it: the loop before work_submit() and in done(), a worker in between.
 */
#ifndef QMGR_WORK_H
#define QMGR_WORK_H

#include "base/err.h"
#include "base/list.h"

struct work {
	struct list link;
	void (*run)(struct work *work);		      /* on a worker; may block */
	void (*done)(struct work *work, void *owner); /* on the loop, owns the job again */
	bool extra;				      /* made by work_emit() */
};

struct workers;

struct workers *workers_new(int threads, void *owner, struct err *err); /* owner: handed to done() */
void workers_free(struct workers **w);	 /* waits for the jobs that run; jobs not begun are dropped */
int workers_fd(const struct workers *w); /* readable when jobs are done */
void work_submit(struct workers *w, struct work *work); /* loop only; starts at the next workers_flush() */
/*
 * Hands over what was submitted and wakes a worker when jobs wait. That one wakes the next and so on, unless
 * one_by_one: short jobs in quick succession cost less when each call of this wakes one worker more; the loop
 * must call again soon then.
 */
void workers_flush(struct workers *w, bool one_by_one);
void workers_collect(struct workers *w);	 /* calls done() for every finished job */
size_t workers_pending(const struct workers *w); /* submitted and not yet collected; loop only */
/* From inside run(): hands an extra finished job to the loop (the parts of a long walk). */
void work_emit(struct workers *w, struct work *work);

#endif
