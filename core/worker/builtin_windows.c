/*
 * windows: the words of all chunks become one transcript in one language, cut into the windows that
 * are asked about; one child of the dimension "window" for each.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/moments/language.h"
#include "core/moments/merge.h"
#include "core/moments/sentences.h"
#include "core/moments/transcript.h"
#include "core/moments/windows.h"
#include "core/worker/call.h"
#include "core/worker/material.h"

struct merging {
    struct cm_transcript *transcript;
    struct cm_language_votes votes;
};

static int merge_words(struct cm_call *call, struct json_object *input, struct json_object *value, void *with)
{
    struct merging *merging = with;
    struct json_object *words = cm_json_array(value, "words");
    (void)call;
    (void)input;
    cm_merge_words(merging->transcript, value);
    cm_language_add(&merging->votes, cm_json_text(value, "language", ""),
                    cm_json_real(value, "language_confidence", -1), words ? json_object_array_length(words) : 0);
    return CM_OK;
}

static int merge_speech(struct cm_call *call, struct json_object *input, struct json_object *value, void *with)
{
    struct merging *merging = with;
    (void)call;
    (void)input;
    cm_merge_speech(merging->transcript, value);
    return CM_OK;
}

static int64_t duration_of(struct cm_call *call)
{
    struct json_object *facts = cm_call_input(call, "facts", NULL) ? cm_call_read(call, "facts", NULL) : NULL;
    int64_t duration_ms = cm_json_ms(facts, "duration_ms", 0);
    json_object_put(facts);
    return duration_ms > 0 ? duration_ms : 0;
}

static enum cm_verdict merge(struct cm_call *call, struct merging *merging)
{
    int verdict = cm_material_each(call, "words", merge_words, merging);
    if (verdict == CM_OK) {
        verdict = cm_material_each(call, "speech", merge_speech, merging);
    }
    if (verdict == CM_OK) {
        cm_merge_finish(merging->transcript, duration_of(call));
    }
    return (enum cm_verdict)verdict;
}

/* ---- What cannot become a clip ---- */

/* A word for the shell, in quotes where it needs them; malloc'd. */
static char *quoted(const char *word)
{
    const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:";
    struct cm_text text = {0};
    if (*word && word[strspn(word, plain)] == '\0') {
        return cm_strdup(word);
    }
    cm_text_add(&text, "'");
    for (; *word; word++) {
        cm_text_add(&text, *word == '\'' ? "'\\''" : (char[]){*word, '\0'});
    }
    cm_text_add(&text, "'");
    return cm_text_take(&text);
}

static enum cm_verdict fail_language(struct cm_call *call, const char *heard, double share)
{
    char *source = quoted(cm_json_text(call->begin, "source", "VIDEO"));
    enum cm_verdict verdict;
    if (*heard && share > 0) {
        verdict = cm_call_fail(call, CM_REJECT, CM_REASON_LANGUAGE,
                               N_("the language is not clear (%s by %d %%, at least %d %% is needed): if it is %s, say "
                                  "clipmaker run %s --lang %s; for another, give captions: clipmaker run %s --lang ru "
                                  "--captions FILE.srt"),
                               heard, (int)(share * 100), (int)(CM_LANGUAGE_SURE * 100), heard, source, heard, source);
    } else {
        verdict = cm_call_fail(call, CM_REJECT, CM_REASON_LANGUAGE,
                               N_("no recogniser can tell which language this is: say it, as in clipmaker run %s "
                                  "--lang en, or with captions: clipmaker run %s --lang ru --captions FILE.srt"),
                               source, source);
    }
    free(source);
    return verdict;
}

static enum cm_verdict decide_language(struct cm_call *call, struct merging *merging)
{
    const char *asked = cm_call_param(call, "language", "auto");
    double share = 0;
    const char *heard = cm_language_best(&merging->votes, &share);
    if (*asked && strcmp(asked, "auto")) {
        merging->transcript->language = cm_strdup(asked);
        return CM_OK;
    }
    merging->transcript->language = cm_strdup(heard);
    return *heard && share >= CM_LANGUAGE_SURE ? CM_OK : fail_language(call, heard, share);
}

