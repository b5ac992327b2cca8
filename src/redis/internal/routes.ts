/**
 * Which server a key's commands go to: the one server, or the masters of a Redis Cluster as they
 * change.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"

import type { Command } from "../RedisCommand.ts"
import { RedisError } from "../RedisError.ts"
import type { Address, Driver, Result } from "./driver.ts"
import { keySlot } from "./keySlot.ts"
import * as Line from "./line.ts"

/** A server that commands are sent to. */
export interface Lane {
  /** `undefined` for the one server that the user's client is for. */
  readonly address: Address | undefined
  readonly line: Line.Line
}

export interface Routes {
  /** The servers that have keys: one, or all masters; none while they are not known. */
  readonly lanes: () => ReadonlyArray<Lane>
  /** The server of a key. */
  readonly laneOf: (key: string) => Lane | undefined
  /** The server for what any may take, such as PUBLISH: the same one while it is there. */
  readonly commonLane: () => Lane | undefined
  /** Asks the Redis Cluster for its servers again: one has said that a slot is elsewhere. */
  readonly refresh: () => void
  /** Grows when a slot has got another server. */
  readonly version: () => number
  /** Calls back when a line has come up or gone down, or slots have moved. */
  readonly onChange: (listener: () => void) => () => void
  readonly isCluster: boolean
}

const SLOTS: ReadonlyArray<Command> = [["CLUSTER", "SLOTS"]]

interface Listeners {
  readonly notify: () => void
  readonly onChange: Routes["onChange"]
}

const makeListeners = (): Listeners => {
  const listeners = new Set<() => void>()
  return {
    notify: () => {
      for (const listener of listeners) listener()
    },
    onChange: (listener) => {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    }
  }
}

/** The events of a command line: it tells of its changes. */
const eventsOf = (notify: () => void, onProblem: (cause: unknown) => void): Line.LineEvents => ({
  onUp: notify,
  onDown: notify,
  onProblem
})

const makeSingle = (
  driver: Driver,
  options: Line.LineOptions,
  onProblem: (cause: unknown) => void
): Effect.Effect<Routes, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { notify, onChange } = makeListeners()
    const line = yield* Line.make(driver, () => undefined, eventsOf(notify, onProblem), options)
    const lane: Lane = { address: undefined, line }
    const lanes = [lane]
    return {
      lanes: () => lanes,
      laneOf: () => lane,
      commonLane: () => lane,
      refresh: () => {},
      version: () => 0,
      onChange,
      isCluster: false
    }
  })

interface SlotRange {
  readonly from: number
  readonly to: number
  readonly master: Address
}

/**
 * Reads the reply of CLUSTER SLOTS. A server that does not know its own host has the one that was
 * asked.
 */
export const readSlots = (reply: Result, asked: Address | undefined): ReadonlyArray<SlotRange> => {
  if (!Array.isArray(reply)) return []
  const ranges: Array<SlotRange> = []
  for (const range of reply as ReadonlyArray<unknown>) {
    if (!Array.isArray(range)) continue
    const [from, to, master] = range as ReadonlyArray<unknown>
    if (typeof from !== "number" || typeof to !== "number" || !Array.isArray(master)) continue
    const [announced, port] = master as ReadonlyArray<unknown>
    const known = announced === null || announced === "" || announced === "?"
    const host = known ? asked?.slice(0, asked.lastIndexOf(":")) : String(announced)
    if (host === undefined || typeof port !== "number") continue
    ranges.push({ from, to, master: `${host}:${port}` })
  }
  return ranges
}

/** Between two looks at the servers of a Redis Cluster: normally, and while one is not there. */
const CALM_INTERVAL = Duration.seconds(15)
const URGENT_INTERVAL = Duration.millis(250)

/** Asks a server for the slots of all masters. */
const ask = (address: Address | undefined, line: Line.Line) =>
  Effect.callback<ReadonlyArray<SlotRange>, RedisError>((resume) => {
    Line.send(line, SLOTS, false, ([reply]) => {
      const ranges = reply instanceof RedisError ? [] : readSlots(reply!, address)
      resume(
        ranges.length > 0
          ? Effect.succeed(ranges)
          : Effect.fail(new RedisError({ reason: { _tag: "Refused" }, message: "no slots are known", cause: reply }))
      )
    })
  }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.seconds(2),
      orElse: () => Effect.fail(new RedisError({ reason: { _tag: "Timeout" }, message: "CLUSTER SLOTS has no answer" }))
    })
  )

