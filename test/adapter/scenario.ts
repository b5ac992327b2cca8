/**
 * Three servers over a bus in memory that delays, loses and splits; their sockets and their applications do what they like. At the end,
 * all that has happened equals the model.
 */
import { assert } from "@effect/vitest"
import { Effect, Exit, type Fiber } from "effect"

import type { Selection } from "../../src/adapter/Adapter.ts"
import { Seeded } from "../../src/testing/internal/seeded.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import type { FakeSocket } from "../support/fakeHost.ts"
import * as Bus from "../support/memoryBus.ts"
import { ask, flags, gather, join, type Member, packet } from "../support/memoryCluster.ts"
import { ModelQuestion, ModelServer, Troubles } from "./model.ts"

const STEPS = 60

const ROOMS = ["red", "green", "blue"]

/** A server with its model. */
interface Peer extends Member {
  readonly model: ModelServer
  /** The numbers of what it has said to the other servers: to all, and to each. */
  posts: number
  readonly answers: Map<string, number>
  readonly arrivals: Map<Bus.BusServer, number>
  readonly lastHeard: Map<Bus.BusServer, number>
  droppedPosts: number
  isThere: boolean
}

export const scenario = Effect.gen(function* () {
  const { seed } = yield* Simulation.Simulation
  const random = new Seeded(seed, 11)
  const chance = (share: number) => random.below(1_000) < share * 1_000
  const oneOf = <A>(items: ReadonlyArray<A>): A => items[random.below(items.length)]!

  const latency = [1, oneOf([2, 10, 30])] as const
  const bus = yield* Bus.make({ seed, latency, tellsDeaths: chance(0.3), noticesAfter: oneOf([0, 0, 400]) })
  const troubles = new Troubles(bus)
  const peers: Array<Peer> = []
  for (const name of ["a", "b", "c"]) {
    const member = yield* join(bus, name)
    peers.push({
      ...member,
      model: new ModelServer(),
      posts: 0,
      answers: new Map(),
      arrivals: new Map(),
      lastHeard: new Map(),
      droppedPosts: 0,
      isThere: true
    })
  }
  const peerOf = (server: Bus.BusServer) => peers.find((peer) => peer.server === server)!
  const uidOf = ({ server }: Peer) => Array.from(server.links, ({ uid }) => uid)[0]!
  const questions: Array<ModelQuestion> = []
  let asked = ""

  bus.observer = {
    onPost: (from, to, body, isDropped) => {
      if (body._tag === "Goodbye") return
      if (body._tag === "Message" && body.message._tag === "Question") asked = body.message.requestId
      if (body._tag === "Message" && body.message._tag === "Cancel") {
        const { requestId } = body.message
        for (const question of questions) if (question.requestId === requestId) question.isTakenBack = true
      }
      const peer = peerOf(from)
      if (isDropped) peer.droppedPosts++
      else if (to === undefined) peer.posts++
      else peer.answers.set(to, (peer.answers.get(to) ?? 0) + 1)
    },
    onArrival: (to, from, body) => {
      const peer = peerOf(to)
      for (const question of questions) if (question.asker === to) question.receive(from, body)
      if (body._tag === "Goodbye") return
      peer.arrivals.set(from, (peer.arrivals.get(from) ?? 0) + 1)
      if (body._tag !== "Message") return
      if (body.message._tag === "Broadcast") {
        const n = body.message.data[1] as number
        assert.isAbove(n, peer.lastHeard.get(from) ?? -1, "a broadcast is out of order")
        peer.lastHeard.set(from, n)
      }
      peer.model.receive(body.message)
    },
    onCount: (server, counted, began) => {
      if (counted === undefined) return
      for (const question of questions) {
        if (question.asker === server && question.endedAt === undefined && began > question.tick) {
          question.count(counted)
        }
      }
    }
  }

  // ---------------------------------------------------------------- clients and handlers

  const clients: Array<{ readonly peer: Peer; readonly socket: FakeSocket }> = []
  let ids = 0

  const disconnect = (peer: Peer, socket: FakeSocket) => {
    if (!peer.host.sockets.has(socket.id)) return
    peer.model.disconnect({ rooms: [socket.id], except: [] })
    socket.disconnectUnsafe()
  }
  const connect = (peer: Peer) => {
    const socket = peer.host.connect(`${peer.host.name}${ids++}`)
    peer.model.connect(socket.id)
    clients.push({ peer, socket })
    socket.answer = () => {
      bus.at(bus.now + random.below(800), () =>
        peer.server.run(() => {
          if (chance(0.1)) disconnect(peer, socket)
          else if (socket.asked.size > 0) socket.acknowledge([socket.id])
        })
      )
      return undefined
    }
    return socket
  }
  for (const peer of peers) {
    for (let i = 0; i < 3; i++) {
      const rooms = ROOMS.filter(() => chance(0.5))
      const socket = connect(peer)
      peer.model.join({ rooms: [socket.id], except: [] }, rooms)
      yield* peer.adapter.join(socket, rooms)
    }
    peer.host.handle = (_, reply) => {
      if (reply === undefined) return
      const { name } = peer.host
      bus.at(bus.now + random.below(chance(0.2) ? 4_000 : 300), () =>
        peer.server.run(() => reply(chance(0.8) ? [name] : undefined))
      )
    }
  }

  // ---------------------------------------------------------------- what applications do

  const selection = (): Selection => {
    const names = [...ROOMS, ...clients.slice(-6).map(({ socket }) => socket.id)]
    const some = () => Array.from({ length: random.below(3) }, () => oneOf(names))
    return { rooms: chance(0.3) ? [] : [oneOf(names), ...some()], except: chance(0.3) ? some() : [] }
  }
  let numbers = 0

  /** Asks, and follows the question in the model. `own` is what this server itself answers. */
  const follow = (peer: Peer, kind: string, own: ReadonlyArray<unknown>) => {
    const question = new ModelQuestion(peer.server, kind, { tick: bus.tick(), now: bus.now })
    question.got.push(...own)
    questions.push(question)
    return question
  }
  const check = (question: ModelQuestion, got: ReadonlyArray<unknown>, missing: number) => {
    question.end(bus.now, missing)
    const what = `${question.kind} ${question.requestId}`
    assert.deepStrictEqual(got.map(String).toSorted(), question.got.map(String).toSorted(), what)
    assert.include(question.expected, missing, `${what}: missing`)
    for (const peer of peers) {
      const { server } = peer
      if (server === question.asker || question.isComplete(server)) continue
      const wasTroubled = [server, question.asker].some((one) => troubles.met(one, question.askedAt, bus.now))
      assert.isTrue(wasTroubled, `${what}: nothing kept ${server.name} from answering`)
    }
  }

  /** Does something when a question has its answer. The end of the scenario interrupts the others. */
  const atEnd = (fiber: Fiber.Fiber<unknown, unknown>, run: () => void) =>
    fiber.addObserver((exit) => {
      if (Exit.hasInterrupts(exit)) return
      try {
        run()
      } catch (defect) {
        bus.defect ??= defect
      }
    })

  const act = Effect.fnUntraced(function* (peer: Peer) {
    const { adapter, host, model, server } = peer
    switch (random.below(13)) {
      case 0: {
        connect(peer)
        return
      }
      case 1: {
        const socket = oneOf(Array.from(host.sockets.values()))
        if (socket !== undefined) disconnect(peer, socket)
        return
      }
      case 2: {
        const socket = oneOf(Array.from(host.sockets.values()))
        if (socket === undefined) return
        const rooms = [oneOf(ROOMS), oneOf(ROOMS)]
        model.join({ rooms: [socket.id], except: [] }, rooms)
        return yield* adapter.join(socket, rooms)
      }
      case 3: {
        const to = selection()
        const rooms = [oneOf(ROOMS)]
        model.join(to, rooms)
        return yield* adapter.socketsJoin(to, rooms, false)
      }
      case 4: {
        const to = selection()
        const rooms = [oneOf(ROOMS)]
        model.leave(to, rooms)
        return yield* adapter.socketsLeave(to, rooms, false)
      }
      case 5: {
        if (chance(0.7)) return
        const to = { rooms: [oneOf(ROOMS)], except: [oneOf(ROOMS)] }
        model.disconnect(to)
        return yield* adapter.disconnectSockets(to, false, false)
      }
      case 6: {
        const to = selection()
        const fetched = follow(peer, "fetch", model.select(to))
        const { fiber, result } = yield* ask(adapter.fetchSockets(to, false))
        fetched.requestId = asked
        return atEnd(fiber, () => {
          const { missing, value } = result()!
          check(
            fetched,
            value.map(({ id }) => id),
            missing
          )
        })
      }
      case 7: {
        const to = selection()
        const counted = follow(peer, "count", [model.select(to).length])
        const { fiber, result } = yield* ask(adapter.count(to, false))
        counted.requestId = asked
        return atEnd(fiber, () => {
          const { missing, value } = result()!
          check(counted, counted.got, missing)
          const sum = (counted.got as Array<number>).reduce((sum, count) => sum + count, 0)
          assert.strictEqual(value, sum, "the count")
        })
      }
      case 8: {
        const n = numbers++
        if (chance(0.5)) return yield* adapter.serverSideEmit(["event", n])
        const answers = follow(peer, "server event", [])
        const { fiber, items, missing } = yield* gather(adapter.serverSideEmitWithAck(["event", n]))
        answers.requestId = asked
        return atEnd(fiber, () =>
          check(
            answers,
            items.map(([name]) => name),
            missing()!
          )
        )
      }
      case 9: {
        const to = selection()
        const n = numbers++
        const mine = model.select(to)
        const acks = follow(peer, "acks", [])
        model.broadcast(to, ["ask", n])
        const { fiber, items, missing } = yield* gather(adapter.broadcastWithAck(packet("ask", n), to, flags))
        acks.requestId = asked
        return atEnd(fiber, () => {
          const sids = items.map(({ sid }) => sid)
          // Of its own sockets, those that have left have not answered.
          // The acknowledgements of a server that was not counted are not waited for.
          const isCounted = (sid: unknown) =>
            acks.counts.every((counted) => counted.some(({ name }) => name === String(sid)[0]))
          const late = acks.got.filter((sid) => !isCounted(sid) && !sids.includes(sid as string))
          for (const sid of late) acks.got.splice(acks.got.indexOf(sid), 1)
          acks.got.push(...mine.filter((sid) => sids.includes(sid) || host.sockets.has(sid)))
          check(acks, sids, missing()!)
        })
      }
      default: {
        const n = numbers++
        const to = selection()
        model.broadcast(to, ["n", n])
        yield* adapter.broadcast(packet("n", n), to, flags)
        return void server
      }
    }
  })

  // ---------------------------------------------------------------- what goes wrong

  /** Begins some trouble; it ends by itself. */
  const trouble = Effect.fnUntraced(function* () {
    const there = peers.filter(({ isThere }) => isThere)
    const peer = oneOf(there)
    const { server } = peer
    const until = bus.now + oneOf([50, 500, 3_000]) + random.below(1_000)
    switch (random.below(chance(0.3) ? 5 : 3)) {
      case 0: {
        if (server.state !== "up" || server.isPaused) return
        const end = troubles.begin(server)
        server.cut(oneOf(["keep", "drop"]))
        bus.at(until, () => {
          server.restore()
          // Until the others believe it again.
          bus.at(bus.now + 500, end)
        })
        return
      }
      case 1: {
        if (peers.some(({ server }) => server.part !== 0)) return
        const end = troubles.begin(server)
        bus.partition(
          peers.flatMap((peer) => (peer.server === server ? [] : [peer.server])),
          [server]
        )
        bus.at(until, () => {
          bus.heal()
          end()
        })
        return
      }
      case 2: {
        if (server.isPaused || server.state !== "up") return
        const end = troubles.begin(server)
        server.pause()
        bus.at(until, () => {
          server.resume()
          end()
        })
        return
      }
      case 3: {
        if (there.length < 3) return
        troubles.begin(server)
        peer.isThere = false
        return server.kill()
      }
      case 4: {
        if (there.length < 3 || server.isPaused) return
        troubles.begin(server)
        peer.isThere = false
        // The sockets of a server that closes are disconnected first.
        for (const socket of Array.from(peer.host.sockets.values())) disconnect(peer, socket)
        return yield* peer.leave
      }
    }
  })

  const isCalm = chance(0.1)
  for (let step = 0; step < STEPS; step++) {
    yield* Effect.sleep(1 + random.below(chance(0.1) ? 1_000 : 60))
    const peer = oneOf(peers)
    if (!isCalm && chance(0.08)) yield* trouble()
    else if (peer.isThere && !peer.server.isPaused) yield* act(peer)
  }

  // ---------------------------------------------------------------- the end

  // All troubles end, all clients answer or leave, and the last numbers are told.
  yield* Effect.sleep("15 seconds")
  bus.beatSoon()
  yield* Effect.sleep("2 seconds")

  if (bus.defect !== undefined) throw bus.defect
  const alive = peers.filter(({ isThere }) => isThere)
  for (const question of questions) {
    if (!peerOf(question.asker).isThere) continue
    assert.isDefined(question.endedAt, `${question.kind} ${question.requestId} does not end`)
  }
  for (const { adapter, host, model, server } of alive) {
    assert.deepStrictEqual(Array.from(host.sockets.keys()).toSorted(), Array.from(model.sockets.keys()).toSorted())
    for (const [id, rooms] of model.sockets) {
      assert.deepStrictEqual(Array.from(host.sockets.get(id)!.joined ?? []).toSorted(), Array.from(rooms).toSorted())
    }
    const sizes = new Map<string, number>()
    for (const rooms of model.sockets.values()) for (const room of rooms) sizes.set(room, (sizes.get(room) ?? 0) + 1)
    assert.deepStrictEqual(new Map(yield* adapter.rooms), sizes)
    assert.deepStrictEqual(
      host.events.map(([, n]) => n),
      model.events
    )
    assert.deepStrictEqual(Array.from(server.links)[0]!.rooms, new Set(sizes.keys()))
    assert.deepStrictEqual(server.monitor.refusals, [])
  }
  for (const { peer, socket } of clients) {
    if (!peer.isThere) continue
    assert.deepStrictEqual(
      socket.heard.map(([, n]) => n),
      peer.model.heard.get(socket.id),
      `what ${socket.id} heard`
    )
  }
  // A message of one server has come to the other one, or was counted as lost.
  for (const from of alive) {
    assert.strictEqual(from.server.dropped, from.droppedPosts)
    for (const to of alive) {
      if (from === to) continue
      const lost = to.server.lostFrom(from.server)
      assert.strictEqual(lost, bus.undeliveredTo(to.server, from.server), "lost in silence")
      const said = from.posts + (from.answers.get(uidOf(to)) ?? 0)
      assert.strictEqual((to.arrivals.get(from.server) ?? 0) + lost, said, "neither arrived nor lost")
    }
  }
  for (const { adapter } of alive) {
    const { answering, questions } = adapter as unknown as {
      readonly questions: { readonly open: ReadonlyMap<string, unknown> }
      readonly answering: { readonly work: ReadonlyMap<string, unknown> }
    }
    assert.strictEqual(questions.open.size, 0)
    // The work for a server that was killed, or cut off when it took its question back, ends with its lease.
    assert.isAtMost(answering.work.size, 0 + (bus.servers.length - alive.length) * 100)
  }
})
