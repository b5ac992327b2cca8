/**
 * The rules of the official client 4.8.4, over networks in memory: the last argument of an event is its offset if it is a text, and is
 * never forgotten; events that come without a connection wait for the next one; packets are handled after what has brought them.
 */
import { headOf, openWebSocket } from "../../src/testing/internal/clientEdge.ts"
import type { World } from "../../src/testing/internal/world.ts"
import type { ClientEnd, NetworkPath, ServerResponse } from "../../src/testing/Network.ts"
import * as EnginePayload from "../../src/protocol/EnginePayload.ts"
import * as Parser from "../../src/protocol/PacketParser.ts"
import * as PacketType from "../../src/protocol/PacketType.ts"
import { defaultLimits } from "../../src/protocol/ProtocolLimits.ts"
import { isProtocolError } from "../../src/protocol/ProtocolError.ts"
import type { SocketPacket } from "../../src/protocol/SocketPacket.ts"

export interface ModelOptions {
  readonly world: World
  readonly makeNetwork: () => NetworkPath
  readonly transport: "websocket" | "polling"
  readonly namespaces: ReadonlyArray<string>
  readonly query: Readonly<Record<string, string>>
  /** The time until the next attempt, in milliseconds. */
  readonly pause: () => number
  /** Whether it answers a ping twice, or sends a pong that answers none, when the server cannot mistake it. */
  readonly pongsTwice: () => boolean
  /** Whether the next attempt goes to another network, and so perhaps to another server. Default: no. */
  readonly hops?: () => boolean
}

type Args = ReadonlyArray<unknown>

/** The engine's connection, as the manager sees it. */
interface Engine {
  readonly isOpen: boolean
  send(packet: string): void
  /** Tells the server, if it can. */
  close(): void
  /** Ends here, and nowhere else. */
  abandon(): void
}

interface EngineEvents {
  onPacket(packet: string): void
  onEnd(): void
}

const limits = { ...defaultLimits }

abstract class BaseEngine implements Engine {
  isOpen = false
  protected hasEnded = false
  private silence: (() => void) | undefined
  private timeout = 0
  protected readonly client: OfficialModel
  protected readonly events: EngineEvents

  constructor(client: OfficialModel, events: EngineEvents) {
    this.client = client
    this.events = events
  }

  abstract send(packet: string): void
  abstract close(): void
  protected abstract drop(): void

  protected take(packet: string): void {
    if (this.hasEnded) return
    switch (packet[0]) {
      case "0": {
        const { pingInterval, pingTimeout, sid } = JSON.parse(packet.slice(1))
        this.isOpen = true
        this.onSid(sid)
        this.timeout = pingInterval + pingTimeout
        this.restart()
        return this.events.onPacket(packet)
      }
      case "1":
        return this.end()
      case "2":
        this.restart()
        return this.client.onPing((pong) => this.send(pong))
      default:
        return this.events.onPacket(packet)
    }
  }

  protected onSid(_sid: string): void {}

  private restart(): void {
    this.silence?.()
    this.silence = this.client.world.after(this.timeout, () => this.abandon())
  }

  protected end(): void {
    if (this.hasEnded) return
    this.hasEnded = true
    this.isOpen = false
    this.silence?.()
    this.events.onEnd()
  }

  abandon(): void {
    this.drop()
    this.end()
  }
}

class WebSocketEngine extends BaseEngine {
  private readonly socket: ClientEnd

  constructor(client: OfficialModel, events: EngineEvents) {
    super(client, events)
    this.socket = openWebSocket(client.network, client.head("websocket", true), {
      onOpen: () => {},
      onFrame: (frame) => this.take(typeof frame === "string" ? frame : `b${Buffer.from(frame).toString("base64")}`),
      onRefused: () => this.end(),
      // It learns of the end in a task of its own, after the packets that have come before.
      onEnd: () => queueMicrotask(() => this.end())
    })
  }

  send(packet: string): void {
    if (!this.hasEnded) this.socket.send(packet, packet.length)
  }

  close(): void {
    this.socket.close()
    this.end()
  }

  protected drop(): void {
    this.socket.abort()
  }
}

class PollingEngine extends BaseEngine {
  private sid: string | undefined
  private readonly requests = new Set<ClientEnd>()
  private waiting: Array<string> = []
  private isPosting = false

  constructor(client: OfficialModel, events: EngineEvents) {
    super(client, events)
    this.poll()
  }

  protected override onSid(sid: string): void {
    this.sid = sid
  }

