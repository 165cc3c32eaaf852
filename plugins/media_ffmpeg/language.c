/*
 * Language tags of containers ("rus", "en-US") as the two letters that we use.
 */
#include "language.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* ISO 639-2 (both forms where they differ) and 639-1. */
static const char table[][4][4] = {
    {"ru", "rus"},        {"en", "eng"},        {"uk", "ukr"},        {"be", "bel"},        {"kk", "kaz"},
    {"uz", "uzb"},        {"tt", "tat"},        {"de", "ger", "deu"}, {"fr", "fre", "fra"}, {"es", "spa"},
    {"it", "ita"},        {"pt", "por"},        {"nl", "dut", "nld"}, {"pl", "pol"},        {"cs", "cze", "ces"},
    {"sk", "slo", "slk"}, {"bg", "bul"},        {"sr", "srp"},        {"hr", "hrv"},        {"ro", "rum", "ron"},
    {"hu", "hun"},        {"fi", "fin"},        {"sv", "swe"},        {"no", "nor"},        {"da", "dan"},
    {"el", "gre", "ell"}, {"tr", "tur"},        {"he", "heb"},        {"ar", "ara"},        {"fa", "per", "fas"},
    {"hi", "hin"},        {"zh", "chi", "zho"}, {"ja", "jpn"},        {"ko", "kor"},        {"vi", "vie"},
    {"th", "tha"},        {"ka", "geo", "kat"}, {"hy", "arm", "hye"}, {"az", "aze"},        {"et", "est"},
    {"lv", "lav"},        {"lt", "lit"},
};

const char *language_short(const char *tag)
{
    size_t length = tag == NULL ? 0 : strcspn(tag, "-_");
    if (length < 2 || length > 3)
        return "";
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        for (size_t form = 0; form < 3; form++)
            if (strlen(table[i][form]) == length && strncasecmp(table[i][form], tag, length) == 0)
                return table[i][0];
    return "";
}
