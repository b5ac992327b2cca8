/**
 * Loads of messages between connections that stay.
 */
import type { Parameters } from "../scenarios.ts"
import { median } from "../statistics.ts"
import type { Figures } from "./channel.ts"
import { addressOf, connect, connectPolling, pool } from "./connect.ts"
import { frame, Opcode, text } from "./frames.ts"
import { get, post } from "./HttpPeer.ts"
import { measure, sleep } from "./measure.ts"
import { ignore, type WebSocketPeer } from "./WebSocketPeer.ts"

/** Where the server is, and what the load is like. */
export interface Load extends Parameters {
  readonly port: number
  readonly usagePort: number
}

export type IsReply = (opcode: number, bytes: Buffer, start: number) => boolean

/** A message of 50 bytes or so. */
const MESSAGE = { id: 12_345, user: "alice", text: "hello world!!" }

/** How long the last replies of a fixed rate may take. In milliseconds. */
const ANSWER_TIME = 1_000

const event = (name: string, ...args: ReadonlyArray<unknown>): string => `42${JSON.stringify([name, ...args])}`

/** The second character of a message is the type of its packet. */
const isPacket =
  (type: number): IsReply =>
  (_, bytes, start) =>
    bytes[start + 1] === 48 + type
const isEvent = isPacket(2)
const isAck = isPacket(3)

export const connectAll = (load: Load, count = load.connections): Promise<ReadonlyArray<WebSocketPeer>> =>
  pool(count, load.parallel, (index) => connect(addressOf(load.port, index)))

/** Measures for the time that the load says, after its time to warm up. */
const measureWhile = async (load: Load, count: () => number): Promise<Figures> => {
  await sleep(load.warmUp)
  return measure(load.usagePort, count, () => sleep(load.duration))
}

/** Measures rounds, each of which is awaited before the next. */
const measureRounds = async (load: Load, count: () => number, round: () => Promise<unknown>): Promise<Figures> => {
  const repeat = async (milliseconds: number) => {
    const end = performance.now() + milliseconds
    do await round()
    while (performance.now() < end)
  }
  await repeat(load.warmUp)
  return measure(load.usagePort, count, () => repeat(load.duration))
}

/**
 * Sends so many messages per second, whatever becomes of the earlier ones, and measures how long replies take. `send` returns the
 * number of replies that one message has; `onReply` is to be called with the time at which the message was sent.
 */
const measureAtRate = async (
  load: Load,
  send: (index: number) => number,
  begin: (onReply: (sentAt: number) => void) => void
): Promise<Figures> => {
  let latencies: Array<number> = []
  let replies = 0
  let due = 0
  begin((sentAt) => {
    replies++
    latencies.push(performance.now() - sentAt)
  })
  const start = performance.now()
  let sent = 0
  const timer = setInterval(() => {
    const now = ((performance.now() - start) * load.rate) / 1_000
    for (; sent < now; sent++) due += send(sent)
  }, 1)
  await sleep(load.warmUp)
  latencies = []
  const figures = await measure(
    load.usagePort,
    () => replies,
    () => sleep(load.duration)
  )
  clearInterval(timer)
  const latency = median(latencies)
  // A server that lags behind the rate has no latency: it grows as long as the measurement goes on.
  await sleep(ANSWER_TIME)
  if (replies < due) throw new Error(`${due - replies} of ${due} messages have no reply`)
  return { ...figures, latency }
}

/** Each connection keeps so many messages in flight. Replies that come in one chunk are answered by one write. */
const keepInFlight = async (load: Load, unit: Buffer, isReply: IsReply): Promise<Figures> => {
  const peers = await connectAll(load)
  const full = Buffer.concat(Array.from({ length: load.inFlight }, () => unit))
  let replies = 0
  for (const peer of peers) {
    let due = 0
    peer.onFrame = (_, opcode, bytes, start) => {
      if (isReply(opcode, bytes, start)) due++
    }
    peer.onChunk = () => {
      if (due === 0) return
      replies += due
      peer.write(due === load.inFlight ? full : full.subarray(0, due * unit.length))
      due = 0
    }
    peer.write(full)
  }
  return measureWhile(load, () => replies)
}

