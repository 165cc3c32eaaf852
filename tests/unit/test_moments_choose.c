/*
 * Proposals become moments: fitted into the limits, snapped to words, chosen without repetition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "core/moments/candidates.h"
#include "core/moments/choose.h"
#include "core/moments/terms.h"
#include "tests/unit/moments_kit.h"

/* What is true of every moment, whoever proposed it. */
static void check_moment(const struct cm_transcript *transcript, const struct cm_limits *limits,
                         const struct cm_moment *moment)
{
    const struct cm_span *span = &moment->span;
    int64_t length_ms = span->end_ms - span->start_ms;
    assert_true(length_ms >= limits->min_ms && length_ms <= limits->max_ms);
    assert_true(span->start_ms >= 0 && span->end_ms <= transcript->duration_ms);
    assert_true(span->start_ms <= transcript->words[span->first_word].start_ms);
    assert_true(span->end_ms >= transcript->words[span->last_word].end_ms);
    assert_true(transcript->sentences[moment->first].first <= span->first_word);
    assert_true(transcript->sentences[moment->last].last >= span->last_word);
}

/* No word outside is touched. */
static void check_edges(const struct cm_transcript *transcript, const struct cm_span *span)
{
    assert_true(span->first_word == 0 || transcript->words[span->first_word - 1].end_ms <= span->start_ms);
    assert_true(span->last_word + 1 == transcript->word_count ||
                transcript->words[span->last_word + 1].start_ms >= span->end_ms);
}

/* ---- Snapping ---- */

static void a_clip_begins_and_ends_inside_pauses(void **state)
{
    (void)state;
    struct cm_transcript *transcript = kit_words("one two // three four // five six");
    struct cm_span span = cm_snap(transcript, 2, 3);
    assert_int_equal(span.start_ms, transcript->words[2].start_ms - 350);
    assert_int_equal(span.end_ms, transcript->words[3].end_ms + 450);
    span = cm_snap(transcript, 1, 1); /* between words that follow closely half of the gap */
    assert_int_equal(span.start_ms, transcript->words[1].start_ms - 50);
    span = cm_snap(transcript, 0, 5);
    assert_int_equal(span.start_ms, 150);
    assert_int_equal(span.end_ms, transcript->words[5].end_ms + 450);
    cm_transcript_free(transcript);
}

static void measured_speech_corrects_late_words(void **state)
{
    (void)state;
    struct cm_transcript *transcript = kit_words("one two // three four // five six");
    int64_t word_ms = transcript->words[2].start_ms, end_ms = transcript->words[3].end_ms;
    transcript->speech = cm_alloc(sizeof *transcript->speech);
    transcript->speech[0] = (struct cm_stretch){word_ms - 200, end_ms + 150};
    transcript->speech_count = 1;
    struct cm_span span = cm_snap(transcript, 2, 3);
    assert_int_equal(span.start_ms, word_ms - 200 - 350);
    assert_int_equal(span.end_ms, end_ms + 150 + 450);
    check_edges(transcript, &span);
    cm_transcript_free(transcript);
}

/* ---- Fitting ---- */

static void any_proposal_fits_the_limits_at_sentence_edges(void **state)
{
    (void)state;
    struct cm_limits limits = cm_limits_of(15000, 60000);
    struct cm_transcript *transcript = kit_talk(60, 9, limits.max_ms);
    for (size_t first = 0; first < transcript->sentence_count; first += 3) {
        for (size_t last = first; last < transcript->sentence_count; last += 4) {
            struct cm_moment moment;
            assert_int_equal(cm_fit(transcript, &limits, first, last, &moment), 1);
            check_moment(transcript, &limits, &moment);
            check_edges(transcript, &moment.span);
            assert_int_equal(moment.span.first_word, transcript->sentences[moment.first].first);
            assert_int_equal(moment.span.last_word, transcript->sentences[moment.last].last);
        }
    }
    cm_transcript_free(transcript);
}

/* Limits of every kind, also those that whole sentences cannot meet. */
static void odd_limits_are_met_too(void **state)
{
    (void)state;
    static const int64_t odd[][2] = {{15000, 15000}, {20000, 20500}, {1000, 2000}, {30000, 30000}, {3000, 90000}};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct cm_limits limits = cm_limits_of(odd[i][0], odd[i][1]);
        struct cm_transcript *transcript = kit_talk(25, 14, limits.max_ms);
        for (size_t first = 0; first < transcript->sentence_count; first++) {
            struct cm_moment moment;
            assert_int_equal(cm_fit(transcript, &limits, first, first, &moment), 1);
            check_moment(transcript, &limits, &moment);
        }
        cm_transcript_free(transcript);
    }
}

static void little_speech_is_extended_over_silence(void **state)
{
    (void)state;
    struct cm_limits limits = cm_limits_of(15000, 60000);
    struct cm_transcript *transcript = kit_sentences("only four words here", limits.max_ms);
    struct cm_moment moment;
    assert_int_equal(cm_fit(transcript, &limits, 0, 0, &moment), 0); /* the media is too short */
    transcript->duration_ms = 15000;
    assert_int_equal(cm_fit(transcript, &limits, 0, 0, &moment), 1);
    check_moment(transcript, &limits, &moment);
    assert_int_equal(cm_fit(transcript, &limits, 0, 1, &moment), 0); /* no such sentence */
    assert_int_equal(cm_fit(transcript, &limits, 1, 0, &moment), 0);
    cm_transcript_free(transcript);
}

