/**
 * Every operation of a cluster, as clients and other nodes see it: who hears what, and what is answered.
 */
import { strict as assert } from "node:assert"

import { until } from "../support/redisServer.ts"
import type { Answers, EventInput, Selection } from "./control.ts"
import { type Client, type Cluster, type Kind, type Node, startClient } from "./nodes.ts"
import { sleep } from "./wire.ts"

/** Rooms whose names are special to some adapter: by their length, as numbers, as patterns. */
const special = ["a", "room-of-twenty-chars", "42", "glob[*]?#x"]

const bytes = Buffer.from([0, 1, 0x7b, 255])

const values = [null, true, 1.5, -1, 2 ** 40, "snow \u2603 \u{1f600}", [], {}, { a: [{ b: null }] }]

/** After all that had to be heard has come, so long nothing else may come, in milliseconds. */
const QUIET = 15

const equal = (got: ReadonlyArray<unknown>, expected: ReadonlyArray<unknown>): void =>
  assert.deepEqual(got.toSorted(), expected.toSorted())

/**
 * The clients of a cluster. Each node has two in the main namespace, `a0` and `b0` of the first one, and one in another namespace. All
 * `a` are in the special rooms, all `b` in the room `b`, and all of a node in a room of the node's, `n0`.
 */
export class World {
  readonly cluster: Cluster
  readonly clients = new Map<string, Client>()
  readonly others: Array<Client> = []

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  async enterAll(): Promise<void> {
    await Promise.all(
      this.nodes.flatMap((node, index) => [
        this.enter(`a${index}`),
        this.enter(`b${index}`),
        startClient(node, { name: `o${index}`, nsp: "/other", rooms: ["a"] }).then((one) => this.others.push(one))
      ])
    )
  }

  /** A client that comes, or comes back. */
  async enter(name: string): Promise<void> {
    const letter = name[0]!
    const index = Number(name.slice(1))
    const rooms = [`n${index}`, ...(letter === "a" ? special : ["b"])]
    this.clients.set(name, await startClient(this.nodes[index]!, { name, rooms, data: { letter, index } }))
  }

  leaveAll(): void {
    for (const { socket } of [...this.clients.values(), ...this.others]) socket.disconnect()
  }

  get nodes(): ReadonlyArray<Node> {
    return this.cluster.nodes
  }

  get all(): ReadonlyArray<string> {
    return [...this.clients.keys()]
  }

  client(name: string): Client {
    return this.clients.get(name)!
  }

  named(pattern: RegExp): ReadonlyArray<string> {
    return this.all.filter((name) => pattern.test(name))
  }

  /** Forgets what was heard. */
  forget(): void {
    for (const { heard } of [...this.clients.values(), ...this.others]) heard.length = 0
  }

  /** Waits until just these clients have heard the event, and nobody anything else. */
  async heardBy(names: ReadonlyArray<string>, ...event: ReadonlyArray<unknown>): Promise<void> {
    const have = () => names.every((name) => this.client(name).heard.length > 0)
    await until("the event", () => have() || undefined, { timeout: 3_000, every: 2 }).catch(() => {})
    await sleep(QUIET)
    assert.deepEqual(
      Object.fromEntries(this.all.map((name) => [name, this.client(name).heard])),
      Object.fromEntries(this.all.map((name) => [name, names.includes(name) ? [event] : []]))
    )
  }

  /** Waits until a room has just these members, as a node sees it. */
  async joined(node: Node, room: string, names: ReadonlyArray<string>): Promise<void> {
    let last: ReadonlyArray<string> = []
    await until(`members of ${room}`, async () => {
      last = await members(node, { to: [room] })
      return last.length === names.length || undefined
    }).catch(() => {})
    equal(last, names)
  }

  async notedBy(nodes: ReadonlyArray<Node>, ...args: ReadonlyArray<unknown>): Promise<void> {
    for (const node of nodes) {
      await until("a note", async () => (await node.call("heard")).events.length > 0 || undefined, { timeout: 3_000 })
      assert.deepEqual(await node.call("heard", { clear: true }), { events: [{ event: "note", nsp: "/", args }] })
    }
  }

  /** Waits until a client was disconnected. */
  async gone(name: string): Promise<void> {
    assert.equal(await until(`the end of ${name}`, () => this.client(name).gone), "io server disconnect")
  }
}

const members = async (node: Node, selection: Selection): Promise<ReadonlyArray<string>> =>
  (await node.call("fetchSockets", selection)).sockets.map(({ auth }) => auth.name)

const answered = ({ error, responses }: Answers, names: ReadonlyArray<string>): void => {
  assert.equal(error, undefined)
  equal(responses, names)
}

