/**
 * A TCP relay between a client and a server that cuts connections: now, or at an exact byte. The server can be changed.
 */
import * as Net from "node:net"
import type { AddressInfo } from "node:net"

/**
 * How a connection is cut.
 *
 * - `end`: both ends see an orderly end, after what has passed.
 * - `reset`: both ends see a reset; what was under way is lost.
 * - `stall`: the client sees a reset; the server is told nothing, and nothing more comes from it.
 * - `deaf`: nothing more reaches the client, while what it sends still reaches the server. Nobody is told.
 */
export type Cut = "end" | "reset" | "stall" | "deaf"

/** The point of a cut: after so many bytes from the server (`down`) or from the client (`up`), over all connections. */
export interface CutPoint {
  readonly direction: "down" | "up"
  readonly bytes: number
  readonly how: Cut
}

interface Pair {
  readonly near: Net.Socket
  readonly far: Net.Socket
  /** Nothing passes any more, in one direction or in both. */
  deaf: "no" | "down" | "both"
}

export class Relay {
  /** The port of the server for connections that are opened from now on. */
  target: number
  url = ""
  /** The bytes that have passed so far. */
  readonly passed = { down: 0, up: 0 }
  private point: CutPoint | undefined
  private onCut: () => void = () => {}
  /** After a cut at a point, connections are refused. */
  private isCut = false
  private readonly pairs = new Set<Pair>()
  /** Those of connections that are cut for one side only, too. */
  private readonly sockets = new Set<Net.Socket>()
  private readonly server = Net.createServer({ allowHalfOpen: true }, (near) => this.accept(near))

  private constructor(target: number) {
    this.target = target
  }

  static async start(target: number): Promise<Relay> {
    const relay = new Relay(target)
    await new Promise<void>((resolve) => relay.server.listen(0, "127.0.0.1", resolve))
    relay.url = `http://127.0.0.1:${(relay.server.address() as AddressInfo).port}`
    return relay
  }

  /** Cuts every connection at a point from now on, and refuses others until `open`. */
  cutAfter(point: CutPoint, onCut: () => void): void {
    this.passed.down = this.passed.up = 0
    this.point = point
    this.onCut = onCut
  }

  /** There is no cut any more, and no point of one. */
  open(): void {
    this.point = undefined
    this.isCut = false
  }

  /** Resets every connection, at both ends. */
  reset(): void {
    for (const { far, near } of this.take()) {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
  }

  /** Ends every connection, at both ends, after what has passed. */
  finish(): void {
    for (const { far, near } of this.take()) {
      near.end()
      far.end()
    }
  }

  /** Resets every connection for the client alone, as when it changes networks. Gives the function that tells the server. */
  stall(): () => void {
    const stalled = this.take()
    for (const pair of stalled) {
      pair.deaf = "both"
      pair.near.resetAndDestroy()
    }
    return () => {
      for (const { far } of stalled) far.destroy()
    }
  }

  /** From now on, nothing more reaches the client. */
  deafen(): void {
    for (const pair of this.pairs) pair.deaf = "down"
  }

  /** Ends everything, and takes no other connections. */
  close(): void {
    for (const socket of this.sockets) socket.resetAndDestroy()
    this.server.close()
  }

  private take(): ReadonlyArray<Pair> {
    const all = [...this.pairs]
    this.pairs.clear()
    return all
  }

  private accept(near: Net.Socket): void {
    if (this.isCut) return void near.destroy()
    const far = Net.connect({ port: this.target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true })
    near.setNoDelay(true)
    const pair: Pair = { near, far, deaf: "no" }
    this.pairs.add(pair)
    this.pass(pair, "up")
    this.pass(pair, "down")
  }

  private pass(pair: Pair, direction: "down" | "up"): void {
    const [from, to] = direction === "up" ? [pair.near, pair.far] : [pair.far, pair.near]
    const isDeaf = () => pair.deaf === "both" || (pair.deaf === "down" && direction === "down")
    this.sockets.add(from)
    from.on("error", () => {})
    from.on("data", (chunk: Buffer) => {
      if (isDeaf() || to.destroyed) return
      const { point } = this
      const before = this.passed[direction]
      this.passed[direction] += chunk.length
      if (point?.direction !== direction || this.isCut || before + chunk.length < point.bytes) {
        return void to.write(chunk)
      }
      this.isCut = true
      const part = chunk.subarray(0, Math.max(0, point.bytes - before))
      if (part.length === 0) return this.cut(point.how)
      // In the order of arrival: what has passed is on its way before the cut.
      to.write(part, () => this.cut(point.how))
      if (point.how === "deaf") pair.deaf = "down"
    })
    from.on("end", () => {
      if (!isDeaf()) to.end()
    })
    from.on("close", () => {
      this.sockets.delete(from)
      if (pair.deaf !== "both") to.destroy()
      if (from === pair.near || pair.near.destroyed) this.pairs.delete(pair)
    })
  }

  private cut(how: Cut): void {
    if (how === "end") this.finish()
    else if (how === "reset") this.reset()
    else if (how === "stall") this.stall()
    else this.deafen()
    this.onCut()
  }
}