/* ---- Proposals ---- */

static void proposals_are_checked_and_never_doubled(void **state)
{
    (void)state;
    struct cm_limits limits = cm_limits_of(15000, 60000);
    struct cm_transcript *transcript = kit_talk(40, 9, limits.max_ms);
    struct cm_candidates candidates = {0}, again = {0};
    struct json_object *answer = json_tokener_parse(
        "{\"moments\":[{\"first\":3,\"last\":8,\"reason\":\"good\"},{\"first\":3,\"last\":8,\"reason\":\"again\"},"
        "{\"first\":9,\"last\":900,\"reason\":\"\"},{\"first\":-1,\"last\":2},{\"first\":20,\"last\":20}]}");
    size_t left_out = cm_candidates_propose(&candidates, transcript, &limits, "02", "model", answer);
    assert_int_equal(left_out, 3);
    assert_int_equal(candidates.count, 2);
    assert_string_equal(candidates.list[0].id, "02.1");
    assert_string_equal(candidates.list[1].id, "02.5");
    struct json_object *list = cm_candidates_write(&candidates);
    cm_candidates_read(&again, transcript, "model", list);
    assert_int_equal(again.count, 2);
    assert_memory_equal(&again.list[1].moment, &candidates.list[1].moment, sizeof(struct cm_moment));
    assert_string_equal(again.list[0].reason, "good");
    cm_candidates_free(&again);
    struct cm_transcript *other = kit_talk(4, 3, limits.max_ms); /* does not have those words */
    cm_candidates_read(&again, other, "model", list);
    assert_int_equal(again.count, 0);
    json_object_put(list);
    json_object_put(answer);
    cm_candidates_free(&candidates);
    cm_transcript_free(other);
    cm_transcript_free(transcript);
}

/* ---- Terms ---- */

static double likeness(const char *a, const char *b)
{
    struct cm_terms one = {0}, two = {0};
    cm_terms_add(&one, a);
    cm_terms_add(&two, b);
    cm_terms_finish(&one);
    cm_terms_finish(&two);
    double cosine = cm_terms_cosine(&one, &two);
    cm_terms_free(&one);
    cm_terms_free(&two);
    return cosine;
}

static void texts_that_say_the_same_are_alike(void **state)
{
    (void)state;
    assert_true(likeness("Главная ошибка новичков", "главные ошибки новичка") > 0.99);
    assert_true(likeness("The secret of promises", "the SECRETS, of promise!") > 0.9);
    assert_true(likeness("полёт на Марс", "рецепт борща") < 0.01);
    assert_true(likeness("", "nothing here") < 0.01);
    assert_true(likeness("зелёный ёжик", "зеленый ежик") > 0.99);
}

/* ---- Choosing ---- */

static void propose(struct cm_candidates *candidates, const struct cm_transcript *transcript,
                    const struct cm_limits *limits, size_t first, size_t last, int total)
{
    struct cm_moment moment;
    char id[32];
    assert_int_equal(cm_fit(transcript, limits, first, last, &moment), 1);
    snprintf(id, sizeof id, "01.%zu", candidates->count + 1);
    struct cm_candidate *candidate = cm_candidates_add(candidates, id, "model", &moment, "because");
    candidate->score.total = total;
    candidate->scored = 1;
}

static void check_choice(const struct cm_transcript *transcript, const struct cm_limits *limits,
                         const struct cm_candidates *candidates, const struct cm_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        const struct cm_candidate *one = &candidates->list[choice->list[i]];
        check_moment(transcript, limits, &one->moment);
        assert_true(i == 0 || candidates->list[choice->list[i - 1]].score.total >= one->score.total);
        for (size_t k = 0; k < i; k++) {
            const struct cm_span *a = &one->moment.span, *b = &candidates->list[choice->list[k]].moment.span;
            assert_true(cm_overlap(a->start_ms, a->end_ms, b->start_ms, b->end_ms) <= 0.4);
        }
    }
}

static void the_best_come_first_and_overlaps_go(void **state)
{
    (void)state;
    struct cm_limits limits = cm_limits_of(15000, 60000);
    struct cm_transcript *transcript = kit_talk(60, 9, limits.max_ms);
    struct cm_candidates candidates = {0};
    propose(&candidates, transcript, &limits, 0, 6, 50);
    propose(&candidates, transcript, &limits, 1, 7, 80); /* nearly the same, better */
    propose(&candidates, transcript, &limits, 20, 26, 60);
    propose(&candidates, transcript, &limits, 40, 46, 90);
    struct cm_choice choice = cm_choose(&candidates, transcript, &limits, 0);
    assert_int_equal(choice.count, 3);
    assert_int_equal(choice.list[0], 3);
    assert_int_equal(choice.list[1], 1);
    assert_int_equal(choice.list[2], 2);
    check_choice(transcript, &limits, &candidates, &choice);
    free(choice.list);
    cm_candidates_free(&candidates);
    cm_transcript_free(transcript);
}

