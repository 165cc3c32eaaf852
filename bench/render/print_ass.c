/*
 * Prints the texts of a clip document as an ASS script: what render_ffmpeg gives to libass, for other programs to draw.
 *
 *   print_ass DOCUMENT.json > captions.ass
 */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/options.h"
#include "plugins/render_ffmpeg/captions.h"
#include "plugins/render_ffmpeg/plate.h"

static struct render_options settings;

/* ---- As much of a host as this needs ------------------------------------------------------------ */

static void log_line(struct cm_ctx *ctx, enum cm_log_level level, const char *format, ...)
{
    va_list arguments;
    (void)ctx, (void)level;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

static enum cm_verdict fail(struct cm_ctx *ctx, const struct cm_failure *failure, const char *format, ...)
{
    va_list arguments;
    (void)ctx;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return (enum cm_verdict)failure->verdict;
}

static const struct cm_host host = {.size = sizeof(host), .log = log_line, .fail = fail};

/* ---- The script --------------------------------------------------------------------------------- */

static void print_time(long long ms)
{
    /* ASS counts hundredths; what the plugin gives to libass counts thousandths. */
    long long hundredths = (ms + 5) / 10;
    printf("%lld:%02lld:%02lld.%02lld", hundredths / 360000, hundredths / 6000 % 60, hundredths / 100 % 60,
           hundredths % 100);
}

static void print_script(const struct texts *texts, const struct fonts *fonts, const struct document *document)
{
    printf(
        "[Script Info]\nScriptType: v4.00+\nWrapStyle: 2\nScaledBorderAndShadow: yes\nPlayResX: %d\nPlayResY: %d\n"
        "YCbCr Matrix: None\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, "
        "OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, "
        "Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n"
        "Style: Default,%s,48,&H00FFFFFF,&H00FFFFFF,&H00000000,&H00000000,0,0,0,0,100,100,0,0,1,0,0,7,0,0,0,1\n\n"
        "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n",
        document->width, document->height, fonts->font[0].name);
    for (int i = 0; i < texts->track->n_events; i++) {
        const ASS_Event *event = &texts->track->events[i];
        printf("Dialogue: %d,", event->Layer);
        print_time(event->Start);
        putchar(',');
        print_time(event->Start + event->Duration);
        printf(",Default,,0,0,0,,%s\n", event->Text);
    }
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rbe");
    char *text = calloc(1, 1 << 20);
    if (file == NULL || text == NULL || fread(text, 1, (1 << 20) - 1, file) == 0) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(1);
    }
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    struct cm_ctx ctx = {.size = sizeof(ctx), .host = &host, .options = &settings, .language = "en"};
    struct document document = {0};
    struct fonts fonts = {0};
    struct texts texts = {0};
    struct captions captions = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: print_ass DOCUMENT.json\n");
        return 2;
    }
    struct json_object *set = json_tokener_parse("{\"cta\":\"none\"}");
    char *error = cm_options_fill(render_option_table, &settings, set);
    json_object_put(set);
    char *json = read_text(argv[1]);
    if (error == NULL)
        error = document_read(&document, json, &settings);
    if (error != NULL) {
        fprintf(stderr, "%s: %s\n", argv[1], error);
        return 1;
    }
    int64_t length_ms = document.end_ms - document.start_ms;
    if (fonts_open(&fonts, &ctx, captions_heavy(&document)) != CM_OK ||
        texts_open(&texts, &ctx, &fonts, document.width, document.height) != CM_OK)
        return 1;
    captions_make(&captions, &document, &fonts, &texts, &ctx);
    plate_add(&document, &fonts, &texts, length_ms, length_ms);
    print_script(&texts, &fonts, &document);
    captions_free(&captions);
    texts_close(&texts);
    fonts_close(&fonts);
    document_free(&document);
    cm_options_release(render_option_table, &settings);
    free(json);
    return 0;
}
