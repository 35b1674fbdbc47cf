/*
 * Messages between processes: a frame is u32 length (of what follows), u16 type, then fields of u8 tag, u32
 * length, bytes. Unknown tags are skipped, a missing one leaves its zero value; a frame over FRAME_MAX or a
 * field that leaves its frame is an error. One encoder and one decoder per message, side by side.
 */
#ifndef IPC_FRAME_H
#define IPC_FRAME_H

#include "base/buf.h"
#include "base/cursor.h"
#include "base/mem.h"

#define FRAME_MAX (16u << 20)

/* Writing: frame_begin, fields, frame_end; several frames may follow each other in a buffer. */
size_t frame_begin(struct buf *b, uint16_t type);	       /* returns the mark for frame_end */
void frame_text(struct buf *b, uint8_t tag, const char *text); /* NULL: left out */
void frame_bytes(struct buf *b, uint8_t tag, struct str bytes);
void frame_u64(struct buf *b, uint8_t tag, uint64_t v);
size_t frame_open(struct buf *b, uint8_t tag); /* nested fields until frame_close */
void frame_close(struct buf *b, size_t mark);
void frame_end(struct buf *b, size_t mark);

/* Reading. 1: a frame, *used bytes taken; 0: incomplete; -1: broken. */
int frame_parse(struct str in, uint16_t *type, struct cursor *fields, size_t *used);
/* Takes the whole frames off the start of in, each to take(). false: broken, or take() refused one. */
bool frame_take_all(struct buf *in, bool (*take)(void *arg, uint16_t type, struct cursor fields), void *arg);
struct frame_field {
	uint8_t tag;
	struct str value;
};
bool frame_next(struct cursor *fields, struct frame_field *f); /* false: end, or broken (fields->bad) */
uint64_t frame_field_u64(const struct frame_field *f);
const char *frame_field_text(struct pool *pool, const struct frame_field *f); /* refuses NUL inside: NULL */

#endif