static void what_is_said_twice_is_shown_once(void **state)
{
    (void)state;
    struct cm_limits limits = cm_limits_of(1500, 60000);
    struct cm_transcript *transcript = kit_sentences(
        "People spend their whole lives waiting for permission. / Something about cooking fish quickly "
        "tonight. / People spending whole lives waiting for permissions. / Rockets carry engineers towards "
        "distant planets.",
        60000);
    struct cm_candidates candidates = {0};
    for (size_t i = 0; i < 4; i++) {
        propose(&candidates, transcript, &limits, i, i, 90 - (int)i);
    }
    struct cm_choice choice = cm_choose(&candidates, transcript, &limits, 3);
    assert_int_equal(choice.count, 3);
    for (size_t i = 0; i < choice.count; i++) {
        assert_int_not_equal(candidates.list[choice.list[i]].moment.first, 2);
    }
    free(choice.list);
    cm_candidates_free(&candidates);
    cm_transcript_free(transcript);
}

static void missing_moments_are_filled_with_dense_speech(void **state)
{
    (void)state;
    struct cm_limits limits = cm_limits_of(15000, 60000);
    struct cm_transcript *transcript = kit_talk(60, 9, limits.max_ms);
    struct cm_candidates none = {0};
    struct cm_choice choice = cm_choose(&none, transcript, &limits, 0);
    assert_int_equal(choice.count, 3);
    check_choice(transcript, &limits, &none, &choice);
    assert_string_equal(none.list[choice.list[0]].by, "choose");
    assert_true(*none.list[choice.list[0]].reason);
    free(choice.list);
    cm_candidates_free(&none);
    struct cm_candidates one = {0};
    propose(&one, transcript, &limits, 20, 26, 5); /* whoever judged comes before who only filled up */
    choice = cm_choose(&one, transcript, &limits, 2);
    assert_int_equal(choice.count, 2);
    check_choice(transcript, &limits, &one, &choice);
    free(choice.list);
    cm_candidates_free(&one);
    cm_transcript_free(transcript);
}

static void a_short_speech_gives_what_fits(void **state)
{
    (void)state;
    struct cm_limits limits = cm_limits_of(15000, 60000);
    struct cm_transcript *transcript = kit_talk(5, 9, limits.max_ms); /* about 20 s */
    struct cm_candidates none = {0};
    struct cm_choice choice = cm_choose(&none, transcript, &limits, 0);
    assert_int_equal(choice.count, 1);
    check_choice(transcript, &limits, &none, &choice);
    free(choice.list);
    cm_candidates_free(&none);
    cm_transcript_free(transcript);
}

static void how_many_depends_on_length_and_wish(void **state)
{
    (void)state;
    assert_int_equal(cm_choose_floor(60000, 0), 3);
    assert_int_equal(cm_choose_floor(50 * 60000, 0), 5);
    assert_int_equal(cm_choose_floor(5 * 3600000, 0), 12);
    assert_int_equal(cm_choose_ceiling(0), 12);
    assert_int_equal(cm_choose_floor(60000, 7), 7);
    assert_int_equal(cm_choose_ceiling(7), 7);
}

/* Weak ones are left out beyond the floor; good ones come up to the ceiling. */
static void a_long_talk_gives_as_many_as_are_good(void **state)
{
    (void)state;
    struct cm_limits limits = cm_limits_of(15000, 60000);
    struct cm_transcript *transcript = kit_talk(400, 9, limits.max_ms);
    struct cm_candidates candidates = {0};
    for (size_t i = 0; i < 20; i++) {
        propose(&candidates, transcript, &limits, i * 20, i * 20 + 6, i < 6 ? 80 - (int)i : 10);
    }
    struct cm_choice choice = cm_choose(&candidates, transcript, &limits, 0);
    assert_int_equal(choice.count, 6);
    free(choice.list);
    choice = cm_choose(&candidates, transcript, &limits, 14);
    assert_int_equal(choice.count, 14);
    check_choice(transcript, &limits, &candidates, &choice);
    free(choice.list);
    cm_candidates_free(&candidates);
    cm_transcript_free(transcript);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clip_begins_and_ends_inside_pauses),
        cmocka_unit_test(measured_speech_corrects_late_words),
        cmocka_unit_test(any_proposal_fits_the_limits_at_sentence_edges),
        cmocka_unit_test(odd_limits_are_met_too),
        cmocka_unit_test(little_speech_is_extended_over_silence),
        cmocka_unit_test(proposals_are_checked_and_never_doubled),
        cmocka_unit_test(texts_that_say_the_same_are_alike),
        cmocka_unit_test(the_best_come_first_and_overlaps_go),
        cmocka_unit_test(what_is_said_twice_is_shown_once),
        cmocka_unit_test(missing_moments_are_filled_with_dense_speech),
        cmocka_unit_test(a_short_speech_gives_what_fits),
        cmocka_unit_test(how_many_depends_on_length_and_wish),
        cmocka_unit_test(a_long_talk_gives_as_many_as_are_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
