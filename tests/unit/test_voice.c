/*
 * Voice activity, chunks and cues from levels; pieces and the language's evidence of the
 * recogniser.
 */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "plugins/media_ffmpeg/voice.h"
#include "plugins/stt_pocketsphinx/evidence.h"
#include "plugins/stt_pocketsphinx/pieces.h"

/* ---- Sound made for the test --------------------------------------------------------------------- */

static void add(struct levels *levels, int64_t ms, double db, double noise)
{
    for (int64_t i = 0; i < ms / 10; i++) {
        double wobble = db > -90 ? (double)(i % 5) - 2 : 0, energy = pow(10, (db + wobble) / 10) * 32768.0 * 32768.0;
        levels_add(levels, energy, energy * noise, 1);
    }
}

static void talk(struct levels *levels, int64_t ms)
{
    add(levels, ms, -20, 0.1);
}

static void quiet(struct levels *levels, int64_t ms)
{
    add(levels, ms, -60, 0.3);
}

struct heard {
    struct levels levels;
    struct voice_gate gate;
    struct spans speech, chunks;
};

static void hear(struct heard *heard, int64_t chunk_ms)
{
    heard->gate = voice_gate(&heard->levels);
    voice_find(&heard->levels, &heard->gate, &heard->speech);
    voice_chunks(&heard->levels, chunk_ms, &heard->speech, &heard->chunks);
}

static void forget(struct heard *heard)
{
    levels_free(&heard->levels);
    spans_free(&heard->speech);
    spans_free(&heard->chunks);
}

#define assert_near(value, wanted, within) assert_true(llabs((long long)(value) - (wanted)) <= (within))

/* ---- Voice --------------------------------------------------------------------------------------- */

static void speech_is_found_with_room_around(void **state)
{
    (void)state;
    struct heard heard = {0};
    quiet(&heard.levels, 2000);
    talk(&heard.levels, 3000);
    quiet(&heard.levels, 150); /* inside a word */
    talk(&heard.levels, 1000);
    quiet(&heard.levels, 3000);
    talk(&heard.levels, 40); /* a click */
    quiet(&heard.levels, 2000);
    hear(&heard, 180000);
    assert_int_equal(heard.gate.finding, VOICE_HEARD);
    assert_int_equal(heard.speech.count, 1);
    assert_near(heard.speech.items[0].start_ms, 1940, 20);
    assert_near(heard.speech.items[0].end_ms, 6240, 20);
    assert_near(heard.speech.items[0].value, -20, 1);
    forget(&heard);
}

static void silence_noise_and_nothing_are_no_speech(void **state)
{
    (void)state;
    struct levels levels = {0};
    assert_int_equal(voice_gate(&levels).finding, VOICE_SILENT);
    add(&levels, 20000, -100, 0);
    assert_int_equal(voice_gate(&levels).finding, VOICE_SILENT);
    add(&levels, 20000, -70, 0.3);
    assert_int_equal(voice_gate(&levels).finding, VOICE_SILENT);
    levels_free(&levels);
    for (int i = 0; i < 2000; i++)
        levels_add(&levels, 1e6 + i % 3 * 1e5, 1e6, 1);
    assert_int_equal(voice_gate(&levels).finding, VOICE_STEADY);
    levels_free(&levels);
}

static void digital_silence_does_not_lower_the_gate(void **state)
{
    (void)state;
    struct heard heard = {0};
    for (int i = 0; i < 5; i++) {
        add(&heard.levels, 8000, -100, 0);
        talk(&heard.levels, 1000);
        quiet(&heard.levels, 2000);
    }
    hear(&heard, 180000);
    assert_int_equal(heard.speech.count, 5);
    assert_near(heard.speech.items[4].end_ms - heard.speech.items[4].start_ms, 1150, 30);
    forget(&heard);
}

/* ---- Chunks -------------------------------------------------------------------------------------- */

static void check_chunks(const struct heard *heard, int64_t most_ms)
{
    for (size_t i = 0; i < heard->chunks.count; i++) {
        const struct span *chunk = &heard->chunks.items[i];
        assert_true(chunk->value - (double)chunk->start_ms <= (double)most_ms);
        assert_true(chunk->value <= (double)chunk->end_ms);
        if (i > 0)
            assert_int_equal(chunk->start_ms, heard->chunks.items[i - 1].end_ms);
    }
    for (size_t i = 0; i < heard->speech.count; i++) {
        size_t inside = 0;
        for (size_t k = 0; k < heard->chunks.count; k++)
            inside += heard->speech.items[i].start_ms >= heard->chunks.items[k].start_ms &&
                      (double)heard->speech.items[i].end_ms <= heard->chunks.items[k].value;
        assert_int_equal(inside, 1);
    }
}

static void chunks_are_cut_at_the_longest_late_pause(void **state)
{
    (void)state;
    struct heard heard = {0};
    for (int i = 0; i < 30; i++) {
        talk(&heard.levels, 3000);
        quiet(&heard.levels, i == 8 ? 1500 : 500);
    }
    hear(&heard, 35000);
    check_chunks(&heard, 35000);
    assert_near(heard.chunks.items[0].end_ms, 32240, 50); /* 200 ms before the next word */
    forget(&heard);
}

static void speech_without_pause_is_cut_where_it_is_quietest(void **state)
{
    (void)state;
    struct heard heard = {0};
    quiet(&heard.levels, 6000);
    talk(&heard.levels, 25000);
    add(&heard.levels, 60, -40, 0.1); /* above the gate or short: no pause */
    talk(&heard.levels, 40000);
    hear(&heard, 30000);
    check_chunks(&heard, 30000);
    assert_near(heard.chunks.items[0].end_ms, 31030, 20);
    forget(&heard);
}

