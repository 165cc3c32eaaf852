/*
 * The clip's captions as an SRT file, times from the clip's beginning.
 */
#include "srt.h"

#include <errno.h>
#include <stdio.h>

static void put_time(FILE *file, int64_t ms)
{
    fprintf(file, "%02d:%02d:%02d,%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60), (int)(ms / 1000 % 60),
            (int)(ms % 1000));
}

static void put_page(FILE *file, const struct captions *captions, const struct layout_page *page, size_t number)
{
    fprintf(file, "%zu\n", number);
    put_time(file, page->start_ms);
    fputs(" --> ", file);
    put_time(file, page->end_ms);
    fputc('\n', file);
    for (size_t i = 0; i < page->lines; i++)
        for (size_t word = page->line[i].first; word <= page->line[i].last; word++)
            fprintf(file, "%s%c", captions->words[word].text, word == page->line[i].last ? '\n' : ' ');
    fputc('\n', file);
}

enum cm_verdict srt_write(struct cm_ctx *ctx, const char *path, const struct captions *captions)
{
    FILE *file = fopen(path, "wbe");
    if (file == NULL)
        return render_write_failed(ctx, path, errno);
    for (size_t i = 0; i < captions->page_count; i++)
        put_page(file, captions, &captions->pages[i], i + 1);
    int failed = ferror(file) != 0;
    int error = errno;
    if (fclose(file) != 0 && !failed) {
        failed = 1;
        error = errno;
    }
    return failed ? render_write_failed(ctx, path, error) : CM_OK;
}
