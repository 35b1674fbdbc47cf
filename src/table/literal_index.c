#include "table/literal_index.h"

#include "base/mem.h"

#define GRAM 3 /* bytes */
#define NONE SIZE_MAX

struct entry {
	size_t text; /* where it is in the text */
	size_t length;
	size_t gram_at; /* where in the literal its chosen three bytes are */
	size_t rule;
	size_t next; /* with the same three bytes, or NONE */
};

/* Three bytes and a number of theirs. No literal has NUL bytes: 0 is a free slot. */
struct slot {
	uint32_t gram;
	size_t value;
};

struct grams {
	struct slot *slots;
	unsigned shift; /* 32 - log2 of how many slots */
};

struct literal_index {
	struct buf text;
	struct entry *entries;
	size_t count, room;
	struct grams heads; /* value: the first entry */
};

struct literal_index *literal_index_new(void)
{
	struct literal_index *x = x_alloc(sizeof(*x));

	x->text = BUF(SIZE_MAX / 4);
	return x;
}

void literal_index_free(struct literal_index **xp)
{
	struct literal_index *x = *xp;

	if (!x)
		return;
	buf_free(&x->text);
	x_free(&x->entries);
	x_free(&x->heads.slots);
	x_free(xp);
}

static unsigned fold(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
}

static uint32_t gram_of(const char *p)
{
	return (uint32_t)(fold(p[0]) << 16 | fold(p[1]) << 8 | fold(p[2]));
}

static void grams_room(struct grams *g, size_t count)
{
	unsigned bits = 4;

	while (bits < 22 && (size_t)1 << bits < 2 * count)
		bits++;
	g->shift = 32 - bits;
	g->slots = x_alloc(sizeof(*g->slots) << bits);
}

/* The slot with these bytes, or the free one where they belong. There are more slots than such triples, or
 * twice as many as are used. */
static struct slot *gram_slot(const struct grams *g, uint32_t gram)
{
	uint32_t mask = UINT32_MAX >> g->shift, i = gram * 2654435769u >> g->shift;

	while (g->slots[i].gram && g->slots[i].gram != gram)
		i = (i + 1) & mask;
	return &g->slots[i];
}

bool literal_index_add(struct literal_index *x, size_t rule, const struct literals *needed)
{
	struct str rest = buf_slice(&needed->text);
	ptrdiff_t end;

	if (needed->shortest < GRAM)
		return false;
	for (; (end = str_find(rest, '\0')) >= 0; rest = str_from(rest, (size_t)end + 1)) {
		if (x->count == x->room) {
			x->room = x->room ? 2 * x->room : 16;
			x->entries = x_realloc(x->entries, x->room * sizeof(*x->entries));
		}
		x->entries[x->count++] = (struct entry){
			.text = x->text.len, .length = (size_t)end, .rule = rule, .next = NONE};
		buf_str(&x->text, str_first(rest, (size_t)end));
	}
	return true;
}

static void count_grams(const struct literal_index *x, struct grams *counts)
{
	grams_room(counts, x->text.len);
	for (size_t i = 0; i < x->count; i++) {
		const struct entry *e = &x->entries[i];

		for (size_t at = 0; at + GRAM <= e->length; at++) {
			uint32_t gram = gram_of(x->text.data + e->text + at);
			struct slot *slot = gram_slot(counts, gram);

			slot->gram = gram;
			slot->value++;
		}
	}
}

static void choose_gram(const struct literal_index *x, const struct grams *counts, struct entry *e)
{
	size_t fewest = SIZE_MAX;

	for (size_t at = 0; at + GRAM <= e->length; at++) {
		size_t count = gram_slot(counts, gram_of(x->text.data + e->text + at))->value;

		if (count < fewest) {
			fewest = count;
			e->gram_at = at;
		}
	}
}

void literal_index_finish(struct literal_index *x)
{
	struct grams counts;

	count_grams(x, &counts);
	grams_room(&x->heads, x->count);
	for (size_t i = 0; i < x->count; i++) {
		struct entry *e = &x->entries[i];
		struct slot *head;
		uint32_t gram;

		choose_gram(x, &counts, e);
		gram = gram_of(x->text.data + e->text + e->gram_at);
		head = gram_slot(&x->heads, gram);
		e->next = head->gram ? head->value : NONE;
		*head = (struct slot){gram, i};
	}
	x_free(&counts.slots);
}

static bool is_at(const struct literal_index *x, const struct entry *e, struct str key, size_t at)
{
	const char *text = x->text.data + e->text;

	if (at < e->gram_at || key.n - (at - e->gram_at) < e->length)
		return false;
	for (size_t i = 0; i < e->length; i++) {
		if (fold(key.p[at - e->gram_at + i]) != (unsigned char)text[i])
			return false;
	}
	return true;
}

void literal_index_mark(const struct literal_index *x, struct str key, uint64_t *rules)
{
	for (size_t at = 0; x->count && at + GRAM <= key.n; at++) {
		uint32_t gram = gram_of(key.p + at);
		const struct slot *slot = gram_slot(&x->heads, gram);

		if (slot->gram == 0 || gram == 0)
			continue;
		for (size_t i = slot->value; i != NONE; i = x->entries[i].next) {
			const struct entry *e = &x->entries[i];

			if (is_at(x, e, key, at))
				rules[e->rule / 64] |= (uint64_t)1 << e->rule % 64;
		}
	}
}
