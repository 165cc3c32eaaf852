/*
 * Prompts: a template from the prompts folder, filled from a question's input. Pure but for reading
 * the template.
 */
#ifndef CM_WORKER_PROMPT_H
#define CM_WORKER_PROMPT_H

#include <stdint.h>

struct json_object;

struct cm_prompt {
    char *system; /* never changes: providers cache it */
    char *question;
};

/* FOLDER/LANGUAGE/TASK.txt, or English where there is none in that language. The part before the
 * line "---" is the system prompt. NULL, or why not (malloc'd). */
char *cm_prompt_read(const char *folder, const char *language, const char *task, char **template_text);
/* Fills {placeholders} from the input; an unknown one is an error. NULL, or why not (malloc'd). */
char *cm_prompt_render(const char *template_text, struct json_object *input, struct cm_prompt *prompt);
void cm_prompt_free(struct cm_prompt *prompt);
/* About how many tokens a text has; rather too many. */
int64_t cm_prompt_tokens(const char *text);

#endif
