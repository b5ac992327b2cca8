import type { BroadcastFlags, BroadcastPacket, Host } from "../Adapter.ts"
import type { ClusterLink } from "../ClusterLink.ts"
import type { Question, Sender } from "../ClusterMessage.ts"
import type { InMemoryAdapter } from "../InMemoryAdapter.ts"

/** The questions of others that wait for clients at once. The oldest one is given up beyond that. */
const MAX_WAITING = 10_000

/** A question that waits for this server's clients. */
interface Waiting {
  readonly asker: string | undefined
  readonly cancel: () => void
}

/** Answers the questions of other servers in one namespace. */
export class Answering {
  private readonly link: () => ClusterLink
  private readonly host: Host
  private readonly own: InMemoryAdapter
  private readonly waiting = new Map<string, Waiting>()

  constructor(link: () => ClusterLink, host: Host, own: InMemoryAdapter) {
    this.link = link
    this.host = host
    this.own = own
  }

  /** Answers at once, or when the clients or the handlers have. Throws on an unsound question. */
  answer(from: Sender, requestId: string, question: Question): void {
    const link = this.link()
    switch (question._tag) {
      case "Fetch":
        return link.answer(from, { _tag: "Sockets", requestId, sockets: this.own.fetchUnsafe(question.selection) })
      case "Count":
        return link.answer(from, { _tag: "Counted", requestId, count: this.own.countUnsafe(question.selection) })
      case "ServerEvent":
        return this.host.onServerEvent(question.data, (args) => {
          // Official servers wait for an answer until their time is over; they know no other one.
          if (args !== undefined || from.native) link.answer(from, { _tag: "Answered", requestId, args })
        })
      case "Ask": {
        const { data, flags, mayHaveBinary, selection } = question
        this.askClients(from, requestId, { data, mayHaveBinary }, selection, { ...flags, local: false })
      }
    }
  }

  /** The asker no longer needs the answers. */
  cancel(from: Sender, requestId: string): void {
    const key = keyOf(from, requestId)
    this.waiting.get(key)?.cancel()
    this.waiting.delete(key)
  }

  /** A server has left: nobody waits for its answers. */
  onServerLeft(uid: string): void {
    for (const [key, { asker, cancel }] of this.waiting) {
      if (asker !== uid) continue
      cancel()
      this.waiting.delete(key)
    }
  }

  close(): void {
    for (const { cancel } of this.waiting.values()) cancel()
    this.waiting.clear()
  }

  private askClients(
    from: Sender,
    requestId: string,
    packet: BroadcastPacket,
    selection: Parameters<InMemoryAdapter["askUnsafe"]>[1],
    flags: BroadcastFlags
  ): void {
    const link = this.link()
    const key = keyOf(from, requestId)
    let isOver = false
    // A client that is dropped at once has left before the number of recipients is known.
    let leftBefore: number | undefined = 0
    const { cancel, recipients } = this.own.askUnsafe(packet, selection, flags, {
      onAck: (acknowledgement) => link.answer(from, { _tag: "Acknowledged", requestId, acknowledgement }),
      onLeft: () => {
        if (leftBefore !== undefined) leftBefore++
        else if (from.native) link.answer(from, { _tag: "RecipientLeft", requestId })
      },
      onEnd: () => {
        isOver = true
        this.waiting.delete(key)
      }
    })
    link.answer(from, { _tag: "Recipients", requestId, count: recipients - leftBefore })
    leftBefore = undefined
    if (isOver) return
    if (this.waiting.size >= MAX_WAITING) {
      const [oldest, { cancel }] = this.waiting.entries().next().value!
      cancel()
      this.waiting.delete(oldest)
    }
    this.waiting.set(key, { asker: from.uid, cancel })
  }
}

const keyOf = ({ uid = "" }: Sender, requestId: string): string => `${uid} ${requestId}`
