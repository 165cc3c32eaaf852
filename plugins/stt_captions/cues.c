/*
 * SubRip and WebVTT text → cues: who says which words when. Pure, and fed by fuzzers.
 *
 * The two formats are read by one rule: a line with "-->" and two times begins a cue, the lines
 * up to an empty one are its text. Everything else (numbers, names, NOTE, STYLE) is passed over.
 */
#include "cues.h"

#include <stdlib.h>
#include <string.h>

#define LATEST_MS (INT64_C(1000) * 3600 * 1000) /* a thousand hours */
#define TOGETHER_MS 50                          /* closer starts are one cue */
#define MOST_CUES 1000000
#define LONGEST_TAG 200 /* bytes; a bracket that closes later is text */
#define LONGEST_SOUND 300
#define LONGEST_WORD 200
#define ROLLED_MS 50 /* a rolling display's cue that only holds the line */

static void *grow(void *items, size_t *room, size_t count, size_t item_bytes)
{
    if (count < *room)
        return items;
    *room = *room * 2 + 8;
    void *grown = realloc(items, *room * item_bytes);
    if (grown == NULL)
        abort();
    return grown;
}

static char *copy(const char *from, size_t bytes)
{
    char *text = malloc(bytes + 1);
    if (text == NULL)
        abort();
    memcpy(text, from, bytes);
    text[bytes] = '\0';
    return text;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* ---- Lines ------------------------------------------------------------------------------------ */

struct line {
    const char *at;
    size_t length; /* without the end of line and spaces around */
};

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

/* The next line, or 0 at the end. \n, \r\n and \r end one. */
static int next_line(const char **text, struct line *line)
{
    const char *at = *text;
    if (*at == '\0')
        return 0;
    size_t length = strcspn(at, "\r\n");
    *text = at + length;
    *text += (*text)[0] == '\r' && (*text)[1] == '\n' ? 2 : (*text)[0] != '\0';
    while (length > 0 && is_space(*at)) {
        at++;
        length--;
    }
    while (length > 0 && is_space(at[length - 1]))
        length--;
    *line = (struct line){at, length};
    return 1;
}

static int is_number(const struct line *line)
{
    for (size_t i = 0; i < line->length; i++)
        if (!is_digit(line->at[i]))
            return 0;
    return line->length > 0;
}

/* ---- Times ------------------------------------------------------------------------------------ */

/* "1:02:03,456", "02:03.4", "123:00:00"; the end of it, or NULL. */
static const char *read_time(const char *at, const char *end, int64_t *ms)
{
    int64_t field = 0, total = 0;
    int fields = 0;
    for (;; at++) {
        int digits = 0;
        for (field = 0; at < end && is_digit(*at) && digits < 7; at++, digits++)
            field = field * 10 + (*at - '0');
        if (digits == 0 || fields == 3)
            return NULL;
        total = total * 60 + field;
        fields++;
        if (at >= end || *at != ':')
            break;
    }
    int64_t fraction = 0, scale = 100;
    if (at < end && (*at == ',' || *at == '.'))
        for (at++; at < end && is_digit(*at); at++, scale /= 10)
            fraction += (*at - '0') * scale;
    if (fields < 2 || total > LATEST_MS / 1000)
        return NULL;
    *ms = total * 1000 + fraction;
    return at;
}

static const char *skip_spaces(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* Settings behind the second time are of no interest. */
static int read_times(const struct line *line, int64_t *start_ms, int64_t *end_ms)
{
    const char *end = line->at + line->length, *at = read_time(line->at, end, start_ms);
    if (at == NULL)
        return 0;
    at = skip_spaces(at, end);
    if (end - at < 3 || memcmp(at, "-->", 3) != 0)
        return 0;
    return read_time(skip_spaces(at + 3, end), end, end_ms) != NULL;
}

/* ---- Text ------------------------------------------------------------------------------------- */

/* One cue's text while it is read: words are cut at spaces, tags are obeyed or dropped. */
struct reader {
    struct cues *cues;
    struct cue *cue;
    int drop_sounds;
    char *word;
    size_t length, room;
    int64_t time_ms; /* from a time tag, for the words behind it; -1 */
    int line;
};

static void put(struct reader *reader, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        reader->word = grow(reader->word, &reader->room, reader->length, 1);
        reader->word[reader->length++] = bytes[i];
    }
}

static int is_note(const char *word, size_t length)
{
    static const char *const notes[] = {"♪", "♫", "🎵", "🎶", "#"};
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
        if (strlen(notes[i]) == length && memcmp(notes[i], word, length) == 0)
            return 1;
    return 0;
}

static int is_dash(const char *word, size_t length)
{
    static const char *const dashes[] = {"-", "–", "—", "--", ">>", ">>>"};
    for (size_t i = 0; i < sizeof(dashes) / sizeof(dashes[0]); i++)
        if (strlen(dashes[i]) == length && memcmp(dashes[i], word, length) == 0)
            return 1;
    return 0;
}

static int begins_line(const struct reader *reader)
{
    const struct cue *cue = reader->cue;
    return cue->count == 0 || cue->words[cue->count - 1].line != reader->line;
}

static void attach_dash(struct reader *reader, struct cue_word *word)
{
    size_t had = strlen(word->text), more = reader->length;
    reader->length = 0;
    if (had + more > LONGEST_WORD)
        return;
    word->text = realloc(word->text, had + more + 2);
    if (word->text == NULL)
        abort();
    word->text[had] = ' ';
    memcpy(word->text + had + 1, reader->word, more);
    word->text[had + 1 + more] = '\0';
}

/* The dash that opens a turn is no word; one inside a line belongs to the word before it. */
static void end_word(struct reader *reader)
{
    struct cue *cue = reader->cue;
    size_t skip = 0;
    if (reader->length > 0 && is_dash(reader->word, reader->length) && begins_line(reader))
        reader->length = 0;
    if (reader->length > 1 && reader->word[0] == '-' && begins_line(reader) && !is_digit(reader->word[1]))
        skip = 1;
    if (reader->length == 0 || (reader->drop_sounds && is_note(reader->word, reader->length))) {
        reader->length = 0;
        return;
    }
    if (is_dash(reader->word, reader->length) && cue->count > 0) {
        attach_dash(reader, &cue->words[cue->count - 1]);
        return;
    }
    cue->words = grow(cue->words, &cue->room, cue->count, sizeof(cue->words[0]));
    cue->words[cue->count++] =
        (struct cue_word){copy(reader->word + skip, reader->length - skip), reader->time_ms, reader->line};
    reader->time_ms = -1;
    reader->length = 0;
}

static int32_t voice_number(struct cues *cues, const char *name, size_t length)
{
    for (size_t i = 0; i < cues->voice_count; i++)
        if (strlen(cues->voices[i]) == length && memcmp(cues->voices[i], name, length) == 0)
            return (int32_t)i;
    cues->voices = grow(cues->voices, &cues->voice_room, cues->voice_count, sizeof(cues->voices[0]));
    cues->voices[cues->voice_count] = copy(name, length);
    return (int32_t)cues->voice_count++;
}

/* What stands between < and >: a voice, a time, or style. */
static void obey(struct reader *reader, const char *tag, size_t length)
{
    int64_t ms = -1;
    if (length > 2 && tag[0] == 'v' && (tag[1] == ' ' || tag[1] == '.')) {
        const char *name = memchr(tag, ' ', length);
        if (name != NULL && tag + length - name > 1)
            reader->cue->speaker = voice_number(reader->cues, name + 1, (size_t)(tag + length - name - 1));
    } else if (read_time(tag, tag + length, &ms) == tag + length) {
        end_word(reader);
        reader->time_ms = ms;
    }
}

static size_t near_end(const char *at, const char *end, size_t most)
{
    return (size_t)(end - at) < most ? (size_t)(end - at) : most;
}

/* A tag: "<b>", "</i>", "<00:01.000>", "{\an8}". Its length, or 0. */
static size_t tag_length(const char *at, const char *end)
{
    char close = *at == '<' ? '>' : '}';
    int opens = end - at > 1 && (*at == '<' ? at[1] == '/' || is_digit(at[1]) || is_letter(at[1]) : at[1] == '\\');
    const char *last = opens ? memchr(at, close, near_end(at, end, LONGEST_TAG)) : NULL;
    return last == NULL ? 0 : (size_t)(last - at) + 1;
}

static size_t put_entity(struct reader *reader, const char *at, const char *end)
{
    static const struct {
        const char *name, *text;
    } known[] = {{"&amp;", "&"}, {"&lt;", "<"},   {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"},
                 {"&#39;", "'"}, {"&nbsp;", " "}, {"&lrm;", ""}, {"&rlm;", ""}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t length = strlen(known[i].name);
        if ((size_t)(end - at) < length || memcmp(at, known[i].name, length) != 0)
            continue;
        if (known[i].text[0] == ' ')
            end_word(reader);
        else
            put(reader, known[i].text, strlen(known[i].text));
        return length;
    }
    put(reader, at, 1);
    return 1;
}

static size_t count_words(const char *at, size_t length)
{
    size_t words = 0;
    for (size_t i = 0; i < length; i++)
        words += !is_space(at[i]) && (i == 0 || is_space(at[i - 1]));
    return words;
}

/* "[music]" and short "(laughs)": the length of the description, or 0. */
static size_t sound_length(const char *at, const char *end)
{
    const char *last = memchr(at, *at == '[' ? ']' : ')', near_end(at, end, LONGEST_SOUND));
    if (last == NULL)
        return 0;
    size_t length = (size_t)(last - at) + 1;
    return *at == '[' || count_words(at, length) <= 3 ? length : 0;
}

static void read_text(struct reader *reader, const struct line *line)
{
    const char *end = line->at + line->length;
    for (const char *at = line->at; at < end;) {
        size_t length = *at == '<' || *at == '{' ? tag_length(at, end) : 0;
        if (length == 0 && reader->drop_sounds && (*at == '[' || *at == '('))
            length = sound_length(at, end);
        if (length > 0 && *at == '<')
            obey(reader, at + 1, length - 2);
        if (length == 0 && *at == '&')
            length = put_entity(reader, at, end);
        if (length == 0 && is_space(*at)) {
            end_word(reader);
            length = 1;
        }
        if (length == 0) {
            put(reader, at, 1);
            length = 1;
        }
        at += length;
    }
    end_word(reader);
    reader->line++;
}

/* ---- Cues ------------------------------------------------------------------------------------- */

static struct cue *new_cue(struct cues *cues, int64_t start_ms, int64_t end_ms)
{
    cues->items = grow(cues->items, &cues->room, cues->count, sizeof(cues->items[0]));
    cues->items[cues->count] =
        (struct cue){.start_ms = start_ms, .end_ms = end_ms, .order = cues->count, .speaker = -1};
    return &cues->items[cues->count++];
}

static void free_words(struct cue *cue)
{
    for (size_t i = 0; i < cue->count; i++)
        free(cue->words[i].text);
    free(cue->words);
    cue->words = NULL;
    cue->count = cue->room = 0;
}

/* A number alone before the next times is that cue's, also where the empty line is missing. */
static int is_next_number(const struct line *line, const char *rest)
{
    struct line next;
    int64_t start_ms, end_ms;
    return is_number(line) && next_line(&rest, &next) && read_times(&next, &start_ms, &end_ms);
}

void cues_parse(struct cues *cues, const char *text, int drop_sounds)
{
    struct reader reader = {.cues = cues, .drop_sounds = drop_sounds, .time_ms = -1};
    struct line line;
    int64_t start_ms = 0, end_ms = 0;
    while (next_line(&text, &line) && cues->count < MOST_CUES) {
        if (read_times(&line, &start_ms, &end_ms)) {
            reader.cue = new_cue(cues, start_ms, end_ms);
            reader.line = 0;
            reader.time_ms = -1;
        } else if (line.length == 0) {
            /* Some writers put an empty line between the times and the text. */
            if (reader.cue != NULL && reader.line > 0)
                reader.cue = NULL;
        } else if (is_next_number(&line, text)) {
            reader.cue = NULL;
        } else if (reader.cue != NULL) {
            read_text(&reader, &line);
        }
    }
    free(reader.word);
}

/* ---- Order ------------------------------------------------------------------------------------ */

static int by_start(const void *a, const void *b)
{
    const struct cue *one = a, *other = b;
    if (one->start_ms != other->start_ms)
        return one->start_ms < other->start_ms ? -1 : 1;
    return (one->order > other->order) - (one->order < other->order);
}

static void drop_words(struct cue *cue, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(cue->words[i].text);
    memmove(cue->words, cue->words + count, (cue->count - count) * sizeof(cue->words[0]));
    cue->count -= count;
}

/* Words of the first line of a cue. */
static size_t first_line(const struct cue *cue)
{
    size_t count = 0;
    while (count < cue->count && cue->words[count].line == cue->words[0].line)
        count++;
    return count;
}

/* A rolling display shows the last line again above the new one. True when the cue begins with
 * the last `count` words of the one before. */
static int repeats(const struct cue *before, const struct cue *cue, size_t count)
{
    if (count == 0 || count > before->count)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (strcmp(before->words[before->count - count + i].text, cue->words[i].text) != 0)
            return 0;
    return 1;
}

/* Words of the last line. */
static size_t last_line(const struct cue *cue)
{
    size_t count = 0;
    while (count < cue->count && cue->words[cue->count - 1 - count].line == cue->words[cue->count - 1].line)
        count++;
    return count;
}

static void drop_repeated(struct cue *before, struct cue *cue)
{
    size_t line = first_line(cue);
    if (cue->start_ms - before->end_ms > TOGETHER_MS)
        return;
    /* The same text twice at one time, or a pause in which the line only stays. */
    int again = cue->start_ms < before->end_ms || cue->end_ms - cue->start_ms <= ROLLED_MS || cue->count >= 3;
    if (again && repeats(before, cue, cue->count)) {
        before->end_ms = cue->end_ms > before->end_ms ? cue->end_ms : before->end_ms;
        drop_words(cue, cue->count);
    } else if (line < cue->count && line == last_line(before) && repeats(before, cue, line)) {
        drop_words(cue, line);
    }
}

static void join(struct cue *cue, struct cue *with)
{
    for (size_t i = 0; i < with->count; i++) {
        cue->words = grow(cue->words, &cue->room, cue->count, sizeof(cue->words[0]));
        cue->words[cue->count++] = with->words[i];
    }
    cue->end_ms = with->end_ms > cue->end_ms ? with->end_ms : cue->end_ms;
    cue->speaker = cue->speaker == with->speaker ? cue->speaker : -1;
    with->count = 0;
}

/* Takes one cue in order of start into the settled ones before `count`. */
static size_t settle(struct cues *cues, size_t count, struct cue cue)
{
    struct cue *before = count > 0 ? &cues->items[count - 1] : NULL;
    if (before != NULL && cue.count > 0)
        drop_repeated(before, &cue);
    if (cue.count == 0 || cue.end_ms <= cue.start_ms) {
        free_words(&cue);
        return count;
    }
    if (before != NULL && cue.start_ms - before->start_ms < TOGETHER_MS) {
        join(before, &cue);
        free_words(&cue);
        return count;
    }
    if (before != NULL && before->end_ms > cue.start_ms)
        before->end_ms = cue.start_ms;
    cues->items[count] = cue;
    return count + 1;
}

void cues_settle(struct cues *cues)
{
    size_t count = 0;
    if (cues->count > 1)
        qsort(cues->items, cues->count, sizeof(cues->items[0]), by_start);
    for (size_t i = 0; i < cues->count; i++)
        count = settle(cues, count, cues->items[i]);
    cues->count = count;
}

void cues_free(struct cues *cues)
{
    for (size_t i = 0; i < cues->count; i++)
        free_words(&cues->items[i]);
    for (size_t i = 0; i < cues->voice_count; i++)
        free(cues->voices[i]);
    free(cues->items);
    free(cues->voices);
    *cues = (struct cues){0};
}