export const echo = (load: Load): Promise<Figures> => keepInFlight(load, text(event("echo", MESSAGE)), isEvent)

/** Echoes at a fixed rate, of each connection in turn. Replies of a connection come in the order of its messages. */
export const echoRate = async (load: Load): Promise<Figures> => {
  const peers = await connectAll(load)
  const unit = text(event("echo", MESSAGE))
  const sentAt = peers.map((): Array<number> => [])
  const send = (index: number) => {
    const at = index % peers.length
    sentAt[at]!.push(performance.now())
    peers[at]!.write(unit)
    return 1
  }
  return measureAtRate(load, send, (onReply) => {
    for (const [at, peer] of peers.entries()) peer.onFrame = () => onReply(sentAt[at]!.shift()!)
  })
}

export const ack = (load: Load): Promise<Figures> =>
  keepInFlight(load, text(`4217${JSON.stringify(["ack", MESSAGE])}`), isAck)

export const binary = (load: Load): Promise<Figures> => {
  const attachment = frame(Opcode.binary, Buffer.alloc(load.size, 0xab))
  const unit = Buffer.concat([text('451-["echo",{"_placeholder":true,"num":0}]'), attachment])
  return keepInFlight(load, unit, (opcode) => opcode === Opcode.binary)
}

/** Every connection joins rooms and leaves them again, always that many calls in flight. */
export const rooms = async (load: Load): Promise<Figures> => {
  const peers = await connectAll(load)
  const calls = (name: string) =>
    Buffer.concat(Array.from({ length: load.rooms }, (_, i) => text(`42${i}["${name}","room${i}"]`)))
  const joins = calls("join")
  const leaves = calls("leave")
  let answers = 0
  for (const peer of peers) {
    let left = load.rooms
    let isJoining = true
    peer.onFrame = (_, opcode, bytes, start) => {
      if (!isAck(opcode, bytes, start)) return
      answers++
      if (--left > 0) return
      left = load.rooms
      isJoining = !isJoining
      peer.write(isJoining ? joins : leaves)
    }
    peer.write(joins)
  }
  return measureWhile(load, () => answers)
}

/** The server makes every socket join rooms and leave them: what the rooms cost without the messages. */
export const churn = async (load: Load): Promise<Figures> => {
  const [asking] = await connectAll(load)
  const call = text(`420["churn",${load.rooms},1]`)
  let calls = 0
  const round = () =>
    new Promise<void>((resolve) => {
      asking!.onFrame = (_, __, bytes, start, end) => {
        calls += JSON.parse(bytes.toString("latin1", start + "430".length, end))[0]
        resolve()
      }
      asking!.write(call)
    })
  return measureRounds(load, () => calls, round)
}

/** Joins a room with every peer, and waits for the acknowledgements. */
export const joinAll = (peers: ReadonlyArray<WebSocketPeer>, room: string): Promise<unknown> =>
  Promise.all(
    peers.map(
      (peer) =>
        new Promise<void>((resolve) => {
          peer.onFrame = () => resolve()
          peer.write(text(`420["join","${room}"]`))
        })
    )
  )

/** The message that makes the server broadcast. */
const fireTo = (room: string, burst: number): Buffer =>
  text(event("fire", room, burst, { seq: "00000001", d: "x".repeat(74) }))

/** Broadcasts of 100 bytes or so to a room; the next ones leave when all of its members have got the last ones. */
export const broadcastTo = async (
  load: Load,
  members: ReadonlyArray<WebSocketPeer>,
  sender: WebSocketPeer,
  room: string
): Promise<Figures> => {
  await joinAll(members, room)
  sender.onFrame = ignore
  let deliveries = 0
  let awaited = 0
  let resume: () => void = ignore
  for (const member of members) {
    member.onFrame = () => {
      deliveries++
      if (--awaited === 0) resume()
    }
  }
  const fire = fireTo(room, load.burst)
  const round = () =>
    new Promise<void>((resolve) => {
      awaited = members.length * load.burst
      resume = resolve
      sender.write(fire)
    })
  return measureRounds(load, () => deliveries, round)
}

