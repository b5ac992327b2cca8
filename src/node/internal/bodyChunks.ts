/**
 * Gives other connections their turn while a body comes in tiny chunks.
 *
 * A peer decides how a body is cut into chunks of HTTP, down to one byte each, and Node calls back
 * for every chunk. Node reads on while there is more, so one turn of the event loop could bring
 * 300,000 chunks of one byte: they take 200 ms. Reading therefore stops at the end of a read that
 * has brought many chunks, and goes on after a pause (see `pace.ts`). One read, at most 64 KiB, is
 * parsed in one go: 11,000 chunks, which take about 10 ms.
 */
import type { IncomingMessage } from "node:http"
import type { Socket } from "node:net"

import { ChunkPace, CHUNKS_IN_A_ROW } from "../../internal/chunkPace.ts"
import * as Pipeline from "./pipeline.ts"
import { TurnCount } from "./turnCount.ts"

/** The least time that Node and its streams take for a chunk, in milliseconds. */
const CHUNK_TIME = 0.001

/** The bytes that are read of a body that nobody wants. A longer one ends its connection. */
const MAX_UNWANTED = 1_000_000

const CHUNKS = Symbol("chunks")

/** A connection, with its account once it has brought many chunks in one turn. */
type Connection = Socket & { [CHUNKS]?: ManyChunks }

/** The account of a connection, for all of its requests. */
class ManyChunks {
  private readonly connection: Connection
  private readonly pace: ChunkPace

  constructor(connection: Connection) {
    this.connection = connection
    this.pace = new ChunkPace(CHUNK_TIME, true, () => this.goOn())
  }

  get isHolding(): boolean {
    return this.pace.isHolding
  }

  /** Counts a chunk of the read after which reading stops. */
  add(bytes: number): void {
    this.pace.add(bytes)
  }

  /** Stops reading. This many chunks have come in this turn. */
  hold(count: number): void {
    this.connection.on("resume", this.pause).pause()
    this.pace.hold(count)
  }

  /** Node resumes the connection whenever a request's stream has room. */
  private readonly pause = (): void => void this.connection.pause()

  private goOn(): void {
    const { connection } = this
    connection.off("resume", this.pause)
    // Otherwise requests wait, and the last of them resumes it.
    if (!connection.destroyed && !Pipeline.isWaiting(connection)) connection.resume()
  }
}

const chunks = new TurnCount()

/** A chunk of so many bytes has come with a request. */
export const onChunk = ({ socket }: IncomingMessage, bytes: number): void => {
  const connection: Connection = socket
  const account = connection[CHUNKS]
  if (account?.isHolding === true) return account.add(bytes)
  const count = chunks.add(connection)
  if (count > CHUNKS_IN_A_ROW) (connection[CHUNKS] ??= new ManyChunks(connection)).hold(count)
}

/**
 * Reads the rest of a body that nobody wants: unread, it would keep the connection busy, and hide
 * that the peer has closed it.
 */
export const discard = (incoming: IncomingMessage): void => {
  const { complete, headers, socket } = incoming
  if (complete) return
  incoming.resume()
  if (headers["transfer-encoding"] === undefined && headers["content-length"] === undefined) return
  let bytes = 0
  incoming.on("data", (chunk: Buffer) => {
    onChunk(incoming, chunk.length)
    if ((bytes += chunk.length) > MAX_UNWANTED) socket.destroy()
  })
}
