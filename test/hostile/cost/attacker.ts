/**
 * The attacker: it goes in at one entrance until it is told to stop.
 */
import { setPriority } from "node:os"

import { answer, sleep } from "../../bench/roles.ts"
import { entrances } from "./entrances.ts"
import type { Ports } from "./hosts.ts"
import { HostileServer } from "./hostileServer.ts"
import { Target, unread } from "./traffic.ts"

// It shares a processor with the honest client, whose time is measured.
setPriority(19)

/** The time in which a client comes again, in milliseconds. */
const RETURN = 10_000

let server: HostileServer | undefined
let target: Target | undefined
/** What former targets have taken. */
let sent = 0

answer({
  attack: ({ name, ports }: { readonly name: string; readonly ports: Ports }) => {
    target = new Target(ports)
    void entrances.find((entrance) => entrance.name === name)!.attack(target)
  },
  /** Listens for a client to attack. */
  serve: async (): Promise<number> => {
    server?.close()
    server = new HostileServer()
    return server.listen()
  },
  /** Attacks the client, once it is there. */
  send: async (name: string) => {
    for (let i = 0; i < RETURN / 10 && !server!.hasClient; i++) await sleep(10)
    server!.send(entrances.find((entrance) => entrance.name === name)!.malice)
  },
  /** The bytes that the client has read. */
  served: () => server!.sent - unread(server!.port),
  cease: () => {
    const lives = server!.lives
    server!.send(undefined)
    return { lives, problem: undefined }
  },
  /** The bytes that servers have read of what was sent to them. */
  sent: () => sent + (target?.taken ?? 0),
  stop: () => {
    sent += target?.taken ?? 0
    target?.end()
    const outcome = { lives: target?.lives ?? 0, problem: target?.problem }
    target = undefined
    return outcome
  }
})