static enum cm_verdict check_material(struct cm_call *call, const struct cm_transcript *transcript,
                                      const struct cm_limits *limits)
{
    if (transcript->word_count == 0) {
        return cm_call_fail(call, CM_REJECT, CM_REASON_NO_SPEECH,
                            N_("no words were recognised in it: no clip can be made"));
    }
    if (transcript->duration_ms < limits->min_ms) {
        return cm_call_fail(call, CM_REJECT, CM_REASON_TOO_SHORT,
                            N_("it lasts %.1f s and the shortest clip asked for %.1f s: ask for a shorter one, as in "
                               "--min %ds"),
                            (double)transcript->duration_ms / 1000, (double)limits->min_ms / 1000,
                            transcript->duration_ms >= 2000 ? (int)(transcript->duration_ms / 2000) : 1);
    }
    return CM_OK;
}

/* ---- Windows ---- */

static enum cm_verdict write_window(struct cm_call *call, const struct cm_window *window, size_t number)
{
    char key[24], name[48];
    struct json_object *json = json_object_new_object();
    snprintf(key, sizeof key, "%02zu", number);
    snprintf(name, sizeof name, "window-%s.json", key);
    json_object_object_add(json, "first", json_object_new_int64((int64_t)window->first));
    json_object_object_add(json, "last", json_object_new_int64((int64_t)window->last));
    enum cm_verdict verdict = cm_call_write(call, "window", key, name, json, NULL);
    cm_done_add_child(call->done, key);
    json_object_put(json);
    return verdict;
}

static enum cm_verdict write_windows(struct cm_call *call, const struct cm_transcript *transcript,
                                     const struct cm_limits *limits)
{
    size_t count = 0;
    struct cm_window *windows = cm_windows_cut(transcript, limits->max_ms, &count);
    enum cm_verdict verdict = CM_OK;
    cm_done_text(&call->done->dimension, "window");
    for (size_t i = 0; i < count && verdict == CM_OK; i++) {
        verdict = write_window(call, &windows[i], i + 1);
    }
    free(windows);
    return verdict;
}

static enum cm_verdict write_transcript(struct cm_call *call, const struct cm_transcript *transcript)
{
    struct json_object *json = cm_transcript_write(transcript), *facts = json_object_new_object();
    struct json_object *by = json_object_object_get(json, "by");
    json_object_object_add(facts, "language", json_object_new_string(transcript->language));
    json_object_object_add(facts, "words", json_object_new_int64((int64_t)transcript->word_count));
    json_object_object_add(facts, "by", json_object_get(by));
    json_object_object_add(facts, "draft", json_object_new_boolean(transcript->draft));
    enum cm_verdict verdict = cm_call_write(call, "transcript", NULL, "transcript.json", json, facts);
    json_object_put(facts);
    json_object_put(json);
    return verdict;
}

enum cm_verdict cm_builtin_windows(struct cm_call *call)
{
    struct merging merging = {.transcript = cm_alloc(sizeof *merging.transcript)};
    struct cm_transcript *transcript = merging.transcript;
    struct cm_limits limits = cm_material_limits(call);
    enum cm_verdict verdict = merge(call, &merging);
    verdict = verdict == CM_OK ? check_material(call, transcript, &limits) : verdict;
    verdict = verdict == CM_OK ? decide_language(call, &merging) : verdict;
    if (verdict == CM_OK) {
        cm_sentences_cut(transcript, limits.max_ms);
        verdict = write_transcript(call, transcript);
    }
    verdict = verdict == CM_OK ? write_windows(call, transcript, &limits) : verdict;
    cm_transcript_free(transcript);
    return verdict;
}
