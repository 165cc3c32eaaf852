/*
 * A plugin that never gets so far as to say what it is.
 */
#include <unistd.h>

__attribute__((constructor)) static void hang(void)
{
    for (;;) {
        pause();
    }
}