/** A node that acts, and the next one. */
export interface Actor {
  readonly world: World
  readonly node: Node
  readonly index: number
  readonly other: number
  /** The first clients of both nodes. */
  readonly here: string
  readonly there: string
}

export const actorOf = (world: World, index: number): Actor => {
  const other = (index + 1) % world.nodes.length
  return { world, node: world.nodes[index]!, index, other, here: `a${index}`, there: `a${other}` }
}

type Check = (actor: Actor) => Promise<void>

const emits = (make: (actor: Actor) => [input: Omit<EventInput, "event">, names: ReadonlyArray<string>]): Check => {
  return async (actor) => {
    const [input, names] = make(actor)
    await actor.node.call("emit", { event: "x", ...input })
    await actor.world.heardBy(names, "x", ...(input.args ?? []))
  }
}

const emitsToSpecial = Object.fromEntries(
  special.map((room) => [
    `emits to the room ${room}`,
    emits(({ world }) => [{ to: [room], args: [bytes] }, world.named(/a/)])
  ])
)

/** The operations by name. */
export const operations: Readonly<Record<string, Check>> = {
  "emits to all": emits(({ world }) => [{ args: values }, world.all]),
  "emits binary": emits(({ world }) => [{ args: [{ bytes }, bytes] }, world.all]),
  "emits to two rooms": emits(({ world }) => [{ to: ["a", "n0"] }, world.named(/a|0/)]),
  "emits to a room that nobody is in": emits(() => [{ to: ["nobody"] }, []]),
  "emits to all except a room": emits(({ world }) => [{ except: ["a"] }, world.named(/b/)]),
  "emits to a room except another": emits(({ here, index, world }) => [
    { to: ["a"], except: [`n${index}`] },
    world.named(/a/).filter((name) => name !== here)
  ]),
  "emits to a socket of another node": emits(({ there, world }) => [{ to: [world.client(there).id] }, [there]]),
  "emits to all except a socket of its own": emits(({ here, world }) => [
    { from: world.client(here).id, args: [1] },
    world.all.filter((name) => name !== here)
  ]),
  "emits volatile events": emits(({ world }) => [{ volatile: true, args: ["v"] }, world.all]),
  "emits uncompressed events": emits(({ world }) => [{ compress: false }, world.all]),
  "emits to its own clients": emits(({ index, world }) => [{ local: true }, world.named(new RegExp(`.${index}`))]),
  ...emitsToSpecial,
  "emits in another namespace": async ({ node, world }) => {
    await node.call("emit", { nsp: "/other", to: ["a"], event: "x" })
    await until("the others", () => world.others.every(({ heard }) => heard.length === 1) || undefined)
    await world.heardBy([])
  },
  "emits in order": async ({ node, there, world }) => {
    const numbers = Array.from({ length: 50 }, (_, n) => n)
    const events = numbers.map((n) => ({
      event: "n",
      to: n % 2 === 1 ? ["a"] : [],
      args: n % 3 === 0 ? [n, bytes] : [n]
    }))
    await node.call("emits", { events })
    const { heard } = world.client(there)
    await until("the last", () => heard.length === 50 || undefined)
    // On a Redis Cluster neither the classic nor the sharded adapter of official nodes keeps order.
    const got = heard.map(([, n]) => n as number)
    const isOrdered = world.cluster.redis?.servers.length === 1 || world.cluster.redis === undefined
    assert.deepEqual(isOrdered ? got : got.toSorted((a, b) => a - b), numbers)
  },
  "asks all clients": async ({ node, world }) =>
    answered(await node.call("emitWithAck", { event: "ask", args: [1] }), world.all),
  "asks the clients of a room in binary": async ({ node, world }) =>
    answered(await node.call("emitWithAck", { to: ["a"], event: "ask", args: [bytes] }), world.named(/a/)),
  "asks its own clients": async ({ here, index, node }) =>
    answered(await node.call("emitWithAck", { local: true, event: "ask", args: [1] }), [here, `b${index}`]),
  "asks all clients, of which one does not answer": async ({ node, there, world }) => {
    const { socket } = world.client(there)
    socket.off("ask").once("ask", () => socket.on("ask", (_, answer: (value: unknown) => void) => answer(there)))
    const { error, responses } = await node.call("emitWithAck", { event: "ask", args: [1], timeout: 300 })
    assert.equal(typeof error, "string")
    equal(
      responses,
      world.all.filter((name) => name !== there)
    )
  },
  "fetches all sockets": async ({ node, other, there, world }) => {
    const { sockets } = await node.call("fetchSockets")
    equal(
      sockets.map(({ auth }) => auth.name),
      world.all
    )
    const socket = sockets.find(({ auth }) => auth.name === there)!
    assert.deepEqual(socket.data, { letter: "a", index: other })
    equal(socket.rooms, [socket.id, `n${other}`, ...special])
  },
  "fetches the sockets of a room except another": async ({ node, world }) =>
    equal(await members(node, { to: ["a"], except: ["n0"] }), world.named(/^a[^0]/)),
  "fetches its own sockets": async ({ here, index, node }) =>
    equal(await members(node, { local: true }), [here, `b${index}`]),
  "makes sockets join and leave rooms": async ({ node, other, world }) => {
    const far = world.nodes[other]!
    await node.call("socketsJoin", { to: ["a"], rooms: ["x", "y"] })
    await world.joined(far, "y", world.named(/a/))
    await node.call("emit", { to: ["y"], event: "x" })
    await world.heardBy(world.named(/a/), "x")
    await node.call("socketsLeave", { to: ["x"], except: ["n0"], rooms: ["x", "y"] })
    await world.joined(far, "y", ["a0"])
    await node.call("socketsLeave", { rooms: ["x", "y"] })
    await world.joined(far, "x", [])
  },
  "emits to the other servers": async ({ index, node, world }) => {
    await node.call("serverSideEmit", { event: "note", args: [index, { deep: [null] }] })
    await world.notedBy(
      world.nodes.filter((one) => one !== node),
      index,
      { deep: [null] }
    )
    assert.deepEqual(await node.call("heard"), { events: [] })
  },
  "asks the other servers": async ({ node, world }) => {
    const { error, responses } = await node.call("serverSideEmitWithAck", { event: "ask", args: ["?"] })
    answered(
      { responses: responses.map(({ name, question }) => name + question), ...(error !== undefined && { error }) },
      world.nodes.filter((one) => one !== node).map(({ name }) => `${name}?`)
    )
  },
  "counts the servers": async ({ node, world }) =>
    assert.deepEqual(await node.call("serverCount"), { count: world.nodes.length }),
  "disconnects sockets": async ({ node, other, there, world }) => {
    const kept = world.all.filter((name) => name !== `b${other}`).map((name) => world.client(name).id)
    await node.call("disconnectSockets", { to: ["b"], except: kept })
    await node.call("disconnectSockets", { to: [world.client(there).id], close: true })
    for (const name of [`b${other}`, there]) {
      await world.gone(name)
      await world.enter(name)
    }
    await world.heardBy([])
  }
}

