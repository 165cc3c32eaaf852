/*
 * Changes JSON as JSON, half of the time: bytes that are changed at random are hardly ever JSON any
 * more, and the readers behind the parser would see little.
 */
#include <json-c/json.h>
#include <string.h>

#include "core/common/message.h"
#include "core/common/text.h"
#include "tests/fuzz/fuzz.h"

static uint32_t state;

static uint32_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static size_t below(size_t most)
{
    return most ? next_random() % most : 0;
}

/* ---- Values that readers stumble over ---- */

static const int64_t numbers[] = {
    0,
    1,
    -1,
    2,
    10,
    999,
    1000,
    60000,
    86400000,
    2147483647,
    2147483648,
    -2147483648,
    4294967295,
    INT64_MAX,
    INT64_MIN,
    9007199254740993,
    INT64_MAX / 2,
    INT64_MIN / 2,
    65535,
    65536,
};
static const double reals[] = {0.5, -0.5, 1.5, 1e9, -1e9, 9e15, 1e18, 9.3e18, -9.3e18, 1e300, -1e300, 1e-300};
static const char *const texts[] = {"",     " ", "0", "01", "-1",       "../x", "/",  ".", "9:16", "a\x02z",
                                    "%s%n", "…", "😀", "Да", "\xcc\x81", "null", "\n", "#", "{",    "01.1"};

static struct json_object *new_number(struct json_object *old)
{
    if (next_random() % 3 == 0) {
        return json_object_new_int64((int64_t)((uint64_t)json_object_get_int64(old) + below(9) - 4));
    }
    return json_object_new_int64(numbers[below(sizeof numbers / sizeof *numbers)]);
}

static struct json_object *new_text(struct json_object *old)
{
    char bytes[512];
    const char *text = json_object_get_string(old);
    size_t count = text ? strlen(text) : 0;
    count = count < sizeof bytes / 2 ? count : sizeof bytes / 2;
    memcpy(bytes, text ? text : "", count);
    count = LLVMFuzzerMutate((uint8_t *)bytes, count, sizeof bytes);
    return cm_is_utf8(bytes, count) ? json_object_new_string_len(bytes, (int)count)
                                    : json_object_new_string(texts[below(sizeof texts / sizeof *texts)]);
}

static struct json_object *new_value(struct json_object *old)
{
    switch (json_object_is_type(old, json_type_string) ? below(9) : 3 + below(9)) {
    case 0:
    case 1:
    case 2:
        return new_text(old);
    case 3:
        return json_object_new_double(reals[below(sizeof reals / sizeof *reals)]);
    case 4:
        return json_object_new_boolean((int)below(2));
    case 5:
        return NULL;
    case 6:
        return json_object_new_array();
    case 7:
        return json_object_new_object();
    case 8:
        return json_object_new_string(texts[below(sizeof texts / sizeof *texts)]);
    default:
        return new_number(old);
    }
}

static struct json_object *copy_of(struct json_object *value)
{
    struct json_object *copy = NULL;
    return json_object_deep_copy(value, &copy, NULL) ? NULL : copy;
}

/* ---- Places ---- */

/* One place of the tree: the member or element of `parent`. */
struct place {
    struct json_object *parent, *value;
    const char *name;
    size_t index;
};

struct places {
    struct place *list;
    size_t count, room;
};

static void add_place(struct places *places, struct place place)
{
    places->list = cm_grow(places->list, &places->room, places->count, sizeof *places->list);
    places->list[places->count++] = place;
}

static void collect(struct places *places, struct json_object *value)
{
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, name, member)
        {
            add_place(places, (struct place){value, member, name, 0});
            collect(places, member);
        }
    }
    size_t count = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
    for (size_t i = 0; i < count; i++) {
        add_place(places, (struct place){value, json_object_array_get_idx(value, i), NULL, i});
        collect(places, json_object_array_get_idx(value, i));
    }
}

/* Takes the value. */
static void put_at(const struct place *place, struct json_object *value)
{
    if (place->name) {
        json_object_object_add(place->parent, place->name, value);
    } else {
        json_object_array_put_idx(place->parent, place->index, value);
    }
}

static void change_at(const struct place *place, const struct place *other)
{
    switch (below(8)) {
    case 0: /* away */
        if (place->name) {
            json_object_object_del(place->parent, place->name);
        } else {
            json_object_array_del_idx(place->parent, place->index, 1);
        }
        return;
    case 1: /* once more */
        if (!place->name) {
            json_object_array_add(place->parent, copy_of(place->value));
            return;
        }
        /* fall through */
    case 2: /* as that one over there */
        put_at(place, copy_of(other->value));
        return;
    default:
        put_at(place, new_value(place->value));
    }
}

static size_t mutate_json(uint8_t *bytes, size_t count, size_t most)
{
    struct json_object *root = cm_json_parse((const char *)bytes, count, NULL);
    for (size_t changes = root ? 1 + below(3) : 0; changes > 0; changes--) {
        struct places places = {0};
        collect(&places, root);
        if (places.count > 0) {
            change_at(&places.list[below(places.count)], &places.list[below(places.count)]);
        }
        free(places.list);
    }
    size_t length = 0;
    const char *text = root ? json_object_to_json_string_length(root, JSON_C_TO_STRING_PLAIN, &length) : NULL;
    int fits = text && length <= most;
    if (fits) {
        memcpy(bytes, text, length);
    }
    json_object_put(root);
    return fits ? length : 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t count, size_t most, unsigned seed)
{
    state = seed | 1;
    next_random();
    size_t length = next_random() % 4 ? mutate_json(bytes, count, most) : 0;
    return length ? length : LLVMFuzzerMutate(bytes, count, most);
}