static void a_long_silence_is_in_no_audio(void **state)
{
    (void)state;
    struct heard heard = {0};
    talk(&heard.levels, 5000);
    quiet(&heard.levels, 60000);
    talk(&heard.levels, 5000);
    hear(&heard, 180000);
    check_chunks(&heard, 180000);
    assert_int_equal(heard.chunks.count, 2);
    assert_true(heard.chunks.items[0].value < 6000);
    assert_true(heard.chunks.items[1].start_ms > 64000);
    forget(&heard);
}

static void any_pattern_gives_sound_chunks(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        struct heard heard = {0};
        for (int i = 0; i < 60; i++) {
            seed = seed * 1103515245 + 12345;
            int64_t ms = (int64_t)(seed >> 16) % 9000;
            if (seed >> 28 & 1)
                talk(&heard.levels, ms);
            else
                quiet(&heard.levels, ms / 3);
        }
        hear(&heard, 10000);
        check_chunks(&heard, 10000);
        forget(&heard);
    }
}

/* ---- Cues ---------------------------------------------------------------------------------------- */

static void silences_cover_what_speech_does_not(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct spans found = {0};
    quiet(&heard.levels, 2000);
    talk(&heard.levels, 3000);
    quiet(&heard.levels, 4000);
    hear(&heard, 180000);
    voice_silences(&heard.levels, &heard.speech, 9000, &found);
    assert_int_equal(found.count, 2);
    assert_int_equal(found.items[0].start_ms, 0);
    assert_int_equal(found.items[0].end_ms, heard.speech.items[0].start_ms);
    assert_int_equal(found.items[1].end_ms, 9000);
    assert_near(found.items[1].value, -60, 2);
    spans_free(&found);
    forget(&heard);
}

static void a_shout_is_loud_and_applause_a_burst(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct spans loud = {0}, bursts = {0};
    for (int i = 0; i < 10; i++) {
        talk(&heard.levels, 2000);
        quiet(&heard.levels, 500);
    }
    add(&heard.levels, 1000, -8, 0.1);
    quiet(&heard.levels, 500);
    for (int i = 0; i < 6; i++) {
        talk(&heard.levels, 2000);
        quiet(&heard.levels, 500);
    }
    add(&heard.levels, 3000, -22, 1.5);
    quiet(&heard.levels, 2000);
    hear(&heard, 180000);
    voice_loud(&heard.levels, &heard.gate, &loud);
    voice_bursts(&heard.levels, &heard.gate, &bursts);
    assert_int_equal(loud.count, 1);
    assert_near(loud.items[0].start_ms, 25000, 250);
    assert_true(loud.items[0].value > 10);
    assert_int_equal(bursts.count, 1);
    assert_near(bursts.items[0].start_ms, 41500, 200);
    assert_near(bursts.items[0].end_ms, 44500, 200);
    spans_free(&loud);
    spans_free(&bursts);
    forget(&heard);
}

/* ---- The recogniser's pieces and evidence --------------------------------------------------------- */

static void pieces_join_and_split(void **state)
{
    (void)state;
    struct wave wave = {.count = 70 * WAVE_RATE};
    struct pieces pieces = {0};
    wave.samples = calloc(wave.count, sizeof(int16_t));
    for (size_t i = 0; i < wave.count; i++)
        wave.samples[i] = i / WAVE_RATE == 32 ? 0 : (int16_t)(i % 7 * 1000);
    pieces_add(&pieces, &wave, -100, 3000, 20000);
    pieces_add(&pieces, &wave, 4000, 9000, 20000);
    assert_int_equal(pieces.count, 1);
    assert_int_equal(pieces.items[0].start_ms, 0);
    pieces_add(&pieces, &wave, 20000, 48000, 20000);
    pieces_add(&pieces, &wave, 60000, 90000, 20000);
    assert_int_equal(pieces.count, 4);
    assert_near(pieces.items[1].end_ms, 32000, 100); /* the quiet second */
    assert_int_equal(pieces.items[3].end_ms, 70000);
    for (size_t i = 0; i < pieces.count; i++)
        assert_true(pieces.items[i].end_ms - pieces.items[i].start_ms <= 20000);
    pieces_free(&pieces);
    wave_free(&wave);
}

static void sure_long_words_are_english(void **state)
{
    (void)state;
    struct evidence english = {.speech_ms = 4000}, other = {.speech_ms = 4000}, noise = {.speech_ms = 10000},
                    none = {0};
    for (int i = 0; i < 10; i++) {
        evidence_add(&english, i % 2 ? "convenience" : "and", 300, i % 2 ? 0.9 : 0.5);
        evidence_add(&other, i % 2 ? "revenge" : "the", 300, i % 2 ? 0.1 : 0.5);
    }
    for (int i = 0; i < 3; i++)
        evidence_add(&noise, "thank", 500, 1.0);
    assert_true(evidence_confidence(&english) > 0.8);
    assert_true(evidence_confidence(&other) < 0.6);
    assert_true(evidence_confidence(&noise) < 0.6);
    assert_true(evidence_confidence(&none) <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speech_is_found_with_room_around),
        cmocka_unit_test(silence_noise_and_nothing_are_no_speech),
        cmocka_unit_test(digital_silence_does_not_lower_the_gate),
        cmocka_unit_test(chunks_are_cut_at_the_longest_late_pause),
        cmocka_unit_test(speech_without_pause_is_cut_where_it_is_quietest),
        cmocka_unit_test(a_long_silence_is_in_no_audio),
        cmocka_unit_test(any_pattern_gives_sound_chunks),
        cmocka_unit_test(silences_cover_what_speech_does_not),
        cmocka_unit_test(a_shout_is_loud_and_applause_a_burst),
        cmocka_unit_test(pieces_join_and_split),
        cmocka_unit_test(sure_long_words_are_english),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