/** Known mistakes of nodes of a kind: the official one waits for all servers even if only local sockets are asked. */
export const knownFailures: Readonly<Record<Kind, ReadonlyArray<string>>> = {
  official: ["asks its own clients"],
  ours: []
}

/** An emitter from outside of the cluster. */
export interface ExternalEmitter {
  readonly emit: (to: Selection, event: string, ...args: ReadonlyArray<unknown>) => unknown
  readonly socketsJoin: (to: Selection, rooms: ReadonlyArray<string>) => unknown
  readonly socketsLeave: (to: Selection, rooms: ReadonlyArray<string>) => unknown
  readonly disconnectSockets: (to: Selection, close: boolean) => unknown
  readonly serverSideEmit: (event: string, ...args: ReadonlyArray<unknown>) => unknown
}

/** The same from outside of the cluster. */
export const emitterOperations: Readonly<Record<string, (world: World, emitter: ExternalEmitter) => Promise<void>>> = {
  "emits to all": async (world, emitter) => {
    await emitter.emit({}, "x", ...values)
    await world.heardBy(world.all, "x", ...values)
  },
  "emits binary to a room": async (world, emitter) => {
    await emitter.emit({ to: ["a"] }, "x", bytes)
    await world.heardBy(world.named(/a/), "x", bytes)
  },
  "emits volatile events to all except a room": async (world, emitter) => {
    await emitter.emit({ except: ["a"], volatile: true }, "x")
    await world.heardBy(world.named(/b/), "x")
  },
  "makes sockets join and leave rooms": async (world, emitter) => {
    await emitter.socketsJoin({ to: ["a"] }, ["z"])
    await world.joined(world.nodes[0]!, "z", world.named(/a/))
    await emitter.socketsLeave({ to: ["a"] }, ["z"])
    await world.joined(world.nodes[0]!, "z", [])
  },
  "emits to the servers": async (world, emitter) => {
    await emitter.serverSideEmit("note", 7)
    await world.notedBy(world.nodes, 7)
  },
  "disconnects sockets": async (world, emitter) => {
    const names = world.named(/b/)
    await emitter.disconnectSockets({ to: ["b"] }, false)
    for (const name of names) {
      await world.gone(name)
      await world.enter(name)
    }
  }
}
