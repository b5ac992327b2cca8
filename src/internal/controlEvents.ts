/**
 * The acknowledgement id of the events with which a server directs clients of this library.
 * Namespaces count their own from 0: a server that passes on whatever a client sends passes on no
 * such event.
 */
export const CONTROL_ID = 2_147_483_647