export const broadcast = async (load: Load): Promise<Figures> => {
  const [sender, ...members] = await connectAll(load, load.connections + 1)
  return broadcastTo(load, members, sender!, "everyone")
}

/** Broadcasts at a fixed rate. The latency is that of each delivery. */
export const broadcastRate = async (load: Load): Promise<Figures> => {
  const [sender, ...members] = await connectAll(load, load.connections + 1)
  const room = "everyone"
  await joinAll(members, room)
  sender!.onFrame = ignore
  const fire = fireTo(room, 1)
  const sentAt: Array<number> = []
  const send = () => {
    sentAt.push(performance.now())
    sender!.write(fire)
    return members.length
  }
  return measureAtRate(load, send, (onReply) => {
    for (const member of members) {
      let received = 0
      member.onFrame = () => onReply(sentAt[received++]!)
    }
  })
}

/** Echoes of clients that poll: the event in a POST, its echo in a GET. */
export const polling = async (load: Load): Promise<Figures> => {
  const peers = await pool(load.connections, load.parallel, (index) => connectPolling(addressOf(load.port, index)))
  let echoes = 0
  for (const { gets, posts, sid } of peers) {
    const send = post(sid, event("echo", MESSAGE))
    let left = 0
    const next = () => {
      left = 2
      posts.send(send, done)
      gets.send(get(sid), onBody)
    }
    const done = () => {
      if (--left === 0) next()
    }
    const pong = () => {
      if (posts.isBusy) setImmediate(pong)
      else posts.send(post(sid, "3"), ignore)
    }
    const onBody = (body: string) => {
      if (body !== "2") {
        echoes++
        return done()
      }
      // A ping instead of the echo.
      pong()
      gets.send(get(sid), onBody)
    }
    next()
  }
  return measureWhile(load, () => echoes)
}

/** Nothing but pings and pongs. */
export const heartbeat = async (load: Load): Promise<Figures> => {
  const peers = await connectAll(load)
  return measureWhile(load, () => peers.reduce((pings, peer) => pings + peer.pings, 0))
}

/** So many messages in flight over all connections together: each reply is followed by a message on another connection. */
const echoAround = async (load: Load, peers: ReadonlyArray<WebSocketPeer>): Promise<Figures> => {
  const unit = text(event("echo", MESSAGE))
  let replies = 0
  let next = 0
  let onLast: (() => void) | undefined
  const send = () => peers[next++ % peers.length]!.write(unit)
  for (const peer of peers) {
    peer.onFrame = () => {
      replies++
      if (onLast === undefined) send()
      else if (replies === next) onLast()
    }
  }
  for (let i = 0; i < load.inFlight; i++) send()
  const figures = await measureWhile(load, () => replies)
  await new Promise<void>((resolve) => {
    onLast = resolve
  })
  return figures
}

/**
 * The cost of a round trip and of a delivery with this many connections, and, with `rooms` above 0, that of a delivery in rooms
 * of 10 members, 100 and so on, all connections being there.
 */
export const growth = async (load: Load): Promise<Figures> => {
  const [sender, ...peers] = await connectAll(load, load.connections + 1)
  const figures: Record<string, number> = {}
  const echoed = await echoAround(load, peers)
  figures.echo = echoed.cpu!
  for (let size = load.rooms > 0 ? 10 : peers.length; size <= peers.length; size *= 10) {
    const { cpu } = await broadcastTo(load, peers.slice(0, size), sender!, `room${size}`)
    figures[`room${size}`] = cpu!
    if (size === peers.length) figures.broadcast = cpu!
  }
  return figures
}
