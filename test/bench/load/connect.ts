/**
 * Connections to the default namespace, in the three ways in which clients get there.
 */
import { fail } from "./channel.ts"
import { text } from "./frames.ts"
import { get, HttpPeer, PATH, post } from "./HttpPeer.ts"
import { type Address, ignore, WebSocketPeer } from "./WebSocketPeer.ts"

/** So many connections to one port leave from one address: its range of ports has room for a few more. */
const PER_ADDRESS = 20_000

/** An address to connect from, by the number of the connection. */
export const addressOf = (port: number, index: number): Address =>
  // With an address of its own a connection needs a port that no other has: the first ones do without.
  index < PER_ADDRESS ? { port } : { port, localAddress: `127.0.0.${1 + Math.floor(index / PER_ADDRESS)}` }

/** Makes items, at most `parallel` at once. */
export const pool = async <A>(
  count: number,
  parallel: number,
  make: (index: number) => Promise<A>
): Promise<ReadonlyArray<A>> => {
  const made: Array<A> = []
  let next = 0
  const worker = async () => {
    while (next < count) made.push(await make(next++))
  }
  await Promise.all(Array.from({ length: Math.min(parallel, count) }, worker))
  return made
}

const CONNECT = text("40")
const PROBE = text("2probe")
const UPGRADE = text("5")

/** WebSocket only. */
export const connect = (address: Address): Promise<WebSocketPeer> =>
  new Promise((resolve) => {
    const peer = new WebSocketPeer(address, `${PATH}websocket`)
    peer.onFrame = (_, __, bytes, start, end) => {
      const packet = bytes.toString("latin1", start, end)
      if (packet.startsWith("0")) return peer.write(CONNECT)
      if (!packet.startsWith("40")) return fail(`not expected after CONNECT: ${packet}`)
      peer.onFrame = ignore
      resolve(peer)
    }
  })

const sidOf = (open: string): string => JSON.parse(open.slice(1)).sid

export interface PollingPeer {
  readonly sid: string
  readonly gets: HttpPeer
  readonly posts: HttpPeer
}

/** Long-polling only. No poll is pending. */
export const connectPolling = (address: Address): Promise<PollingPeer> =>
  new Promise((resolve) => {
    const gets = new HttpPeer(address)
    const posts = new HttpPeer(address)
    gets.send(get(), (open) => {
      const sid = sidOf(open)
      let left = 2
      const done = () => {
        if (--left === 0) resolve({ sid, gets, posts })
      }
      posts.send(post(sid, "40"), done)
      gets.send(get(sid), (body) => {
        if (!body.startsWith("40")) return fail(`not expected after CONNECT: ${body}`)
        done()
      })
    })
  })

/** The steps of the official client by default: a handshake over polling, a probe, and the upgrade to WebSocket. */
export const connectUpgrade = (address: Address): Promise<WebSocketPeer> =>
  new Promise((resolve) => {
    const gets = new HttpPeer(address)
    const posts = new HttpPeer(address)
    let isJoined = false
    let isProbed = false
    let isUpgraded = false
    let webSocket: WebSocketPeer | undefined
    const settle = () => {
      // Polling has to pause before the upgrade.
      if (isProbed && !isUpgraded && !gets.isBusy && !posts.isBusy) {
        isUpgraded = true
        webSocket!.write(UPGRADE)
      }
      if (!isJoined || !isUpgraded) return
      gets.destroy()
      posts.destroy()
      webSocket!.onFrame = ignore
      resolve(webSocket!)
    }
    const poll = (sid: string) =>
      gets.send(get(sid), (body) => {
        for (const packet of body.split("\x1e")) if (packet.startsWith("40")) isJoined = true
        if (!isProbed) poll(sid)
        settle()
      })
    gets.send(get(), (open) => {
      const sid = sidOf(open)
      posts.send(post(sid, "40"), settle)
      poll(sid)
      webSocket = new WebSocketPeer(address, `${PATH}websocket&sid=${sid}`, (peer) => peer.write(PROBE))
      webSocket.onFrame = (_, __, bytes, start, end) => {
        const packet = bytes.toString("latin1", start, end)
        // The server ends the pending poll.
        if (packet === "3probe") isProbed = true
        else if (packet.startsWith("40")) isJoined = true
        settle()
      }
    })
  })
