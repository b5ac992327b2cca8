/**
 * Pages of the Admin UI as a test sees them: the packets that the official page would get.
 */
import { Effect, Stream } from "effect"

import * as TestSocketIo from "../../src/testing/TestSocketIo.ts"

export type PageEvent = readonly [name: string, ...args: ReadonlyArray<any>]

/** Lets everything that is under way arrive. */
export const settle = Effect.repeat(Effect.yieldNow, { times: 500 })

/** Reads a packet of a namespace: its type and content. */
const read = (packet: string, namespace: string): readonly [type: string, content: any] | undefined => {
  const [head, rest] = [packet.slice(0, 2), packet.slice(2)]
  if (!rest.startsWith(`${namespace},`)) return undefined
  return [head, JSON.parse(rest.slice(namespace.length + 1))]
}

/**
 * A page that asks to be let in. Its answer is `connected`, or the message of the refusal; everything
 * else that it gets in the namespace are its events.
 */
export const openPage = Effect.fnUntraced(function* (
  auth: unknown,
  { address = "127.0.0.1", namespace = "/admin" }: { readonly address?: string; readonly namespace?: string } = {}
) {
  const peer = yield* TestSocketIo.rawClient({ address })
  let greeting: { readonly sid: string; readonly pid?: string } | undefined
  const events: Array<PageEvent> = []
  let answer: string | undefined
  let id = ""
  yield* Stream.fromEffectRepeat(peer.receive).pipe(
    Stream.runForEach((packet) =>
      Effect.gen(function* () {
        if (packet === "2") return yield* peer.send("3")
        const [type, content] = (typeof packet === "string" ? read(packet, namespace) : undefined) ?? []
        if (type === "40") {
          answer = "connected"
          id = content.sid
          greeting = content
        } else if (type === "44") answer = content.message
        else if (type === "42") events.push(content)
      })
    ),
    Effect.ignore,
    Effect.forkScoped({ startImmediately: true })
  )
  yield* peer.send(`40${namespace},${auth === undefined ? "" : JSON.stringify(auth)}`)
  yield* settle
  return {
    events,
    id,
    answer,
    pid: greeting?.pid,
    /** Its events of one name, with their arguments alone. */
    all: (name: string): ReadonlyArray<ReadonlyArray<any>> =>
      events.filter(([event]) => event === name).map(([, ...args]) => args),
    emit: (...event: PageEvent) => Effect.andThen(peer.send(`42${namespace},${JSON.stringify(event)}`), settle),
    close: Effect.andThen(peer.close, settle)
  }
})
