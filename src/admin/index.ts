/**
 * The official Admin UI: numbers, sockets, rooms and events of a server in a page.
 *
 * @since 0.1.0
 */
export * as Admin from "./Admin.ts"
export * as AdminOptions from "./AdminOptions.ts"
