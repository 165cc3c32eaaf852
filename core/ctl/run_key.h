/*
 * The name under which a run keeps its state: the same source, options, config and program give
 * the same key, whatever the file is called.
 */
#ifndef CM_CTL_RUN_KEY_H
#define CM_CTL_RUN_KEY_H

#define CM_RUN_KEY_SIZE 17

struct cm_run_subject {
    const char *source; /* absolute path or URL */
    int is_url;
    const char *captions; /* absolute path or "" */
    const char *options;  /* canonical text of everything else that was asked for */
    const char *config;   /* path of the config file */
};

/* SHA-256 of a file's content, remembered in `cache` (a file) by device, inode, size and times.
 * 0, or -1 with errno. */
int cm_run_hash_file(const char *cache, const char *path, char hex[65]);
/* SHA-256 over the config file and the *.conf of plugins-enabled and conf.d beside it, by name; a missing
 * file counts as empty. */
void cm_run_hash_config(const char *config, char hex[65]);
/* 0, or -1 with errno when the source or the captions could not be read. */
int cm_run_key(const struct cm_run_subject *subject, const char *cache, char key[CM_RUN_KEY_SIZE]);

#endif