const makeCluster = (
  driver: Driver,
  options: Line.LineOptions,
  onProblem: (cause: unknown) => void
): Effect.Effect<Routes, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const { notify, onChange } = makeListeners()
    const mapAddress = driver.mapAddress ?? ((address: Address) => address)
    const known = new Map<Address, Lane & { readonly scope: Scope.Closeable }>()
    let lanes: ReadonlyArray<Lane> = []
    let slots: Array<Lane | undefined> = []
    let version = 0
    let common: Lane | undefined
    const wakeUp = yield* Latch.make(false)

    const laneAt = (address: Address): Effect.Effect<Lane> =>
      Effect.gen(function* () {
        const existing = known.get(address)
        if (existing !== undefined) return existing
        const laneScope = yield* Scope.fork(scope, "sequential")
        const events = eventsOf(() => {
          if (known.get(address)?.line.connection === undefined) wakeUp.openUnsafe()
          notify()
        }, onProblem)
        const line = yield* Line.make(driver, () => address, events, options).pipe(Scope.provide(laneScope))
        const lane = { address, line, scope: laneScope }
        known.set(address, lane)
        return lane
      })

    const take = (ranges: ReadonlyArray<SlotRange>): Effect.Effect<void> =>
      Effect.gen(function* () {
        const next: Array<Lane | undefined> = Array.from({ length: 16_384 })
        const masters = new Set<Lane>()
        for (const { from, master, to } of ranges) {
          const lane = yield* laneAt(mapAddress(master))
          masters.add(lane)
          next.fill(lane, from, to + 1)
        }
        const isNew = masters.size !== lanes.length || next.some((lane, slot) => lane !== slots[slot])
        if (!isNew) return
        slots = next
        version++
        lanes = [...masters]
        if (common !== undefined && !masters.has(common)) common = undefined
        notify()
        for (const lane of known.values()) {
          if (masters.has(lane)) continue
          known.delete(lane.address!)
          yield* Scope.close(lane.scope, Exit.void)
        }
      })

    /** Asks over a connection for this one question: no line is up. */
    const askOnce = (address: Address | undefined) =>
      Effect.scoped(
        Effect.gen(function* () {
          const isUp = yield* Latch.make(false)
          const events = { onUp: () => void isUp.openUnsafe() }
          const line = yield* Line.make(driver, () => address, events, { ...options, pingInterval: 0 })
          yield* isUp.await
          return yield* ask(address, line)
        })
      ).pipe(
        Effect.timeoutOrElse({
          duration: Duration.seconds(2),
          orElse: () =>
            Effect.fail(new RedisError({ reason: { _tag: "Timeout" }, message: "a server does not answer" }))
        })
      )

    const look = Effect.gen(function* () {
      const up = [...known.values()].filter(({ line }) => line.connection !== undefined)
      for (const { address, line } of up) {
        const answer = yield* Effect.option(ask(address, line))
        if (answer._tag === "Some") return yield* take(answer.value)
      }
      const seeds = driver.seeds?.() ?? []
      const addresses: ReadonlyArray<Address | undefined> = seeds.length > 0 ? seeds : [undefined]
      for (const address of new Set([...known.keys(), ...addresses])) {
        const answer = yield* Effect.option(askOnce(address))
        if (answer._tag === "Some") return yield* take(answer.value)
      }
    })

    const isCalm = () => lanes.length > 0 && lanes.every(({ line }) => line.connection !== undefined)
    yield* Effect.gen(function* () {
      for (;;) {
        wakeUp.closeUnsafe()
        yield* Effect.catchCause(look, (cause) => Effect.sync(() => onProblem(cause)))
        // Not more often than this, also if every server says that a slot is elsewhere.
        yield* Effect.sleep(URGENT_INTERVAL)
        if (isCalm()) yield* Effect.raceFirst(wakeUp.await, Effect.sleep(CALM_INTERVAL))
      }
    }).pipe(Effect.forkScoped({ startImmediately: true }))

    return {
      lanes: () => lanes,
      laneOf: (key) => slots[keySlot(key)],
      commonLane() {
        // Each server of ours begins at another one, and stays there while it can.
        if (common?.line.connection !== undefined) return common
        const up = lanes.filter(({ line }) => line.connection !== undefined)
        if (up.length > 0) common = up[Math.floor(Math.random() * up.length)]
        return common
      },
      refresh: () => void wakeUp.openUnsafe(),
      version: () => version,
      onChange,
      isCluster: true
    }
  })

export const make = (
  driver: Driver,
  options: Line.LineOptions,
  onProblem: (cause: unknown) => void
): Effect.Effect<Routes, never, Scope.Scope> =>
  driver.seeds === undefined ? makeSingle(driver, options, onProblem) : makeCluster(driver, options, onProblem)

const routesOfClients = new WeakMap<object, Routes>()

/** Keeps the routes of a client for what sends much: they are no part of its public face. */
export const register = (client: object, routes: Routes): void => {
  routesOfClients.set(client, routes)
}

/** `undefined` for a client that was not made by a constructor of `RedisClient`. */
export const findRoutes = (client: object): Routes | undefined => routesOfClients.get(client)

export const routesOf = (client: object): Routes => {
  const routes = findRoutes(client)
  if (routes === undefined) throw new Error("the client was not made by a constructor of RedisClient")
  return routes
}
