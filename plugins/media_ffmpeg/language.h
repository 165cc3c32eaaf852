/*
 * Language tags of containers ("rus", "en-US") as the two letters that we use.
 */
#ifndef MEDIA_LANGUAGE_H
#define MEDIA_LANGUAGE_H

/* "ru", "en", …; "" for an absent, undetermined or unknown tag. Static. */
const char *language_short(const char *tag);

#endif
