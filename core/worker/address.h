/*
 * Which internet addresses are public. Pure.
 */
#ifndef CM_WORKER_ADDRESS_H
#define CM_WORKER_ADDRESS_H

struct sockaddr;

/* 1 for an address that anyone on the internet may reach; 0 for loopback, private, link-local,
 * shared, reserved, multicast and unknown ones, also when wrapped into an IPv6 address. */
int cm_address_is_public(const struct sockaddr *address);

#endif