  private request(method: "GET" | "POST", body: string, onResponse: (body: string) => void): void {
    const head = this.client.head("polling", false, method, body, this.sid)
    const request = this.client.network.connect(head)
    this.requests.add(request)
    request.receiver = {
      onMessage: (message) => {
        this.requests.delete(request)
        const { body, status } = message as ServerResponse
        if (this.hasEnded) return
        if (status === 200) onResponse(String(body))
        else this.end()
      },
      onEnd: () => {
        if (this.requests.delete(request)) this.end()
      }
    }
  }

  private poll(): void {
    this.request("GET", "", (body) => {
      EnginePayload.decodePayload(body, { maxPackets: 10_000 }, (packet) => this.take(packet))
      if (!this.hasEnded) this.poll()
    })
  }

  send(packet: string): void {
    if (this.hasEnded) return
    this.waiting.push(packet)
    this.flush()
  }

  private flush(): void {
    if (this.isPosting || this.waiting.length === 0) return
    this.isPosting = true
    this.request("POST", this.waiting.splice(0).join(EnginePayload.SEPARATOR), () => {
      this.isPosting = false
      this.flush()
    })
  }

  close(): void {
    this.send("1")
    // The request is on its way, and nobody waits for its answer.
    this.requests.clear()
    this.end()
  }

  protected drop(): void {
    for (const request of this.requests) request.abort()
    this.requests.clear()
  }
}

/** A stay in a namespace under one id: from a connection that is not recovered to the next such one. */
export interface Stay {
  readonly sid: string
  readonly heard: Array<Args>
}

/** A namespace's socket of the official client. */
export class ModelSocket {
  readonly namespace: string
  pid: string | undefined
  sid: string | undefined
  lastOffset: string | undefined
  isConnected = false
  isActive = true
  recovered = false
  private hasLeft = false
  readonly stays: Array<Stay> = []
  /** The events that came without a connection. */
  private buffer: Array<Args> = []
  private readonly client: OfficialModel

  constructor(client: OfficialModel, namespace: string) {
    this.client = client
    this.namespace = namespace
  }

  onOpen(): void {
    const { lastOffset: offset, pid } = this
    this.client.sendPacket({
      type: PacketType.CONNECT,
      namespace: this.namespace,
      id: undefined,
      data: pid === undefined ? undefined : { pid, offset }
    })
  }

  onPacket({ data, id, type }: SocketPacket): void {
    switch (type) {
      case PacketType.CONNECT:
        return this.onConnect(data as { sid: string; pid?: string })
      case PacketType.EVENT: {
        const args = id === undefined ? (data as Args) : [...(data as Args), this.answer(id)]
        if (this.isConnected) this.emit(args)
        else this.buffer.push(args)
        return
      }
      case PacketType.DISCONNECT:
        this.isActive = false
        this.onClose()
        return this.client.onInactive(this)
      case PacketType.CONNECT_ERROR:
        this.isActive = false
        return this.client.onInactive(this)
    }
  }

  private answer(id: number): () => void {
    return () =>
      this.client.sendPacket({ type: PacketType.ACK, namespace: this.namespace, id, data: [1] } as SocketPacket)
  }

  private onConnect({ pid, sid }: { readonly sid: string; readonly pid?: string }): void {
    this.sid = sid
    this.recovered = pid !== undefined && pid === this.pid
    this.pid = pid
    this.isConnected = true
    for (const args of this.buffer.splice(0)) this.emit(args)
    this.hasLeft = false
    // Its application learns of the connection now.
    if (!this.recovered) this.stays.push({ sid, heard: [] })
    this.client.onConnected(this)
  }

  private emit(args: Args): void {
    const last = args.at(-1)
    if (typeof last === "function") last()
    if (!this.hasLeft) this.stays.at(-1)?.heard.push(args)
    if (this.pid !== undefined && typeof last === "string") this.lastOffset = last
  }

  onClose(): void {
    this.isConnected = false
  }

  /** The application disconnects it. */
  leave(): void {
    if (!this.isConnected) return
    // It hears nothing more of this stay.
    this.hasLeft = true
    {
      this.client.sendPacket({ type: PacketType.DISCONNECT, namespace: this.namespace, id: undefined, data: undefined })
    }
    this.isActive = false
    this.isConnected = false
    this.client.onInactive(this)
  }
}

