import * as Schema from "effect/Schema"

import * as Event from "../../Event.ts"
import * as Namespace from "../../Namespace.ts"
import { Guard } from "./guard.ts"

/**
 * An event of the page's protocol. A page that was away asks for everything anew, so none is kept
 * for it.
 */
const toPage = <const Name extends string>(name: Name, length: number) =>
  Event.make(name, { args: Array.from({ length }, () => Schema.Unknown), recover: false })

/**
 * The contract of the page's namespace: `ServerEvents` of the official package, with the number of
 * their arguments. It declares no auth, so that nothing of the payload is kept, which has a
 * password. The events of the page are not declared: `emit` has any number of arguments.
 */
export const contractOf = (name: string) =>
  Namespace.make(name, {
    serverToClient: [
      toPage("session", 1),
      toPage("config", 1),
      toPage("server_stats", 1),
      toPage("all_sockets", 1),
      toPage("socket_connected", 2),
      toPage("socket_updated", 1),
      toPage("socket_disconnected", 4),
      toPage("room_joined", 4),
      toPage("room_left", 4),
      toPage("event_received", 4),
      toPage("event_sent", 4)
    ]
  }).middleware(Guard)
