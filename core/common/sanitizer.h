/*
 * Whether this build runs under AddressSanitizer, which maps more memory than any limit allows.
 */
#ifndef CM_COMMON_SANITIZER_H
#define CM_COMMON_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__)
#define CM_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CM_UNDER_ASAN 1
#endif
#endif
#ifndef CM_UNDER_ASAN
#define CM_UNDER_ASAN 0
#endif

#endif
