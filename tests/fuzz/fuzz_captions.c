/*
 * Captions: any bytes as a captions file, down to the words that a chunk gets.
 */
#include <limits.h>
#include <string.h>

#include "core/common/text.h"
#include "plugins/stt_captions/cues.h"
#include "plugins/stt_captions/encoding.h"
#include "plugins/stt_captions/lay.h"
#include "plugins/stt_captions/script.h"
#include "tests/fuzz/fuzz.h"

#define CHUNK_MS 30000
#define CHUNKS 40 /* 20 minutes; what lies behind goes into one last chunk */

struct seen {
    size_t words;
    int64_t before_ms;
};

static void see(void *to, const char *text, int64_t start_ms, int64_t end_ms, int32_t speaker)
{
    struct seen *seen = to;
    fuzz_promise(cm_is_utf8(text, strlen(text)) && *text);
    fuzz_promise(start_ms >= 0 && end_ms > start_ms && speaker >= -1);
    seen->words++;
}

static void check_settled(const struct cues *cues)
{
    for (size_t i = 0; i < cues->count; i++) {
        const struct cue *cue = &cues->items[i];
        fuzz_promise(cue->count > 0 && cue->start_ms >= 0 && cue->start_ms < cue->end_ms);
        fuzz_promise(i == 0 || cues->items[i - 1].end_ms <= cue->start_ms);
    }
}

/* Chunks that touch: together they have each word exactly once. */
static void check_laid(const struct cues *cues)
{
    static const struct lay_span speech[] = {{500, 4000}, {4500, 4600}, {9000, 31000}, {40000, 50000}};
    size_t words = 0;
    struct seen seen = {0};
    for (size_t i = 0; i < cues->count; i++) {
        words += cues->items[i].count;
        for (int64_t number = 0; number <= CHUNKS; number++) {
            int64_t end_ms = number < CHUNKS ? (number + 1) * CHUNK_MS : INT64_MAX;
            struct lay_chunk chunk = {number * CHUNK_MS, end_ms, speech, sizeof speech / sizeof *speech};
            lay_cue(&cues->items[i], &chunk, see, &seen);
        }
    }
    fuzz_promise(seen.words == words);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    const char *name = NULL;
    char *text = encoding_to_utf8((const char *)bytes, count, &name);
    fuzz_promise(name && *name);
    fuzz_promise(cm_is_utf8(text, strlen(text)));
    for (int drop_sounds = 0; drop_sounds < 2; drop_sounds++) {
        struct cues cues = {0};
        cues_parse(&cues, text, drop_sounds);
        cues_settle(&cues);
        check_settled(&cues);
        check_laid(&cues);
        struct script script = script_of(&cues);
        fuzz_promise(script.language && script.percent >= 0 && script.percent <= 100);
        cues_free(&cues);
    }
    free(text);
    return 0;
}