export class OfficialModel {
  readonly world: World
  network: NetworkPath
  readonly sockets: ReadonlyArray<ModelSocket>
  onConnected: (socket: ModelSocket) => void = () => {}
  private readonly options: ModelOptions
  private engine: Engine | undefined
  private decoder = Parser.json.makeDecoder(limits)
  private attempt: (() => void) | undefined
  private readonly returns = new Set<() => void>()
  private isDone = false

  constructor(options: ModelOptions) {
    this.options = options
    this.world = options.world
    this.network = options.makeNetwork()
    this.sockets = options.namespaces.map((namespace) => new ModelSocket(this, namespace))
  }

  head(transport: string, upgrade: boolean, method = "GET", body = "", sid?: string) {
    const query = new URLSearchParams({
      EIO: "4",
      transport,
      ...this.options.query,
      ...(sid === undefined ? {} : { sid })
    })
    const url = `http://localhost/socket.io/?${query.toString()}`
    return headOf({ address: "127.0.0.1", headers: {} }, { url, upgrade, method, body })
  }

  get isOpen(): boolean {
    return this.engine?.isOpen === true
  }

  connect(): void {
    if (this.engine !== undefined || this.isDone) return
    this.attempt?.()
    this.attempt = undefined
    if (this.options.hops?.() === true) this.network = this.options.makeNetwork()
    this.decoder = Parser.json.makeDecoder(limits)
    const events: EngineEvents = {
      onPacket: (packet) => this.onEnginePacket(packet),
      onEnd: () => {
        if (this.engine === engine) this.onEnd()
      }
    }
    const engine: Engine =
      this.options.transport === "websocket" ? new WebSocketEngine(this, events) : new PollingEngine(this, events)
    this.engine = engine
  }

  private onEnginePacket(packet: string): void {
    if (packet[0] === "0") {
      for (const socket of this.sockets) if (socket.isActive) socket.onOpen()
      return
    }
    const decoded =
      packet[0] === "4"
        ? this.decoder.text(packet, 1)
        : packet[0] === "b"
          ? this.decoder.binary(Buffer.from(packet.slice(1), "base64"))
          : undefined
    if (decoded === undefined) return
    if (isProtocolError(decoded)) throw decoded
    // It handles packets in microtasks: after an end of the connection that has come with them.
    queueMicrotask(() => {
      const socket = this.sockets.find(({ namespace }) => namespace === decoded.namespace)
      if (socket?.isActive === true) socket.onPacket(decoded)
    })
  }

  onPing(answer: (packet: string) => void): void {
    answer("3")
    if (this.options.pongsTwice()) answer("3")
  }

  sendPacket(packet: SocketPacket): void {
    const encoded = Parser.json.encode(packet, false)
    if (isProtocolError(encoded)) throw encoded
    if (this.engine?.isOpen === true) this.engine.send("4" + encoded.text)
  }

  /** Sends anything. */
  sendRaw(packet: string): void {
    if (this.engine?.isOpen === true) this.engine.send(packet)
  }

  private onEnd(): void {
    this.engine = undefined
    for (const socket of this.sockets) socket.onClose()
    this.connectLater(this.options.pause())
  }

  private connectLater(millis: number): void {
    if (this.isDone || !this.sockets.some(({ isActive }) => isActive)) return
    this.attempt?.()
    this.attempt = this.world.after(millis, () => {
      this.attempt = undefined
      this.connect()
    })
  }

  /** A socket has left, or was made to. Its application connects it again, later. */
  onInactive(socket: ModelSocket): void {
    if (this.isDone) return
    if (!this.sockets.some(({ isActive }) => isActive)) {
      const { engine } = this
      this.engine = undefined
      engine?.close()
      for (const each of this.sockets) each.onClose()
      this.attempt?.()
      this.attempt = undefined
    }
    const cancel = this.world.after(this.options.pause(), () => {
      this.returns.delete(cancel)
      socket.isActive = true
      if (this.isOpen) socket.onOpen()
      else if (this.engine === undefined) this.connect()
    })
    this.returns.add(cancel)
  }

  // ---------------------------------------------------------------- the ends of a connection

  /** Closes the connection, and says so. */
  close(): void {
    this.engine?.close()
  }

  /** Gives the connection up, and does not say so. The next one uses another network, if this one is `dead`. */
  abandon(dead: (network: NetworkPath) => void): void {
    dead(this.network)
    this.network = this.options.makeNetwork()
    const { engine } = this
    engine?.abandon()
  }

  /** Ends for good. */
  stop(): void {
    this.isDone = true
    this.attempt?.()
    for (const cancel of this.returns) cancel()
    const { engine } = this
    this.engine = undefined
    engine?.close()
  }
}
